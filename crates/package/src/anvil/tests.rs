use super::*;

#[test]
fn every_pin_is_well_formed() {
    for pin in PINS {
        pin.tarball.parse::<Integrity>().expect(pin.package);
        pin.executable.parse::<Integrity>().expect(pin.package);
        pin.path.parse::<crate::manifest::PackagePath>().expect(pin.package);
    }
}

#[tokio::test]
async fn anvil_is_fetched_once_and_a_damaged_copy_is_fetched_again() {
    if env::var_os(ANVIL_VARIABLE).is_some() {
        // Whoever brings an anvil of their own has no registry to fetch from; the real path is then theirs.
        return;
    }
    let cache = tempfile::tempdir().expect("a temporary directory");
    let mut heard = Vec::new();
    let path = locate_or_fetch(cache.path(), |done, total| heard.push((done, total))).await.expect("fetched");
    let output = std::process::Command::new(&path).arg("--version").output().expect("it runs");
    assert!(String::from_utf8_lossy(&output.stdout).contains(VERSION), "{output:?}");
    assert!(heard.windows(2).all(|pair| pair[0].0 <= pair[1].0), "progress goes forward");
    assert!(heard.last().is_some_and(|last| last.0 > 1 << 20), "{heard:?}");

    locate_or_fetch(cache.path(), |_, _| panic!("nothing is fetched twice")).await.expect("cached");

    let mut bytes = std::fs::read(&path).expect("readable");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, &bytes).expect("writable");
    let mut fetched = false;
    locate_or_fetch(cache.path(), |_, _| fetched = true).await.expect("fetched again");
    assert!(fetched, "a copy with one changed bit is not used");
}
