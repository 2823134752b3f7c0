use super::*;

fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        // Written by hand: the library refuses the names that an attacker would write.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        builder.append(&header, *bytes).expect("appended");
    }
    builder.into_inner().expect("an archive")
}

const ABOUT: (&str, &[u8]) = ("backup.json", br#"{"version":1}"#);

#[test]
fn only_known_names_inside_the_folder_are_unpacked() {
    for hostile in ["../outside", "/etc/outside", "packages/../../outside", "other.txt", "keystore.json.bak"] {
        let folder = tempfile::tempdir().expect("a folder");
        let bytes = archive(&[ABOUT, (KEYSTORE, b"{}"), (DATABASE, b"x"), (hostile, b"evil")]);
        let error = unpack(bytes.as_slice(), folder.path()).expect_err("refused");
        assert!(error.message.contains("unexpected entry"), "{hostile}: {error}");
        assert!(!folder.path().join("../outside").exists());
    }
}

#[test]
fn a_link_is_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "packages/link", "/etc/passwd").expect("appended");
    let folder = tempfile::tempdir().expect("a folder");
    let error = unpack(builder.into_inner().expect("an archive").as_slice(), folder.path()).expect_err("refused");
    assert!(error.message.contains("unexpected entry"), "{error}");
}

#[test]
fn a_backup_without_its_parts_or_of_a_newer_program_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let error = unpack(archive(&[ABOUT, (KEYSTORE, b"{}")]).as_slice(), folder.path()).expect_err("refused");
    assert!(error.message.contains("wallet.db is missing"), "{error}");
    let newer = archive(&[("backup.json", br#"{"version":2}"#)]);
    let error = unpack(newer.as_slice(), folder.path()).expect_err("refused");
    assert!(error.message.contains("newer program"), "{error}");
}
