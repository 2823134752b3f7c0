//! No process stays behind, however the demo ends.

use std::collections::HashSet;
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Place, assert_empty, entresol, until};

/// Running processes below `pid`, with their command lines.
fn below(pid: u32) -> Vec<(u32, String)> {
    let mut found = Vec::new();
    let mut parents = HashSet::from([pid]);
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("readable").flatten() {
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let mut fields = stat[stat.rfind(')').expect("a name") + 1..].split_ascii_whitespace();
        let state = fields.next().expect("a state").to_owned();
        let parent: u32 = fields.next().expect("a parent").parse().expect("a number");
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        all.push((id, parent, state, String::from_utf8_lossy(&line).replace('\0', " ")));
    }
    loop {
        let before = found.len();
        for (id, parent, state, line) in &all {
            if parents.contains(parent) && state != "Z" && !found.iter().any(|(known, _)| known == id) {
                parents.insert(*id);
                found.push((*id, line.clone()));
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rfind(')').is_some_and(|at| !stat[at + 1..].trim_start().starts_with('Z'))
}

/// Starts a demo, waits until chain, node and daemon run, signals it, and sees all of them end.
fn check(keep: bool, signal: Signal) {
    let _place = Place::take();
    let temporary = tempfile::tempdir().expect("a directory");
    let mut command = entresol();
    command.args(["--json", "demo"]).env("TMPDIR", temporary.path()).process_group(0);
    if keep {
        command.arg("--keep");
    }
    let mut demo: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("started");
    let running = until("chain, node and daemon run", || {
        let found = below(demo.id());
        let has = |word: &str| found.iter().any(|(_, line)| line.contains(word));
        (has("anvil") && has("--role operator") && has("daemon --poll-ms")).then_some(found)
    });
    let pid = Pid::from_raw(i32::try_from(demo.id()).expect("small")).expect("a process id");
    kill_process(pid, signal).expect("alive");
    let status = demo.wait().expect("waited");
    assert!(!status.success() || keep, "{status}");
    until("all of them have ended", || running.iter().all(|(pid, _)| !is_alive(*pid)).then_some(()));
    if signal != Signal::KILL {
        assert_empty(temporary.path());
    }
}

#[test]
fn ctrl_c_leaves_no_process_behind() {
    check(false, Signal::INT);
}

#[test]
fn termination_leaves_no_process_behind() {
    check(false, Signal::TERM);
}

#[test]
fn even_kill_9_leaves_no_process_behind() {
    check(false, Signal::KILL);
}

#[test]
fn a_kept_demo_ends_with_ctrl_c() {
    check(true, Signal::INT);
}
