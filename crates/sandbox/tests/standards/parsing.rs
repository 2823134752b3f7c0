//! The engine's parser against `test262-parser-tests` (npm): programs that have to be taken, and programs that have to
//! be refused with a `SyntaxError`.
//!
//! The programs are made to be parsed and not run, so nothing of them runs here. A module (`*.module.js`) is an ES
//! module behind a `throw`: modules are strict and imports are hoisted, so that one statement more changes nothing of
//! how the others are read. A script is the body of a function in a CommonJS file, which is what the sandbox makes of
//! every CommonJS file: its directives count, and `return` and `new.target` are allowed where a script of a page has
//! none. `pass-explicit/` is left out: the programs of `pass/` again, for parsers that show a tree.
//!
//! What comes out otherwise is listed in `parsing/left-out.txt`, each with its reason, and nothing else may be.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use entresol_sandbox::{Instance, Limits, ModuleKind, SandboxError, Script};

use super::inside::{Host, engine};
use super::{here, npm};

/// Thrown before the first line of a program that was taken.
const TAKEN: &str = "taken";

/// Whether the program is taken; why not, in the engine's words.
fn parse(program: &str, module: bool) -> Result<(), String> {
    let (kind, source) = if module {
        (ModuleKind::EsModule, format!("throw \"{TAKEN}\";\n{program}"))
    } else {
        (ModuleKind::CommonJs, format!("throw \"{TAKEN}\";(function () {{\n{program}\n}})"))
    };
    let script = Script { name: "program.js", source: &source, kind };
    match Instance::start(engine(), &Limits::default(), &[], Some(script), Box::new(Host)) {
        Err(SandboxError::Script { message, .. }) if message == TAKEN => Ok(()),
        // It was read to its end; what it imports is asked for after that, and refused.
        Err(SandboxError::Script { message, .. }) if message.starts_with("TypeError: cannot import ") => Ok(()),
        Err(SandboxError::Script { message, .. }) => Err(message),
        Err(error) => Err(format!("{error:?}")),
        Ok(_) => Err("it ran".to_owned()),
    }
}

#[test]
fn programs_are_parsed_as_test262_says_but_for_a_list() {
    let package = npm::install(&here().join("parsing")).join("node_modules/test262-parser-tests");
    let mut programs = Vec::new();
    for folder in ["pass", "fail", "early"] {
        for entry in std::fs::read_dir(package.join(folder)).expect("the folder is there") {
            programs.push((folder, entry.expect("an entry").file_name().into_string().expect("UTF-8")));
        }
    }
    programs.sort();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(BTreeSet::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((folder, name)) = programs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let program = std::fs::read_to_string(package.join(folder).join(name)).expect("UTF-8");
                    let as_said = match parse(&program, name.ends_with(".module.js")) {
                        Ok(()) => *folder == "pass",
                        Err(message) if message.starts_with("SyntaxError") && *folder != "pass" => true,
                        Err(message) => {
                            println!("{folder}/{name}: {message}");
                            false
                        }
                    };
                    if !as_said {
                        wrong.lock().expect("unpoisoned").insert(format!("{folder}/{name}"));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("unpoisoned");
    let listed = std::fs::read_to_string(here().join("parsing/left-out.txt")).expect("readable");
    let listed: BTreeSet<String> = listed
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| line.split_whitespace().next().unwrap_or_default().to_owned())
        .collect();
    println!("{} of {} programs are parsed as said", programs.len() - wrong.len(), programs.len());
    let text = |set: Vec<&String>| set.into_iter().map(|name| format!("{name}\n")).collect::<String>();
    assert_eq!(text(wrong.difference(&listed).collect()), "", "is parsed otherwise and is not listed");
    assert_eq!(text(listed.difference(&wrong).collect()), "", "is listed and is parsed as said");
    assert_eq!(programs.len(), 3380, "the programs are there");
}
