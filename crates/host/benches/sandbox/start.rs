//! From nothing to the answer of the first action.

use std::time::{Duration, Instant};

use cpu_time::ProcessTime;
use entresol_sandbox::Engine;

use crate::beside::Beside;
use crate::{Bundle, figure, milliseconds, plugin, quantile};

const WARM: usize = 60;
const COLD: usize = 12;
const AFRESH: usize = 7;
const PHASED: usize = 60;

pub(crate) fn measure(bundles: &[Bundle], beside: &Beside) {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("cache");
    let begun = Instant::now();
    let first = Engine::new(Some(&cache)).expect("an engine");
    figure("engine, compiled", milliseconds(begun.elapsed()), "ms").say();
    for bundle in bundles {
        plugin::start(&first, bundle, 0);
    }
    let begun = Instant::now();
    let engine = Engine::new(Some(&cache)).expect("an engine");
    figure("engine, from its file", milliseconds(begun.elapsed()), "ms").say();

    for bundle in bundles {
        // As the daemon keeps it between its lives.
        let installed = plugin::installed(bundle, 0);
        let once = |engine: &Engine| {
            let begun = Instant::now();
            let mut instance = plugin::wake(engine, &installed);
            let started = begun.elapsed();
            plugin::first(&mut instance, bundle);
            (started, begun.elapsed())
        };
        once(&engine);
        let (mut started, mut warm): (Vec<_>, Vec<_>) = (0..WARM).map(|_| once(&engine)).unzip();
        let mut cold: Vec<Duration> = (0..COLD)
            .map(|_| {
                let other = Engine::new(Some(&cache)).expect("an engine");
                once(&other).1
            })
            .collect();
        let mut afresh: Vec<Duration> = (0..AFRESH)
            .map(|round| {
                // Another script each time, and an engine that keeps nothing on disk.
                let other = Engine::new(Some(&cache)).expect("an engine");
                let bundle = Bundle {
                    source: format!("{}\n// {round}", bundle.source),
                    name: bundle.name,
                    first: bundle.first.clone(),
                };
                let begun = Instant::now();
                let mut instance = plugin::start(&other, &bundle, 0);
                plugin::first(&mut instance, &bundle);
                begun.elapsed()
            })
            .collect();
        let name = bundle.name;
        let node = beside.number(&format!("start {name}"));
        let worker = "Node, a worker of a running process";
        figure(&format!("start to first answer, {name}"), milliseconds(quantile(&mut warm, 0.5)), "ms")
            .at_most(1.0)
            .beside(worker, node)
            .say();
        figure(&format!("start to first answer, {name}, p99"), milliseconds(quantile(&mut warm, 0.99)), "ms").say();
        figure(&format!("start alone, {name}"), milliseconds(quantile(&mut started, 0.5)), "ms").say();
        figure(&format!("start to first answer, {name}, from disk"), milliseconds(quantile(&mut cold, 0.5)), "ms")
            .at_most(5.0)
            .beside(worker, node)
            .say();
        figure(&format!("start to first answer, {name}, evaluated"), milliseconds(quantile(&mut afresh, 0.5)), "ms")
            .beside(worker, node)
            .say();
    }
}

/// What a start is made of, beginning with a snapshot in memory: processor time of the whole process, so that what else
/// the machine does matters little, and minor page faults.
pub(crate) fn phases(bundles: &[Bundle]) {
    const NAMES: [&str; 5] =
        ["restored", "restored and constructed", "onStart", "first action", "the same action again"];
    let directory = tempfile::tempdir().expect("a directory");
    let engine = Engine::new(Some(&directory.path().join("cache"))).expect("an engine");
    for bundle in bundles {
        let installed = plugin::installed(bundle, 0);
        plugin::wake(&engine, &installed);
        let mut times: [Vec<Duration>; 5] = Default::default();
        let mut faults = [0; 5];
        for _ in 0..PHASED {
            let mut instance = None;
            for (phase, times) in times.iter_mut().enumerate() {
                let (clock, before) = (ProcessTime::now(), page_faults());
                match &mut instance {
                    // By itself, and then with what follows.
                    None if phase == 0 => drop(installed.restore(&engine).expect("the plugin is restored")),
                    None => instance = Some(installed.start(&engine).expect("the plugin starts")),
                    Some((instance, outgoing)) if phase == 2 => plugin::begin(instance, std::mem::take(outgoing)),
                    Some((instance, _)) => drop(plugin::first(instance, bundle)),
                }
                times.push(clock.elapsed());
                faults[phase] += page_faults() - before;
            }
        }
        for (phase, times) in times.iter_mut().enumerate() {
            let name = format!("{}, {}", bundle.name, NAMES[phase]);
            figure(&format!("start, processor time: {name}"), milliseconds(quantile(times, 0.5)), "ms").say();
            figure(&format!("start, page faults: {name}"), (faults[phase] / PHASED) as f64, "").say();
        }
    }
}

/// Minor faults of this process so far.
fn page_faults() -> usize {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    // Behind the name, which may hold blanks.
    let fields = text.rsplit_once(')').expect("a name").1;
    fields.split_whitespace().nth(7).expect("ten fields").parse().expect("a number")
}

/// Starts one bundle again and again, for a profiler; from disk, when each engine is a new one.
pub(crate) fn repeat(bundle: &Bundle, rounds: usize, from_disk: bool) {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("cache");
    let mut engine = Engine::new(Some(&cache)).expect("an engine");
    let installed = plugin::installed(bundle, 0);
    for _ in 0..rounds {
        if from_disk {
            engine = Engine::new(Some(&cache)).expect("an engine");
        }
        plugin::first(&mut plugin::wake(&engine, &installed), bundle);
    }
}
