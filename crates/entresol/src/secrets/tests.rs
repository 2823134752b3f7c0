use super::*;

fn file(dir: &Path, text: &str, mode: u32) -> std::path::PathBuf {
    let path = dir.join("secret");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
    path
}

#[test]
fn a_secret_is_read_from_a_private_file_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let read = |text: &str, mode| from_file(&file(dir.path(), text, mode)).map(|s| s.expose_secret().to_owned());
    assert_eq!(read("correct horse\n", 0o600).expect("read"), "correct horse");
    assert_eq!(read("correct horse\r\n", 0o400).expect("read"), "correct horse");
    assert_eq!(read("  kept  ", 0o600).expect("read"), "  kept  ");
    assert!(read("x", 0o640).expect_err("refused").to_string().contains("chmod 600"));
    assert!(read("\n", 0o600).expect_err("refused").to_string().contains("empty"));
    assert!(read(&"x".repeat(5000), 0o600).expect_err("refused").to_string().contains("too long"));
    assert!(from_file(&dir.path().join("none")).expect_err("refused").to_string().contains("check the path"));
}

#[test]
fn a_new_passphrase_is_not_too_short() {
    let dir = tempfile::tempdir().expect("a directory");
    let error = new_passphrase(Some(&file(dir.path(), "short\n", 0o600)), "FILE").expect_err("refused");
    assert!(error.to_string().contains("at least 8"), "{error}");
    assert!(new_passphrase(Some(&file(dir.path(), "long enough\n", 0o600)), "FILE").is_ok());
}
