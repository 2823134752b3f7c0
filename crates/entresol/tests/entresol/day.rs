//! A day of use of the real program, and kill -9 at every write point of it that the demo does not come by.
//!
//! The wallet's own processes are real, and so are the chain and the sandbox. The day is a list of steps; when the
//! daemon is killed in the middle of one, it is started again and the day goes on at that step. At the end wallet and
//! chain are compared with what was acknowledged: nothing is lost, nothing was done twice.

pub(crate) mod chain;
pub(crate) mod life;
pub(crate) mod model;
pub(crate) mod script;

use std::collections::VecDeque;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use entresol_durable::{KILL_AT, REGISTRY};

use crate::support::{Said, entresol};
pub(crate) use chain::anvil;
use life::{Cut, Day};
use script::{Line, SCRIPT};

/// Days that are lived side by side: they mostly wait.
const SIDE_BY_SIDE: usize = 4;

/// Does these steps, each until it comes to its end.
pub(crate) fn go_on(day: &mut Day, steps: &[Line]) -> Result<(), String> {
    for (name, step) in steps {
        loop {
            match step(day) {
                Ok(()) => break,
                Err(Cut::Gone) => day.start_again().map_err(|error| format!("{name}: {error}"))?,
                Err(Cut::Refused { words, .. }) => return Err(format!("{name}: {words}\n{}", day.last_words())),
            }
        }
    }
    Ok(())
}

/// The whole day, the comparison, and the restoring of its backup into another home.
pub(crate) fn live(day: &mut Day) -> Result<(), String> {
    day.start()?;
    go_on(day, SCRIPT)?;
    go_on(day, &[("comparison", model::compare)])?;
    while !day.stop()? {
        day.start()?;
    }
    model::compare_store(&day.home(), day.passphrases[0]);
    restore(day)
}

fn restore(day: &mut Day) -> Result<(), String> {
    let home = day.dir.path().join("restored");
    let backup = day.model.backup.clone().ok_or("there is no backup")?;
    let passphrase = day.secret("restore", day.passphrases[0]);
    let run = |kill: Option<&str>| {
        let mut command = entresol();
        command.arg("--json").arg("--home").arg(&home).arg("--passphrase-file").arg(&passphrase);
        command.args(["restore".as_ref(), backup.as_os_str()]).env("TMPDIR", day.dir.path().join("tmp"));
        command.envs(kill.map(|at| (KILL_AT, at)));
        command.output().expect("started")
    };
    let kill = day.kill_at.as_deref();
    let first = run(kill);
    let cut = first.status.signal() == Some(9) && kill.is_some();
    if !cut && !first.status.success() {
        return Err(format!("restore: {:?}", Said::of(first)));
    }
    // All of it was there before the kill, or nothing: then once more.
    if cut && !home.join("keystore.json").exists() {
        let again = run(None);
        if !again.status.success() {
            return Err(format!("restore, once more: {:?}", Said::of(again)));
        }
    }
    if cut {
        day.kill_at = None;
        day.killed = true;
    }
    let (vault, _) = entresol_vault::Vault::open(&day.home().join("keystore.json"), &day.passphrases[0].into())
        .map_err(|error| error.to_string())?;
    let owner = vault.owner(0).map_err(|error| error.to_string())?.address;
    model::compare_restored(&home, day.passphrases[0], owner);
    Ok(())
}

/// One day with a kill; the error, if there was one.
fn check(anvil: &Path, at: &str) -> Option<String> {
    let mut day = Day::new(anvil, Some(at.to_owned()));
    let lived = catch_unwind(AssertUnwindSafe(|| live(&mut day)));
    match lived {
        Err(panic) => {
            let words = panic.downcast_ref::<String>().cloned();
            let words = words.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            Some(format!("{at}: {}", words.unwrap_or_default()))
        }
        Ok(Err(error)) => Some(format!("{at}: {error}")),
        Ok(Ok(())) if !day.killed => Some(format!("{at}: the day does not come by here")),
        Ok(Ok(())) => None,
    }
}

#[test]
fn the_day_comes_to_its_end() {
    let mut day = Day::new(&anvil(), None);
    let started = Instant::now();
    if let Err(error) = live(&mut day) {
        panic!("{error}");
    }
    let seconds = started.elapsed().as_secs_f32();
    let _ = writeln!(std::io::stderr(), "a day of use: {} steps in {seconds:.1} s", SCRIPT.len());
}

#[test]
fn a_kill_at_any_write_point_of_the_day_loses_nothing_and_does_nothing_twice() {
    let points: Vec<_> = REGISTRY.iter().filter(|point| point.in_day()).collect();
    // One of them alone, for whoever looks for a fault: the figure printed is then of that one.
    let only = std::env::var("ENTRESOL_DAY_KILL").unwrap_or_default();
    let mut moments: VecDeque<_> =
        points.iter().flat_map(|point| ["before", "after"].map(|moment| format!("{}:{moment}", point.name))).collect();
    moments.retain(|at: &String| at.contains(&only));
    assert!(!moments.is_empty(), "no write point of the day is called {only}");
    let (all, anvil, started) = (moments.len(), anvil(), Instant::now());
    let (jobs, errors) = (Mutex::new(moments), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(at) = job else { return };
                    if let Some(error) = check(&anvil, &at) {
                        errors.lock().unwrap_or_else(PoisonError::into_inner).push(error);
                    }
                }
            });
        }
    });
    let errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Not by println!, which the test runner keeps to itself while all is well.
    let _ = writeln!(
        std::io::stderr(),
        "kill -9 before and after each of {} write points of the day: {}/{all} came to the same end, in {} s",
        points.len(),
        all - errors.len(),
        started.elapsed().as_secs()
    );
    assert!(errors.is_empty(), "{}", errors.join("\n\n"));
}
