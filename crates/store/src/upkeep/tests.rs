use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use super::*;
use crate::tests::{Fixture, KEY};

#[test]
fn a_copy_is_whole_private_and_opens_with_the_same_key() {
    let (fixture, solution) = Fixture::with_solution();
    fixture.kv_put(solution.id, "key", &[1; 10_000], 1_000_000).expect("stored");
    fixture.integrity_check().expect("sound");
    let path = fixture.path().with_file_name("copy.db");
    fixture.snapshot_into(&path).expect("copied");
    fixture.put_meta("later", &json!(true)).expect("stored");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    assert!(matches!(Store::open(&path, &[0; 32]), Err(StoreError::WrongKey { .. })), "encrypted");
    let copy = Store::open(&path, &KEY).expect("the copy opens");
    copy.integrity_check().expect("sound");
    assert_eq!(copy.kv_get(solution.id, "key").expect("read"), Some(vec![1; 10_000]));
    assert_eq!(copy.solutions().expect("read"), fixture.solutions().expect("read"));
    assert_eq!(copy.meta("later").expect("read"), None, "what came later is not in it");

    assert!(matches!(fixture.snapshot_into(&path), Err(StoreError::File { .. })), "never over a file that is there");
    let nowhere = fixture.path().with_file_name("no").join("copy.db");
    assert!(matches!(fixture.snapshot_into(&nowhere), Err(StoreError::File { .. })));
}
