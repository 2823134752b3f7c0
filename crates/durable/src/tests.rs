use super::*;

#[test]
fn names_are_unique_and_well_formed() {
    for (i, point) in REGISTRY.iter().enumerate() {
        assert!(REGISTRY[..i].iter().all(|other| other.name != point.name), "{} stands twice", point.name);
        assert!(point.name.split('.').count() >= 2, "{}: crate.thing.verb", point.name);
        assert!(!point.what.is_empty());
    }
}

#[test]
fn what_the_demo_reaches_is_registered() {
    let reached = REGISTRY.iter().filter(|point| point.in_demo()).count();
    assert_eq!(reached, registry::DEMO.len(), "a write point has another name now, or stands twice in the list");
}

#[test]
fn a_write_point_gives_the_value_of_its_body() {
    assert_eq!(write_point!("vault.keystore.write", 3 + 4), 7);
}

#[test]
fn kill_requests_are_parsed_strictly() {
    let kill = parse("a.b:after:2").expect("well formed");
    assert_eq!((kill.name.as_str(), kill.moment, kill.nth), ("a.b", Moment::After, 2));
    assert!(parse("a.b").is_none());
    assert!(parse("a.b:during").is_none());
    assert!(parse("a.b:before:x").is_none());
}

#[test]
fn an_atomic_write_replaces_the_whole_file() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("file");
    write_file_atomically(&path, b"first", false).expect("written");
    write_file_atomically(&path, b"second", false).expect("written");
    assert_eq!(std::fs::read(&path).expect("readable"), b"second");
    assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 1);
}
