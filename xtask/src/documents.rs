//! The documents say only what is so: every test that SECURITY.md names exists, and every link leads somewhere.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Names of all functions in the Rust files below `folder`.
fn functions(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !matches!(name, "target" | "node_modules") && !name.starts_with('.') {
            functions(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            for line in read(&path).lines() {
                let rest = line.trim_start().trim_start_matches("async ").strip_prefix("fn ");
                names.extend(rest.and_then(|rest| rest.split(['(', '<']).next()).map(str::to_owned));
            }
        }
    }
}

#[test]
fn every_test_that_security_md_names_exists() {
    let text = read(&root().join("SECURITY.md"));
    let mut known = BTreeSet::new();
    functions(&root(), &mut known);
    let rows: Vec<_> = text.lines().filter(|line| line.contains("Tested: ")).collect();
    assert!(rows.len() > 10, "the table has another form than this test expects");
    for row in rows {
        let (_, after) = row.split_once("Tested: ").expect("just found");
        let (tested, _) = after.split_once(". ").unwrap_or((after, ""));
        for name in tested.split('`').skip(1).step_by(2) {
            assert!(known.contains(name), "SECURITY.md names the test {name}, which does not exist");
        }
    }
}

#[test]
fn every_row_of_the_table_is_there_once() {
    let text = read(&root().join("SECURITY.md"));
    let numbers: Vec<u32> =
        text.lines().filter_map(|line| line.strip_prefix("| ")?.split(" |").next()?.parse().ok()).collect();
    assert_eq!(numbers, (1..=31).collect::<Vec<_>>());
}

#[test]
fn links_and_paths_of_the_documents_lead_somewhere() {
    let mut checked = 0;
    for document in ["README.md", "ARCHITECTURE.md", "SECURITY.md", "STYLE.md", "CHANGELOG.md"] {
        let text = read(&root().join(document));
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        let paths = text.split('`').skip(1).step_by(2).filter(|word| {
            let top = word.split('/').next().unwrap_or_default();
            word.contains('/')
                && !word.contains([' ', '*', '$'])
                && matches!(top, "crates" | "solutions" | "xtask" | "docs")
        });
        for link in links.chain(paths).filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let target = link.split('#').next().unwrap_or_default();
            assert!(root().join(target).exists(), "{document} leads to {target}, which does not exist");
            checked += 1;
        }
    }
    assert!(checked > 20, "only {checked} links found");
}
