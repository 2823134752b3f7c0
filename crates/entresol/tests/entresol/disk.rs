//! The disk is full, or was torn in the middle of a write: clear words, and nothing lost that was acknowledged.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::day::life::{Cut, Day, MORNING, Step};
use crate::day::script::{Line, SCRIPT};
use crate::day::{anvil, go_on, model};
use crate::support::{Said, entresol};

/// Set in the child that lives on a small file system: its mount.
const SMALL: &str = "ENTRESOL_TEST_SMALL_DISK";
/// Left on the full disk.
const ROOM: u64 = 512 << 10;
/// A page of the database.
const PAGE: u64 = 4096;

/// The steps before this one, and those from it on.
fn split(name: &str) -> (&'static [Line], &'static [Line]) {
    SCRIPT.split_at(SCRIPT.iter().position(|(step, _)| *step == name).expect("a step of that name"))
}

fn remember(day: &mut Day, key: &str, value: &str) -> Step {
    let params = json!({ "key": key, "value": value });
    day.call("call", json!({ "solution": "boss", "action": "remember", "params": params }))?;
    Ok(())
}

fn recall(day: &mut Day, key: &str) -> Step<String> {
    let params = json!({ "key": key });
    let answer = day.call("call", json!({ "solution": "boss", "action": "recall", "params": params }))?;
    Ok(answer.as_str().expect("text").to_owned())
}

/// Takes all the room there is.
fn fill(ballast: &Path) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(ballast).expect("opened");
    for size in [1 << 20, 1 << 12, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
}

#[test]
fn a_full_disk_is_told_and_loses_nothing() {
    const TEST: &str = "disk::a_full_disk_is_told_and_loses_nothing";
    if let Some(mount) = std::env::var_os(SMALL) {
        return on_a_small_disk(Path::new(&mount));
    }
    let namespaces = ["--user", "--map-root-user", "--mount"];
    let may = Command::new("unshare").args(namespaces).arg("true").output();
    if !may.is_ok_and(|output| output.status.success()) {
        let _ = writeln!(std::io::stderr(), "full disk: this system lets nobody mount a small one; not tested here");
        return;
    }
    let mount = tempfile::tempdir().expect("a directory");
    let mut shell = Command::new("unshare");
    shell
        .args(namespaces)
        .args(["sh", "-c", "mount -t tmpfs -o size=24m tmpfs \"$0\" && exec \"$@\""])
        .arg(mount.path());
    shell.arg(std::env::current_exe().expect("this test")).args(["--exact", TEST, "--nocapture"]);
    let said = Said::of(shell.env(SMALL, mount.path()).output().expect("started"));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.out.contains("1 passed"), "{said:?}");
    let figures = said.out.lines().find(|line| line.starts_with("full disk:")).expect("figures");
    let _ = writeln!(std::io::stderr(), "{figures}");
}

fn on_a_small_disk(mount: &Path) {
    let dir = tempfile::tempdir_in(mount).expect("a directory");
    let mut day = Day::within(dir, &anvil(), None);
    day.start().expect("started");
    let (before, after) = split("pay again");
    go_on(&mut day, before).expect("the morning");

    let ballast = mount.join("ballast");
    fill(&ballast);
    // A little room, so that the disk is full in the middle of what is written now.
    let room = |file: std::fs::File| file.set_len(file.metadata().expect("a length").len() - ROOM);
    room(std::fs::OpenOptions::new().write(true).open(&ballast).expect("opened")).expect("cut");
    // Pages that are there already take a little more; then each kind of write is refused, in clear words.
    let (mut acknowledged, mut refused) = (Vec::new(), Vec::new());
    for n in 0..200 {
        let (key, value) = (format!("full-{n}"), n.to_string().repeat(8000));
        match remember(&mut day, &key, &value) {
            Ok(()) => acknowledged.push((key, value)),
            Err(Cut::Refused { words, .. }) => refused.push((key, value, words)),
            Err(Cut::Gone) => panic!("a full disk ended the daemon: {}", day.last_words()),
        }
        if refused.len() == 3 {
            break;
        }
    }
    assert_eq!(refused.len(), 3, "{} writes went into a full disk", acknowledged.len());
    assert!(!acknowledged.is_empty(), "the disk was full before the first write");
    fill(&ballast);
    let other = [
        ("settings_set", json!({ "autoLockSeconds": 60, "layer2WhileLocked": false })),
        ("send", json!({ "network": "dev", "to": "0x00000000000000000000000000000000000f41e5", "amount": "1" })),
        ("backup", json!({ "file": mount.join("backup"), "passphrase": day.passphrases[0] })),
    ];
    let mut told: Vec<_> = refused.iter().map(|(_, _, words)| words.clone()).collect();
    for (method, params) in other {
        match day.call(method, params) {
            Err(Cut::Refused { words, .. }) => told.push(words),
            outcome => panic!("{method} on a full disk: {outcome:?}"),
        }
    }
    for words in &told {
        assert!(words.contains("full") || words.contains("No space left"), "{words}");
        assert!(words.contains("free") || words.contains("make room") || words.contains("space"), "{words}");
    }
    assert!(!mount.join("backup").exists(), "half a backup");
    // Looking goes on meanwhile. (The user's own call of an action is noted first, so it waits for room as well.)
    assert_eq!(day.list("solutions", json!({})).expect("read").len(), 3);
    assert!(day.call("state", json!({ "solution": "boss" })).expect("read")["state"].is_object());
    assert_eq!(day.call("status", json!({})).expect("read")["pendingApprovals"], 0);

    // Killed while there is no room, it starts all the same once there is, and everything goes on.
    day.kill();
    std::fs::remove_file(&ballast).expect("removed");
    day.start().expect("started again");
    for (key, value) in &acknowledged {
        assert_eq!(recall(&mut day, key).expect("read"), *value);
    }
    // Refused at its start it left nothing; refused at its end, when only its row in the journal had no room, all of it.
    let mut written = 0;
    for (key, value, _) in &refused {
        let found = recall(&mut day, key).expect("read");
        assert!(found.is_empty() || found == *value, "half of {key}");
        written += usize::from(!found.is_empty());
    }
    assert!(written <= 1, "{written} of the refused writes were made");
    go_on(&mut day, after).expect("the rest of the day");
    go_on(&mut day, &[("comparison", model::compare)]).expect("compared");
    // For the process that started this one.
    let _ = writeln!(
        std::io::stdout(),
        "\nfull disk: {} writes acknowledged and there, {} refused in clear words, the day came to its end",
        acknowledged.len(),
        told.len()
    );
}

/// Puts the saved home in the place of the present one.
fn put_back(day: &mut Day, saved: &Path) {
    day.kill();
    std::fs::remove_dir_all(day.home()).expect("removed");
    copy_home(saved, &day.home());
}

fn copy_home(from: &Path, to: &Path) {
    entresol_durable::create_private_dir(to).expect("made");
    for entry in std::fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let kind = entry.file_type().expect("a type");
        let target = to.join(entry.file_name());
        if kind.is_dir() {
            copy_home(&entry.path(), &target);
        } else if kind.is_file() {
            std::fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Turns the bits of a few bytes in the middle of a page.
fn damage(file: &std::fs::File, offset: u64) {
    let mut bytes = [0; 64];
    file.read_exact_at(&mut bytes, offset).expect("read");
    bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    file.write_all_at(&bytes, offset).expect("written");
}

fn open(home: &Path, name: &str) -> std::fs::File {
    std::fs::OpenOptions::new().read(true).write(true).open(home.join(name)).expect("opened")
}

#[test]
fn a_torn_page_loses_no_acknowledged_write_and_damage_names_the_backup() {
    const WRITES: usize = 20;
    let mut day = Day::new(&anvil(), None);
    day.start().expect("started");
    go_on(&mut day, split("install spare").0).expect("installed");
    remember(&mut day, "before", "the backup").expect("kept");
    let backup = day.desk.path().join("backup");
    day.call("backup", json!({ "file": backup, "passphrase": MORNING })).expect("backed up");
    for n in 0..WRITES {
        remember(&mut day, &format!("w{n}"), "kept").expect("kept");
    }
    day.kill();
    let saved = tempfile::tempdir().expect("a directory");
    copy_home(&day.home(), saved.path());

    // How many of the writes are there: without a gap, and the daemon goes on. A log that is cut before the installation
    // knows no boss.
    let count = |day: &mut Day| {
        day.start().expect("starts");
        if day.call("solution", json!({ "solution": "boss" })).is_err() {
            return 0;
        }
        // An installation that was approved, and cut off there, is carried out again meanwhile: its plugin starts last.
        let started = |day: &mut Day| {
            let solution = day.call("solution", json!({ "solution": "boss" }))?;
            Ok((solution["plugin"] != "stopped").then_some(()))
        };
        day.until("its plugin starts", started).expect("asked");
        let there: Vec<_> = (0..WRITES).map(|n| recall(day, &format!("w{n}")).expect("read") == "kept").collect();
        let found = there.iter().filter(|there| **there).count();
        assert!(there[..found].iter().all(|there| *there), "a gap: {there:?}");
        remember(day, "more", "goes on").expect("kept");
        found
    };
    assert_eq!(count(&mut day), WRITES, "nothing is torn, nothing is lost");
    let length = std::fs::metadata(saved.path().join("wallet.db-wal")).expect("a log").len();
    // The last page, in the middle: cut, and damaged. It came before the last answer, and after what was answered for.
    put_back(&mut day, saved.path());
    open(&day.home(), "wallet.db-wal").set_len(length - PAGE / 2).expect("cut");
    assert_eq!(count(&mut day), WRITES, "the torn end of the log");
    put_back(&mut day, saved.path());
    damage(&open(&day.home(), "wallet.db-wal"), length - PAGE / 2);
    assert_eq!(count(&mut day), WRITES, "the damaged end of the log");
    // Ever more of it: what is there is what came first.
    let mut ends = BTreeMap::new();
    for part in 1..=8 {
        put_back(&mut day, saved.path());
        open(&day.home(), "wallet.db-wal").set_len(length - length * part / 10 - PAGE / 2).expect("cut");
        ends.insert(part, count(&mut day));
    }
    assert!(ends.values().is_sorted_by(|a, b| a >= b) && ends[&8] < WRITES, "{ends:?}");

    // Pages of the database itself: a clear error that names the way out.
    put_back(&mut day, saved.path());
    day.start().expect("starts");
    assert_eq!(day.stop(), Ok(true));
    let pages = std::fs::metadata(day.home().join("wallet.db")).expect("there").len() / PAGE;
    let file = open(&day.home(), "wallet.db");
    (1..pages).for_each(|page| damage(&file, page * PAGE + PAGE / 2));
    let error = match day.start() {
        Err(error) => error,
        Ok(()) => match recall(&mut day, "w0") {
            Err(Cut::Refused { words, .. }) => words,
            outcome => panic!("a damaged database: {outcome:?}"),
        },
    };
    assert!(error.contains("damaged") && error.contains("entresol restore"), "{error}");
    assert!(!error.contains("panicked"), "{error}");

    // The way out works.
    day.kill();
    std::fs::rename(day.home(), day.dir.path().join("damaged")).expect("moved away");
    let passphrase = day.secret("passphrase", MORNING);
    let mut command = entresol();
    command.arg("--json").arg("--home").arg(day.home()).arg("--passphrase-file").arg(passphrase);
    let said = Said::of(command.arg("restore").arg(&backup).output().expect("started"));
    assert_eq!(said.code, 0, "{said:?}");
    day.start().expect("starts");
    assert_eq!(recall(&mut day, "before").expect("read"), "the backup");
    assert_eq!(recall(&mut day, "w0").expect("read"), "", "it came after the backup");
    go_on(&mut day, &split("install spare").1[..2]).expect("the day goes on");
    let _ = writeln!(
        std::io::stderr(),
        "torn page: {WRITES}/{WRITES} acknowledged writes there with the last page cut and damaged; {} deeper cuts without \
         a gap; {} damaged pages told, and restored from the backup",
        ends.len(),
        pages - 1
    );
}
