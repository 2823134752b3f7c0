//! Canaries: after a day of use no file, log, message or core of the daemon holds the seed, a private key or the
//! passphrase, in any spelling that software gives to such things.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use alloy::hex;
use entresol_vault::{SubtreePath, Vault};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::day::life::{Day, EVENING, IMPORTED, MORNING, PHRASE, without_tracing};
use crate::day::script::SCRIPT;
use crate::day::{anvil, go_on, model};
use crate::support::Said;

/// BIP-39: entropy and seed (without a further passphrase) of [`PHRASE`].
const ENTROPY: &str = "9e885d952ad362caeb4efe34a8e91bd2";
const SEED: &str = "e2f88a043776c828063d4c3c97173944d32cf847a925b6e40b0b8bd0b4bead3b\
                    a734bdda5250d4698b310a71c9934e1a48e562315ce22bf85f89459df0e73a6c";

/// Methods whose parameters hold a secret by what they are for.
const CARRIES: [&str; 5] = ["session_open", "unlock", "account_import", "passphrase_change", "backup"];

/// A secret in one spelling.
struct Needle {
    name: String,
    bytes: Vec<u8>,
}

fn base64(bytes: &[u8], alphabet: &[u8; 2]) -> String {
    let digit = |value: u32| match value {
        0..26 => b'A' + value as u8,
        26..52 => b'a' + (value - 26) as u8,
        52..62 => b'0' + (value - 52) as u8,
        rest => alphabet[rest as usize - 62],
    };
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().enumerate().fold(0_u32, |word, (n, byte)| word | u32::from(*byte) << (16 - 8 * n));
        text.extend((0..=chunk.len()).map(|n| char::from(digit(word >> (18 - 6 * n) & 63))));
    }
    text
}

/// The secret as bytes, hex and base64 (both alphabets; wherever in a longer text it stands).
fn spellings(name: &str, secret: &[u8], into: &mut Vec<Needle>) {
    let mut add = |how: &str, bytes: Vec<u8>| into.push(Needle { name: format!("{name} ({how})"), bytes });
    add("bytes", secret.to_vec());
    add("reversed", secret.iter().rev().copied().collect());
    add("hex", hex::encode(secret).into_bytes());
    add("HEX", hex::encode_upper(secret).into_bytes());
    let listed: Vec<_> = secret.iter().map(ToString::to_string).collect();
    add("list", listed.join(",").into_bytes());
    add("spaced list", listed.join(", ").into_bytes());
    for alphabet in [b"+/", b"-_"] {
        for shift in 0..3 {
            let text = base64(&[vec![0; shift], secret.to_vec()].concat(), alphabet);
            // Only the digits that depend on nothing but the secret.
            let (from, to) = ((8 * shift).div_ceil(6), 8 * (shift + secret.len()) / 6);
            add(&format!("base64 {shift}"), text.as_bytes()[from..to].to_vec());
        }
    }
}

fn needles(keys: &[(String, Vec<u8>)]) -> Vec<Needle> {
    let mut all = Vec::new();
    spellings("entropy", &hex::decode(ENTROPY).expect("hex"), &mut all);
    spellings("seed", &hex::decode(SEED).expect("hex"), &mut all);
    for (name, key) in keys {
        spellings(name, key, &mut all);
    }
    for (name, passphrase) in [("old passphrase", MORNING), ("passphrase", EVENING)] {
        spellings(name, passphrase.as_bytes(), &mut all);
    }
    spellings("phrase", PHRASE.as_bytes(), &mut all);
    // Four words in their order are none by chance.
    let words: Vec<_> = PHRASE.split(' ').collect();
    for four in words.windows(4) {
        for between in [" ", ",", ", ", "\n", "\",\"", "\", \"", "\0", ""] {
            all.push(Needle { name: format!("words {four:?}"), bytes: four.join(between).into_bytes() });
        }
    }
    all
}

fn holds(hay: &[u8], needle: &[u8]) -> bool {
    let first = needle[0];
    let mut from = 0;
    while let Some(at) = hay[from..].iter().position(|byte| *byte == first) {
        if hay[from + at..].starts_with(needle) {
            return true;
        }
        from += at + 1;
    }
    false
}

fn found<'a>(hay: &[u8], needles: &'a [Needle]) -> Vec<&'a str> {
    needles.iter().filter(|needle| holds(hay, &needle.bytes)).map(|needle| needle.name.as_str()).collect()
}

fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("readable").map(|entry| entry.expect("readable")) {
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => files(&entry.path(), into),
            kind if kind.is_file() => into.push(entry.path()),
            _ => {}
        }
    }
}

/// Every file below the directories, with what was found in it; and how many files and bytes that were.
fn search(dirs: &[&Path], needles: &[Needle]) -> (Vec<String>, usize, usize) {
    let mut all = Vec::new();
    dirs.iter().for_each(|dir| files(dir, &mut all));
    let (mut hits, mut bytes) = (Vec::new(), 0);
    for path in &all {
        let content = std::fs::read(path).expect("readable");
        bytes += content.len();
        hits.extend(found(&content, needles).into_iter().map(|name| format!("{}: {name}", path.display())));
    }
    (hits, all.len(), bytes)
}

#[test]
fn base64_is_that_of_rfc_4648() {
    for (plain, coded) in [("f", "Zg"), ("fo", "Zm8"), ("foo", "Zm9v"), ("foob", "Zm9vYg"), ("\u{fb}\u{f0}", "w7vDsA")]
    {
        assert_eq!(base64(plain.as_bytes(), b"+/"), coded);
    }
}

/// What the page says, with what belongs to it: everything that a browser would be sent.
fn page(day: &mut Day) -> Vec<u8> {
    let link = day.call("web_link", json!({})).expect("a link");
    let link = link.as_str().expect("text").to_owned();
    let rest = link.strip_prefix("http://").expect("http");
    let (host, path) = rest.split_once('/').expect("a path");
    let get = |path: &str, cookie: &str| {
        let mut stream = TcpStream::connect(host).expect("connected");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n{cookie}Connection: close\r\n\r\n")
            .expect("sent");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        answer
    };
    let mut heard = get(&format!("/{path}"), "");
    let text = String::from_utf8_lossy(&heard).into_owned();
    let header = |name: &str| {
        let line = text.lines().find(|line| line.to_lowercase().starts_with(name)).unwrap_or_else(|| panic!("{text}"));
        line[name.len()..].trim().split(';').next().unwrap_or_default().to_owned()
    };
    let (place, cookie) = (header("location:"), format!("Cookie: {}\r\n", header("set-cookie:")));
    for page in ["", "solutions", "solutions/till", "approvals", "approvals/all", "transfers", "activity"] {
        let answer = get(&format!("{place}{page}"), &cookie);
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{page}: {}", String::from_utf8_lossy(&answer));
        heard.extend(answer);
    }
    heard
}

/// True when a process of this user may look into this one. The files of one that nobody may look into belong to root;
/// root itself tries to open its memory, without the capability that lets root do everything.
fn is_open(pid: u32) -> bool {
    let own = rustix::process::getuid();
    if !own.is_root() {
        let environment = std::fs::metadata(format!("/proc/{pid}/environ")).expect("it runs");
        return environment.uid() == own.as_raw();
    }
    let mut look = Command::new("sh");
    look.args(["-c", &format!("exec 3</proc/{pid}/mem")]);
    without_tracing(&look).stderr(Stdio::null()).status().expect("started").success()
}

/// The daemon leaves no core, and nobody of the same user looks into it.
fn no_core(day: &Day) {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", day.pid())).expect("readable");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit");
    let numbers: Vec<_> = core.split_ascii_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "{core}");
    // An ordinary process of this user is open to the same look: the refusal is the daemon's own doing.
    let mut ordinary = without_tracing(Command::new("sleep").arg("60")).spawn().expect("started");
    let (other, own) = (is_open(ordinary.id()), is_open(day.pid()));
    let _ = ordinary.kill();
    let _ = ordinary.wait();
    assert!(!own, "the daemon's memory can be read");
    if !other {
        let _ =
            writeln!(std::io::stderr(), "this system lets nobody look into any process: the daemon's part is not seen");
    }
}

#[test]
fn after_a_day_of_use_no_secret_lies_anywhere() {
    let mut day = Day::new(&anvil(), None);
    day.environment.push(("ENTRESOL_LOG", "debug".to_owned()));
    day.with_page = true;
    day.untraced = true;
    day.start().expect("started");
    go_on(&mut day, SCRIPT).expect("a day");
    // Mistakes are written about too.
    let wrong = json!({ "passphrase": MORNING });
    day.call("unlock", wrong).expect_err("it was changed");
    day.call("account_import", json!({ "privateKey": IMPORTED, "passphrase": EVENING }))
        .expect_err("it is there already");
    day.call("account_import", json!({ "privateKey": &IMPORTED[..60], "passphrase": EVENING })).expect_err("too short");
    day.call("session_open", json!({ "passphrase": EVENING, "phrase": 1 })).expect_err("no such parameter");
    go_on(&mut day, &[("comparison", model::compare)]).expect("compared");
    let mut shown = page(&mut day);
    for arguments in [&["status"][..], &["account", "list"], &["activity"], &["approvals", "list", "--all"]] {
        let output = day.command(EVENING, false).args(arguments).output().expect("started");
        assert!(output.status.success(), "{arguments:?}: {:?}", Said::of(output));
        shown.extend(output.stdout.iter().chain(&output.stderr));
    }
    let said = Said::of(day.command(MORNING, false).args(["unlock"]).output().expect("started"));
    assert_ne!(said.code, 0, "{said:?}");
    shown.extend(said.err.into_bytes());
    for what in ["cmdline", "environ"] {
        shown.extend(std::fs::read(format!("/proc/{}/{what}", day.pid())).unwrap_or_default());
    }
    no_core(&day);

    let mut keys = vec![("imported key".to_owned(), hex::decode(IMPORTED).expect("hex"))];
    let paths: Vec<_> = day.list("solutions", json!({})).expect("a list");
    let (vault, database) = Vault::open(&day.home().join("keystore.json"), &EVENING.into()).expect("opens");
    keys.push(("database key".to_owned(), database.expose().to_vec()));
    let owner = vault.export_owner_key(0, &EVENING.into()).expect("exported");
    keys.push(("owner key 0".to_owned(), hex::decode(owner.expose_secret()).expect("hex")));
    for solution in &paths {
        let path: SubtreePath = solution["keyPath"].as_str().expect("a path").parse().expect("a path");
        let key = vault.export_subtree_key(&path, 0).expect("exported");
        keys.push((format!("layer-2 key 0 of {}", solution["name"]), hex::decode(key.expose_secret()).expect("hex")));
    }
    assert_eq!(keys.len(), 5);
    let needles = needles(&keys);

    // A signal that ends a process with a core leaves none here. Not QUIT: background jobs of a shell ignore it.
    let pid = i32::try_from(day.pid()).ok().and_then(rustix::process::Pid::from_raw).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::ABORT).expect("alive");
    let status = day.ended();
    assert!(status.signal().is_some() && !status.core_dumped(), "{status}");

    let log = day.log();
    assert!(log.lines().any(|line| line.contains("DEBUG")), "the log is not at its most talkative");
    let (hits, count, bytes) = search(&[day.dir.path()], &needles);
    assert_eq!(hits, Vec::<String>::new());
    let backup = std::fs::read(day.model.backup.as_ref().expect("a backup")).expect("readable");
    assert_eq!(found(&backup, &needles), Vec::<&str>::new(), "the backup");
    assert_eq!(found(&shown, &needles), Vec::<&str>::new(), "the page, the command line's output");
    let answers: Vec<u8> = day.traffic.answered.concat().into_bytes();
    assert_eq!(found(&answers, &needles), Vec::<&str>::new(), "the daemon's answers");
    let mut carried = 0;
    for (method, line) in &day.traffic.asked {
        let there = found(line.as_bytes(), &needles);
        assert!(there.is_empty() || CARRIES.contains(&method.as_str()), "{method}: {there:?}");
        carried += usize::from(!there.is_empty());
    }
    assert!(carried > 3, "the search finds nothing even where the secrets must be");

    // The search itself: each spelling of each secret is found where it lies in the middle of a file.
    let planted = tempfile::tempdir_in(day.dir.path()).expect("a directory");
    let mut caught = 0;
    for needle in &needles {
        let content = [b"{\"some\":\"", needle.bytes.as_slice(), b"\"}"].concat();
        std::fs::write(planted.path().join("canary"), content).expect("written");
        let (hits, ..) = search(&[day.dir.path()], std::slice::from_ref(needle));
        assert_eq!(hits.len(), 1, "{}", needle.name);
        caught += 1;
    }
    let _ = writeln!(
        std::io::stderr(),
        "canaries: {} spellings in {count} files ({bytes} bytes), {} messages, the page and the command line: none; \
         {caught}/{} planted ones found",
        needles.len(),
        day.traffic.answered.len(),
        needles.len()
    );
}
