//! kill -9 at every write point, before and after; every demo goes on to the same end.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::sync::{Mutex, PoisonError};

use entresol_durable::{KILL_AT, Process, REGISTRY, WritePoint};
use serde_json::Value as Json;

use crate::support::{Said, demo, entresol};

/// The fetch of anvil happens before the demo has anything to lose: it is killed alone, then must simply work again.
const FETCH: &str = "package.anvil.write";
/// Reached only with an empty cache.
const COLD_CACHE: [&str; 2] = ["sandbox.cache.write", "sandbox.snapshot.write"];

fn anvil() -> OsString {
    let said = Said::of(entresol().args(["--json", "debug", "fetch-anvil"]).output().expect("started"));
    said.json()["anvil"].as_str().expect("a path").into()
}

/// The error of one kill, none when the demo came to the same end.
fn check(point: &WritePoint, moment: &str, anvil: &OsString) -> Option<String> {
    let at = format!("{}:{moment}", point.name);
    if point.name == FETCH {
        return check_fetch(&at);
    }
    let cache = tempfile::tempdir().expect("a directory");
    let mut environment = Vec::new();
    if COLD_CACHE.contains(&point.name) {
        environment.push(("ENTRESOL_CACHE", cache.path().as_os_str().to_owned()));
        environment.push(("ENTRESOL_ANVIL", anvil.clone()));
    }
    let flag = match point.process {
        Process::Command => "--kill-command-at",
        Process::Daemon => "--kill-daemon-at",
        Process::Node => "--kill-node-at",
    };
    let said = demo(&[flag, &at], &environment);
    let facts: Json = serde_json::from_str(&said.out).unwrap_or_default();
    let same_end = facts["withdrawn"] == "700000000000000000" && facts["steps"].as_array().map(Vec::len) == Some(21);
    match (&facts["ok"], &facts["killed"]) {
        (Json::Bool(true), Json::Bool(true)) if same_end => None,
        (Json::Bool(true), Json::Bool(false)) => Some(format!("{at}: the demo does not come by here")),
        _ => Some(format!("{at}: code {}, step {}, {} {}", said.code, facts["step"], facts["error"], said.err)),
    }
}

fn check_fetch(at: &str) -> Option<String> {
    let cache = tempfile::tempdir().expect("a directory");
    let fetch = || {
        let mut command = entresol();
        command.args(["--json", "debug", "fetch-anvil"]).env("ENTRESOL_CACHE", cache.path());
        command.env_remove("ENTRESOL_ANVIL");
        command
    };
    let killed = fetch().env(KILL_AT, at).output().expect("started");
    if killed.status.signal() != Some(rustix::process::Signal::KILL.as_raw()) {
        return Some(format!("{at}: not killed: {:?}", Said::of(killed)));
    }
    let again = Said::of(fetch().output().expect("started"));
    (again.code != 0).then(|| format!("{at}: {again:?}"))
}

/// Kills at each of these moments, two demos at a time, and prints how many came to the same end.
#[track_caller]
fn check_all(moments: Vec<(&'static WritePoint, String)>, what: &str) {
    let anvil = anvil();
    let all = moments.len();
    let jobs = Mutex::new(VecDeque::from(moments));
    let errors = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some((point, moment)) = job else { return };
                    if let Some(error) = check(point, &moment, &anvil) {
                        errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                    }
                }
            });
        }
    });
    let errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Not by println!, which the test runner keeps to itself while all is well.
    let _ = writeln!(std::io::stderr(), "kill -9 {what}: {}/{all} came to the same end", all - errors.len());
    assert!(errors.is_empty(), "{}", errors.join("\n"));
}

#[test]
fn a_kill_at_any_write_point_changes_nothing_about_the_end() {
    // What the demo does not come by is killed in the scripted day of use.
    let points: Vec<_> = REGISTRY.iter().filter(|point| point.in_demo()).collect();
    let what = format!("before and after each of {} write points that the demo reaches", points.len());
    let moments = points.into_iter().flat_map(|point| ["before", "after"].map(|moment| (point, moment.to_owned())));
    check_all(moments.collect(), &what);
}

/// The first time round these points belong to the installation and the deposit. The second and third time they
/// belong to what the plugin asks for in the middle of an action: the withdrawal and the claim.
#[test]
fn a_kill_in_the_middle_of_an_action_changes_nothing_about_the_end() {
    const MONEY: &[&str] = &[
        "store.approval.create",
        "store.approval.decide",
        "store.approval.finish",
        "store.transaction.insert",
        "layer1.transaction.broadcast",
        "store.call.begin",
        "store.call.finish",
        "node.transaction.broadcast",
    ];
    let points: Vec<_> = REGISTRY.iter().filter(|point| MONEY.contains(&point.name)).collect();
    assert_eq!(points.len(), MONEY.len(), "a write point has another name now");
    let moments = points
        .into_iter()
        .flat_map(|point| ["before:2", "after:2", "before:3", "after:3"].map(|moment| (point, moment.to_owned())));
    check_all(moments.collect(), "while an action moves money");
}
