//! From nothing to the answer of the first action.

use std::time::{Duration, Instant};

use entresol_sandbox::Engine;

use crate::beside::Beside;
use crate::{Bundle, figure, milliseconds, plugin, quantile};

const WARM: usize = 60;
const COLD: usize = 12;
const AFRESH: usize = 7;

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
        let once = |engine: &Engine, mark| {
            let begun = Instant::now();
            let mut instance = plugin::start(engine, bundle, mark);
            let started = begun.elapsed();
            plugin::first(&mut instance, bundle);
            (started, begun.elapsed())
        };
        once(&engine, 0);
        let (mut started, mut warm): (Vec<_>, Vec<_>) = (0..WARM).map(|mark| once(&engine, mark)).unzip();
        let mut cold: Vec<Duration> = (0..COLD)
            .map(|mark| {
                let other = Engine::new(Some(&cache)).expect("an engine");
                once(&other, mark).1
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
