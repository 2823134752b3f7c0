//! What idle plugins weigh: the process's proportional share of its pages, which counts a page that many map once.

use entresol_sandbox::Engine;

use crate::beside::Beside;
use crate::{Bundle, figure, plugin};

/// KiB of this process, by the kernel's own count.
fn pss() -> f64 {
    let text = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");
    let line = text.lines().find(|line| line.starts_with("Pss:")).expect("a line");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

pub(crate) fn measure(bundles: &[Bundle], beside: &Beside) {
    let directory = tempfile::tempdir().expect("a directory");
    let cache = directory.path().join("cache");
    let engine = Engine::new(Some(&cache)).expect("an engine");
    for bundle in bundles {
        let node = beside.number(&format!("memory {}", bundle.name));
        let mut all = Vec::new();
        let empty = pss();
        for count in [1, 200, 1000] {
            let before = pss();
            let more = count - all.len();
            for _ in 0..more {
                let mut instance = plugin::start(&engine, bundle, all.len());
                plugin::first(&mut instance, bundle);
                all.push(instance);
            }
            if count == 1 {
                let name = format!("memory of the first of its script, {}", bundle.name);
                figure(&name, (pss() - before) / 1024.0, "MiB").say();
                continue;
            }
            let each = (pss() - empty) / 1024.0 / count as f64;
            figure(&format!("memory of an idle plugin of {count}, {}", bundle.name), each, "MiB")
                .at_most(1.0)
                .beside("Node, an idle worker", node)
                .say();
        }
        // Each that answers still.
        plugin::first(&mut all[500], bundle);
    }
    // Each its own script, as in a wallet: nothing is shared but the engine.
    for bundle in bundles {
        const OWN: usize = 40;
        let before = pss();
        let all: Vec<_> = (0..OWN)
            .map(|index| {
                let source = format!("{}\n// {index}", bundle.source);
                let own = Bundle { name: bundle.name, source, first: bundle.first.clone() };
                let mut instance = plugin::start(&engine, &own, index);
                plugin::first(&mut instance, &own);
                instance
            })
            .collect();
        let each = (pss() - before) / 1024.0 / all.len() as f64;
        figure(&format!("memory of an idle plugin, each its own script, {}", bundle.name), each, "MiB")
            .at_most(2.0)
            .say();
    }
}
