//! The same scripts in Node, in the same run.

use std::process::Command;

use serde_json::{Value, json};

use crate::Bundle;

/// What Node measured, by name.
pub(crate) struct Beside(Value);

impl Beside {
    pub(crate) fn number(&self, name: &str) -> f64 {
        self.0[name].as_f64().unwrap_or_else(|| panic!("Node did not measure {name}: {}", self.0))
    }
}

pub(crate) fn run(bundles: &[Bundle]) -> Beside {
    let directory = tempfile::tempdir().expect("a directory");
    let place = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    place("worker.mjs", include_str!("worker.mjs"));
    let main = place("beside.mjs", include_str!("beside.mjs"));
    let bundles: Vec<Value> = bundles
        .iter()
        .enumerate()
        .map(|(index, bundle)| {
            let path = place(&format!("bundle-{index}.mjs"), &bundle.source);
            json!({ "name": bundle.name, "path": path, "first": bundle.first })
        })
        .collect();
    let said = Command::new("node")
        .arg("--expose-gc")
        .arg(main)
        .arg(json!(bundles).to_string())
        .output()
        .expect("node is installed (cargo xtask bench does it)");
    assert!(said.status.success(), "node: {}", String::from_utf8_lossy(&said.stderr));
    Beside(serde_json::from_slice(&said.stdout).expect("JSON"))
}
