use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::*;

const SMALL: Limits = Limits { total_bytes: 1_000, entries: 4 };

fn entry(builder: &mut Builder<Vec<u8>>, path: &str, kind: EntryType, bytes: &[u8]) {
    let mut header = Header::new_ustar();
    // Written by hand: the library itself refuses to make the paths that an attacker makes.
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    if matches!(kind, EntryType::Symlink | EntryType::Link) {
        header.set_link_name("/etc/passwd").expect("a link name");
    }
    header.set_cksum();
    builder.append(&header, bytes).expect("appended");
}

fn packed(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = Builder::new(Vec::new());
    for (path, kind, bytes) in entries {
        entry(&mut builder, path, *kind, bytes);
    }
    compressed(&builder.into_inner().expect("finished"))
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("compressed");
    encoder.finish().expect("compressed")
}

#[track_caller]
fn refused_with(archive: &[u8], expect: &str) {
    let error = read(archive, SMALL).expect_err("refused").to_string();
    assert!(error.contains(expect), "expected {expect}\n     got {error}");
}

const FILE: EntryType = EntryType::Regular;

#[test]
fn plain_files_lose_the_leading_folder() {
    let files = read(
        &packed(&[
            ("package/", EntryType::Directory, b""),
            ("package/package.json", FILE, b"{}"),
            ("package/dist/main.js", FILE, b"1"),
        ]),
        SMALL,
    )
    .expect("an honest archive");
    let listed: Vec<_> = files.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice())).collect();
    assert_eq!(listed, [("dist/main.js", b"1".as_slice()), ("package.json", b"{}")]);
}

#[test]
fn row_11_what_is_no_plain_file_refuses_the_archive() {
    let check =
        |kind, expect: &str| refused_with(&packed(&[("package/a", FILE, b""), ("package/b", kind, b"")]), expect);
    check(EntryType::Symlink, "symbolic link");
    check(EntryType::Link, "hard link");
    check(EntryType::Fifo, "device");
    check(EntryType::Char, "device");
    check(EntryType::Block, "device");
    check(EntryType::new(b'Z'), "unknown type");
}

#[test]
fn row_11_paths_stay_inside_the_package() {
    let check = |path: &str, expect: &str| refused_with(&packed(&[(path, FILE, b"x")]), expect);
    check("package/../../etc/passwd", "\"..\" part");
    check("package/a/../b", "\"..\" part");
    check("package/./a", "\"..\" part");
    check("package//a", "is absolute");
    check("../package/a", "not below the package's one folder");
    check("/etc/passwd", "is absolute");
    check("main.js", "not below a folder");
    check("package/a\\b", "has a character");
    check("package/a\x1b[2Jb", "has a character");
    check("package/C:evil", "has a character");
    let folder = packed(&[("package/../../up/", EntryType::Directory, b"")]);
    refused_with(&folder, "\"..\" part");
    refused_with(&packed(&[("package/a", FILE, b""), ("other/b", FILE, b"")]), "not below the package's one folder");
}

#[test]
fn row_11_a_name_stands_once_whatever_its_capitals() {
    refused_with(&packed(&[("package/a", FILE, b"1"), ("package/a", FILE, b"2")]), "has a twice");
    refused_with(&packed(&[("package/main.js", FILE, b"1"), ("package/MAIN.js", FILE, b"2")]), "has MAIN.js twice");
}

#[test]
fn row_11_count_and_size_have_caps() {
    let names: Vec<_> = (0..5).map(|i| format!("package/{i}")).collect();
    let entries: Vec<_> = names.iter().map(|name| (name.as_str(), FILE, b"".as_slice())).collect();
    refused_with(&packed(&entries), "more than 4 entries");
    read(&packed(&entries[..4]), SMALL).expect("as many as allowed");
    refused_with(&packed(&[("package/a", FILE, &[0; 600]), ("package/b", FILE, &[0; 600])]), "more than 1000 bytes");
    read(&packed(&[("package/a", FILE, &[7; 1_000])]), SMALL).expect("as large as allowed");
}

#[test]
fn row_11_a_gzip_bomb_is_not_inflated() {
    // 64 MiB of zeros behind a tiny archive, as padding: less than 70 KiB packed.
    let mut tar = Builder::new(Vec::new());
    entry(&mut tar, "package/a", FILE, b"x");
    let mut bytes = tar.into_inner().expect("finished");
    bytes.resize(64 << 20, 0);
    let bomb = compressed(&bytes);
    assert!(bomb.len() < 1 << 20);
    refused_with(&bomb, "unpacks to more than 1000 bytes");

    // A header that promises more than there is.
    let mut header = Header::new_ustar();
    header.set_path("package/a").expect("a path");
    header.set_size(u64::from(u32::MAX));
    header.set_cksum();
    refused_with(&compressed(header.as_bytes()), "unpacks to more than 1000 bytes");
}

#[test]
fn row_11_nothing_may_stand_behind_the_end() {
    let honest = packed(&[("package/a", FILE, b"x")]);
    let mut longer = honest.clone();
    longer.extend_from_slice(&honest);
    refused_with(&longer, "data behind its end");

    // A second archive behind the first one's end marker, inside the same gzip stream.
    let mut tar = Builder::new(Vec::new());
    entry(&mut tar, "package/a", FILE, b"x");
    let mut bytes = tar.into_inner().expect("finished");
    bytes.extend(bytes.clone());
    refused_with(&compressed(&bytes), "data behind its end");
}

#[test]
fn damage_is_found() {
    refused_with(b"", "damaged");
    refused_with(b"no archive at all", "damaged");
    let honest = packed(&[("package/a", FILE, b"some text")]);
    for cut in [honest.len() - 1, honest.len() - 9, honest.len() / 2] {
        refused_with(&honest[..cut], "damaged");
    }
    for position in [honest.len() - 5, honest.len() - 1] {
        let mut changed = honest.clone();
        changed[position] ^= 1;
        refused_with(&changed, "damaged");
    }
}

#[test]
fn row_11_long_names_work_and_cannot_smuggle() {
    // Names above 100 bytes come as entries of their own; the rules hold for the name that results.
    let long = |path: &str| {
        let mut builder = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(path.len() as u64 + 1);
        header.set_cksum();
        builder.append(&header, [path.as_bytes(), b"\0"].concat().as_slice()).expect("appended");
        entry(&mut builder, "package/short", FILE, b"x");
        compressed(&builder.into_inner().expect("finished"))
    };
    let deep = format!("package/{}/main.js", "d".repeat(150));
    let files = read(&long(&deep), SMALL).expect("an honest long name");
    assert_eq!(files.keys().next().map(PackagePath::as_str), deep.strip_prefix("package/"));
    refused_with(&long(&format!("package/../{}", "d".repeat(150))), "\"..\" part");
}
