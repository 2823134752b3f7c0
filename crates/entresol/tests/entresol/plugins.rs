//! Looking into plugins by the command line: inspect, record, replay.

use std::path::Path;

use serde_json::json;

use crate::support::*;

const SCRIPT: &str = "export default class { constructor() { let n = 0; this.layer2Interface = { actions: [
    { name: 'roll', params: [], returns: [{ name: 'text', type: 'string' }], call: () => `${++n}: ${Math.random()} ${Date.now()}` },
    { name: 'fail', params: [], returns: [], call: () => { throw new TypeError('no \\u001b[31m such luck'); } },
], state: [] }; } }";

fn plugin(house: &House) {
    let folder = house.wallet.dir.path().join("dice");
    std::fs::create_dir(&folder).expect("made");
    let manifest = json!({
        "name": "dice", "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": { "apiVersion": 1, "title": "Dice", "description": "Rolls." },
    });
    std::fs::write(folder.join("package.json"), manifest.to_string()).expect("written");
    std::fs::write(folder.join("index.js"), SCRIPT).expect("written");
    let add = ["solution", "add", folder.to_str().expect("text"), "--network", "devnet", "--name", "dice"];
    house.wallet.approve(&house.wallet.run(&add));
    until("it runs", || {
        let view = house.wallet.run(&["solution", "show", "dice"]).json();
        (view["plugin"] == "running").then_some(())
    });
}

/// As a person sees it: without `--json`, without a wallet.
fn people(arguments: &[&str]) -> Said {
    Said::of(entresol().args(arguments).output().expect("started"))
}

#[test]
fn a_plugin_is_inspected_recorded_and_replayed_by_the_command_line() {
    let house = House::new();
    plugin(&house);
    for _ in 0..3 {
        house.wallet.run(&["call", "dice", "roll"]).json();
    }
    house.wallet.run(&["call", "dice", "fail"]).fails(1, &["such luck"]);
    let view = house.wallet.run(&["plugin", "inspect", "dice"]).json();
    assert_eq!((&view["calls"], &view["threw"], &view["starts"]), (&json!(4), &json!(1), &json!(1)), "{view}");
    assert!(view["memoryBytes"].as_u64() > Some(1 << 20) && view["cpuMicros"].as_u64() > Some(0), "{view}");
    let home = house.wallet.home();
    let home = home.to_str().expect("text");
    let said = people(&["--home", home, "plugin", "inspect", "dice"]);
    assert_eq!(said.code, 0, "{said:?}");
    for words in
        ["running", "MiB of ", "1 calls and hooks ended in an error", "threw: TypeError: no \\u{1b}[31m such luck"]
    {
        assert!(said.out.contains(words), "{words}: {}", said.out);
    }
    house.wallet.run(&["plugin", "inspect", "nobody"]).fails(1, &["there is no solution"]);

    house.wallet.run(&["plugin", "record", "dice", "--stop"]).fails(1, &["is not being recorded"]);
    let begun = house.wallet.run(&["plugin", "record", "dice"]).json();
    let file = begun["file"].as_str().expect("a path");
    until("it runs again", || {
        let view = house.wallet.run(&["solution", "show", "dice"]).json();
        (view["plugin"] == "running").then_some(())
    });
    for _ in 0..3 {
        house.wallet.run(&["call", "dice", "roll"]).json();
    }
    let ended = house.wallet.run(&["plugin", "record", "dice", "--stop"]).json();
    assert_eq!((&ended["file"], &ended["running"]), (&begun["file"], &json!(false)));

    let replayed = people(&["--json", "plugin", "replay", file]).json();
    assert_eq!((&replayed["same"], &replayed["note"]["solution"]), (&json!(true), &json!("dice")), "{replayed}");
    assert!(replayed["turns"].as_u64() >= Some(6), "{replayed}");
    let shown = people(&["plugin", "replay", file, "--show"]);
    assert_eq!(shown.code, 0, "{shown:?}");
    for words in ["turn 0", "the same as recorded, to the byte", "random bytes", "dice@1.0.0"] {
        assert!(shown.out.contains(words), "{words}: {}", shown.out);
    }
    // One byte of it, anywhere, and it is refused.
    let mut bytes = std::fs::read(file).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let damaged = Path::new(file).with_extension("damaged");
    std::fs::write(&damaged, &bytes).expect("written");
    let said = people(&["plugin", "replay", damaged.to_str().expect("text")]);
    assert!(said.code == 1 && said.err.contains("damaged"), "{said:?}");
    let said = people(&["plugin", "replay", "/dev/null"]);
    assert!(said.code == 1 && said.err.contains("no recording"), "{said:?}");
}
