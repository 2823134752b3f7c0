//! The globals against the web's own tests and against Node.
//!
//! URLs: the data files of web-platform-tests (`url/resources/urltestdata.json`, `setters_tests.json`) as the crate
//! `url` carries them; cargo has that crate already, from crates.io. What fails of them is listed in `left-out.txt`,
//! and nothing else may. Everything else: files of ours in `cases/`, each made of the questions that the sections of the
//! standards ask, run inside and in Node, whose globals pass web-platform-tests; the answers must be the same.

#![allow(clippy::disallowed_methods, reason = "tests write files of their own")]

#[path = "../packages/inside.rs"]
mod inside;
#[allow(dead_code, reason = "nothing is bundled here")]
#[path = "../packages/npm.rs"]
mod npm;
mod parsing;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use inside::inside;
use serde_json::Value;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/standards")
}

/// A file of the tests of the crate `url`, from where cargo keeps that crate's source.
fn of_url_crate(name: &str) -> String {
    let said = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["metadata", "--format-version=1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    let metadata: Value = serde_json::from_slice(&said.stdout).expect("JSON");
    let manifest = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .find(|package| package["name"] == "url")
        .and_then(|package| package["manifest_path"].as_str())
        .expect("the crate url is a dependency");
    let file = Path::new(manifest).with_file_name("tests").join(name);
    std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[test]
fn urls_pass_the_data_of_web_platform_tests_but_for_a_list() {
    let (data, setters) = (of_url_crate("urltestdata.json"), of_url_crate("setters_tests.json"));
    let runner = std::fs::read_to_string(here().join("urls.js")).expect("readable");
    let outcome = inside(&format!("const DATA = {data};\nconst SETTERS = {setters};\n{runner}"));
    let failed: BTreeSet<&str> =
        outcome["failed"].as_array().expect("a list").iter().map(|name| name.as_str().expect("a text")).collect();
    let listed = std::fs::read_to_string(here().join("left-out.txt")).expect("readable");
    let listed: BTreeSet<&str> = listed.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let text = |set: Vec<&&str>| set.into_iter().map(|name| format!("{name}\n")).collect::<String>();
    println!("{} of {} cases as the standard says", outcome["passed"], outcome["cases"]);
    assert_eq!(text(failed.difference(&listed).collect()), "", "fails and is not listed");
    assert_eq!(text(listed.difference(&failed).collect()), "", "is listed and does not fail");
    assert!(outcome["cases"].as_u64() > Some(1000), "the data is there: {}", outcome["cases"]);
}

fn check(case: &str) {
    check_with(case, "");
}

fn check_with(case: &str, before: &str) {
    let source = std::fs::read_to_string(here().join(format!("cases/{case}.js"))).expect("readable");
    let source =
        format!("{before}\n{}\n{source}", std::fs::read_to_string(here().join("attempt.js")).expect("readable"));
    let outside: Value = serde_json::from_str(&npm::node(&source)).expect("JSON");
    let inside = inside(&source);
    let (inside, outside) = (inside.as_object().expect("an object"), outside.as_object().expect("an object"));
    let differs: Vec<String> = outside
        .iter()
        .filter(|&(question, answer)| inside.get(question) != Some(answer))
        .map(|(question, answer)| {
            format!("{question}\n  in Node {answer}\n  inside  {}", inside.get(question).unwrap_or(&Value::Null))
        })
        .collect();
    assert!(differs.is_empty(), "{case}:\n{}", differs.join("\n"));
    assert_eq!(inside.len(), outside.len());
    assert!(inside.len() > 10, "{case} asks something");
}

#[test]
fn text_is_as_in_node() {
    check("text");
}

#[test]
fn events_are_as_in_node() {
    check("events");
}

#[test]
fn aborting_is_as_in_node() {
    check("aborting");
}

#[test]
fn structured_clones_are_as_in_node() {
    check("clones");
}

#[test]
fn url_parameters_are_as_in_node() {
    check("parameters");
}

#[test]
fn timers_and_tasks_are_as_in_node() {
    check("tasks");
}

#[test]
fn webassembly_is_as_in_node() {
    let mut modules = serde_json::Map::new();
    for name in ["memory", "values", "imports"] {
        let wasm = wat::parse_file(here().join(format!("modules/{name}.wat"))).expect("a module");
        modules.insert(name.to_owned(), hex::encode(wasm).into());
    }
    check_with("webassembly", &format!("const MODULES = {};", Value::Object(modules)));
}
