//! Packages of npm run inside, as they are: bundled by esbuild, each put to the same use inside and in Node.

#![allow(clippy::disallowed_methods, reason = "tests write files of their own")]

mod inside;
mod npm;

use inside::inside;
use serde_json::Value;

fn check(case: &str) {
    let bundle = npm::bundle(&format!("cases/{case}.js"), false);
    let outside: Value = serde_json::from_str(&npm::node(&bundle)).expect("JSON");
    let inside = inside(&bundle);
    let (inside, outside) = (inside.as_object().expect("an object"), outside.as_object().expect("an object"));
    assert_eq!(inside.keys().collect::<Vec<_>>(), outside.keys().collect::<Vec<_>>());
    for (name, value) in outside {
        assert_eq!(&inside[name], value, "{case}: {name} inside, in Node");
    }
}

/// A test for each file of `cases/`; another one proves that none is forgotten.
macro_rules! packages {
    ($($test:ident: $case:literal,)*) => {
        $(#[test] fn $test() { check($case); })*
        const CASES: &[&str] = &[$($case),*];
    };
}

packages! {
    noble_curves_signs_and_verifies_as_in_node: "noble-curves",
    noble_hashes_hashes_as_in_node: "noble-hashes",
    ethers_works_as_in_node: "ethers",
    viem_works_as_in_node: "viem",
    scure_bip32_derives_as_in_node: "scure-bip32",
    rlp_encodes_as_in_node: "rlp",
    hash_wasm_hashes_as_in_node: "hash-wasm",
    es_module_lexer_reads_as_in_node: "es-module-lexer",
    buffer_reads_and_writes_as_in_node: "buffer",
    zod_parses_as_in_node: "zod",
}

#[test]
fn each_case_has_a_test() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages/cases");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("readable")
        .map(|entry| entry.expect("an entry").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .collect();
    names.sort();
    let mut cases = CASES.to_vec();
    cases.sort_unstable();
    assert_eq!(names, cases);
}
