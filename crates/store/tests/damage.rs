//! A full disk, torn and damaged pages, and kill -9 in the middle of concurrent writes: what was acknowledged is there, or
//! an error says what to do; never a panic, never wrong data.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::FileExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use entresol_durable::KILL_AT;
use entresol_store::{KvOp, Network, NewSolution, Store, StoreError};
use tempfile::TempDir;

const KEY: [u8; 32] = [3; 32];
const QUOTA: u64 = 1 << 30;
/// Set in a child process: the directory of its database.
const CHILD: &str = "ENTRESOL_STORE_DAMAGE_TEST";
/// Bytes of a page, and of a frame of the log: its header and a page.
const PAGE: u64 = 4096;
const FRAME: u64 = 24 + PAGE;

fn open(directory: &Path) -> Result<Store, StoreError> {
    Store::open(&directory.join("wallet.db"), &KEY)
}

/// A store with one solution, and its id.
fn create(directory: &Path) -> (Store, i64) {
    let store = open(directory).expect("created");
    let network = Network { name: "devnet".to_owned(), chain_id: 1, rpc_urls: vec![], confirmations: 1 };
    store.put_network(&network).expect("stored");
    let new = NewSolution {
        name: "payments".to_owned(),
        title: "Payments".to_owned(),
        network: "devnet".to_owned(),
        owner_index: 0,
        gateway: None,
        network_urls: vec![],
        key_path: "m/43'/60'/1775'/1'".to_owned(),
        package_name: "payments".to_owned(),
        package_version: "1.0.0".to_owned(),
        package_sha512: "00".to_owned(),
        package_dir: "packages/payments".to_owned(),
        from_block: 0,
        interface_digest: "0x00".to_owned(),
        interface: serde_json::json!({}),
        manifest: serde_json::json!({}),
    };
    let id = store.install(&new, &[], None, 1).expect("installed").id;
    (store, id)
}

/// What belongs to a key: so much, and nothing else.
fn value(key: &str) -> Vec<u8> {
    key.bytes().cycle().take(3_000).collect()
}

/// The entries, each with the value that belongs to its key, and as many bytes as are counted.
fn sound(store: &Store, solution: i64) -> Result<Vec<String>, StoreError> {
    let all = store.kv_list(solution, "")?;
    assert!(all.iter().all(|entry| entry.value == value(&entry.key)), "every value is that of its key");
    let bytes: usize = all.iter().map(|entry| entry.key.len() + entry.value.len()).sum();
    assert_eq!(store.kv_used(solution)?, bytes as u64, "the count belongs to the entries");
    Ok(all.into_iter().map(|entry| entry.key).collect())
}

fn child(test: &str, directory: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", test, "--nocapture"]).env(CHILD, directory);
    command
}

/// Says one line to the process that started this one.
fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("told");
}

// ---- Disk full ----

/// The two errors of a disk that takes no more: SQLite tells a full disk from other limits.
fn is_full(error: &StoreError) -> bool {
    matches!(error, StoreError::DiskFull | StoreError::Disk(_))
}

/// Writes until the disk is full, shows what holds then, and goes on with room. `more_room` makes it.
fn fill_the_disk(directory: &Path, more_room: impl FnOnce()) {
    let (store, solution) = create(directory);
    let mut written = Vec::new();
    let error = loop {
        let key = format!("key-{:05}", written.len());
        match store.kv_put(solution, &key, &value(&key), QUOTA) {
            Ok(()) => written.push(key),
            Err(error) => break error,
        }
        assert!(written.len() < 100_000, "the disk is never full");
    };
    assert!(is_full(&error), "{error:?}");
    assert!(error.to_string().contains("make room and try again"), "{error}");
    assert!(written.len() > 10, "something fitted: {}", written.len());

    assert_eq!(sound(&store, solution).expect("read"), written, "nothing acknowledged is lost, nothing else is there");
    // Others fail in the same way, each with an error of its own.
    let big = |n: u8| vec![KvOp::Put { key: format!("big-{n}"), value: vec![n; 400_000] }];
    let errors: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn({
                    let store = &store;
                    move || store.kv_batch(solution, &big(n), QUOTA)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic").expect_err("full")).collect()
    });
    assert!(errors.iter().all(is_full), "{errors:?}");
    let meta = store.put_meta("note", &serde_json::json!("x".repeat(400_000))).expect_err("full");
    assert!(is_full(&meta), "{meta:?}");
    assert_eq!(sound(&store, solution).expect("read"), written);

    more_room();
    let key = format!("key-{:05}", written.len());
    store.kv_put(solution, &key, &value(&key), QUOTA).expect("the same call, now that there is room");
    written.push(key);
    store.integrity_check().expect("sound");
    drop(store);
    let store = open(directory).expect("opened again");
    assert_eq!(sound(&store, solution).expect("read"), written);
    tell(&format!("disk full after {} writes; all there", written.len() - 1));
}

fn passes(command: &mut Command) -> String {
    let output = command.output().expect("a child process");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("all there"), "the child did its work: {said}");
    said
}

/// Real errors of real writes: the kernel refuses to make a file larger than a limit.
#[test]
fn a_file_that_may_not_grow_is_a_full_disk() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    const TEST: &str = "a_file_that_may_not_grow_is_a_full_disk";
    if let Some(directory) = std::env::var_os(CHILD) {
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limit = |bytes| setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum }).expect("a limit");
        limit(Some(3_000_000));
        fill_the_disk(Path::new(&directory), || limit(maximum));
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    // The signal that comes with the error is ignored by the shell, and so by what it becomes.
    let program = child(TEST, directory.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    println!("file size limit: {}", passes(shell.env(CHILD, directory.path())));
}

/// A file system of four megabytes, where a user may have one (a namespace of its own).
#[test]
fn a_small_file_system_is_a_full_disk() {
    const TEST: &str = "a_small_file_system_is_a_full_disk";
    if let Some(directory) = std::env::var_os(CHILD) {
        let mount = Path::new(&directory);
        let ballast = mount.join("ballast");
        #[allow(clippy::disallowed_methods, reason = "a test's own file, which takes room away")]
        std::fs::write(&ballast, vec![0; 1 << 20]).expect("written");
        let wallet = mount.join("wallet");
        entresol_durable::create_private_dir(&wallet).expect("created");
        #[allow(clippy::disallowed_methods, reason = "a test's own file, which gives room back")]
        fill_the_disk(&wallet, || std::fs::remove_file(ballast).expect("removed"));
        return;
    }
    let directory = tempfile::tempdir().expect("a directory");
    let may = Command::new("unshare").args(["--user", "--map-root-user", "--mount", "true"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("no namespaces here: the limit of the file's size is the only full disk that was tested");
        return;
    }
    let program = child(TEST, directory.path());
    let script = "mount -t tmpfs -o size=4m tmpfs \"$0\" && exec \"$@\"";
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]).arg(directory.path());
    shell.arg(program.get_program()).args(program.get_args());
    println!("small file system: {}", passes(shell.env(CHILD, directory.path())));
}

// ---- Torn and damaged pages ----

/// What a killed process acknowledged; it leaves its files in `directory`, and all of it in the log.
fn killed(test: &str, directory: &Path) -> Vec<String> {
    let mut running =
        child(test, directory).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child process");
    let lines = BufReader::new(running.stdout.take().expect("its output")).lines().map_while(Result::ok);
    let mut acknowledged = Vec::new();
    for line in lines {
        if let Some(key) = line.strip_prefix("done ") {
            acknowledged.push(key.to_owned());
        }
        if line == "enough" {
            running.kill().expect("killed");
        }
    }
    assert_eq!(running.wait().expect("ended").signal(), Some(9));
    acknowledged
}

fn be_killed(directory: &Path) {
    let (store, solution) = create(directory);
    for n in 0..40 {
        let key = format!("key-{n:02}");
        store.kv_put(solution, &key, &value(&key), QUOTA).expect("stored");
        tell(&format!("done {key}"));
    }
    tell("enough");
    // Until it is killed, or the test has ended without.
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// A copy of the files of `from`, to be damaged.
#[allow(clippy::disallowed_methods, reason = "a test's own files")]
fn copied(from: &Path) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for name in ["wallet.db", "wallet.db-wal"] {
        std::fs::copy(from.join(name), directory.path().join(name)).expect("copied");
    }
    directory
}

#[allow(clippy::disallowed_methods, reason = "a test damages its own files")]
fn file(directory: &Path, name: &str) -> std::fs::File {
    std::fs::OpenOptions::new().read(true).write(true).open(directory.join(name)).expect("opened")
}

/// Turns some bits in the middle of a page.
fn damage(file: &std::fs::File, offset: u64) {
    let mut bytes = [0; 16];
    file.read_exact_at(&mut bytes, offset).expect("read");
    bytes.iter_mut().for_each(|byte| *byte ^= 0xff);
    file.write_all_at(&bytes, offset).expect("written");
}

#[test]
fn a_torn_log_loses_its_torn_end_and_nothing_before() {
    if let Some(directory) = std::env::var_os(CHILD) {
        return be_killed(Path::new(&directory));
    }
    let victim = tempfile::tempdir().expect("a directory");
    let acknowledged = killed("a_torn_log_loses_its_torn_end_and_nothing_before", victim.path());
    assert_eq!(acknowledged.len(), 40);
    // How many entries are there; none when it is torn before the solution was installed.
    let check = |directory: &Path| -> Option<usize> {
        let store = open(directory).expect("opens");
        store.integrity_check().expect("sound");
        store.solution(1).expect("read")?;
        let keys = sound(&store, 1).expect("read");
        assert_eq!(keys, acknowledged[..keys.len()], "what came first, without a gap");
        store.kv_put(1, "more", &value("more"), QUOTA).expect("it goes on");
        Some(keys.len())
    };
    assert_eq!(check(copied(victim.path()).path()), Some(40), "nothing is torn, nothing is lost");

    let length = std::fs::metadata(victim.path().join("wallet.db-wal")).expect("there").len();
    let frames = (length - 32) / FRAME;
    let mut last = Some(40);
    let mut counts = BTreeMap::new();
    for frame in (0..frames).rev() {
        // Cut in the middle of a frame; damaged in the middle of that frame.
        let middle = 32 + frame * FRAME + FRAME / 2;
        let (cut, harmed) = (copied(victim.path()), copied(victim.path()));
        file(cut.path(), "wallet.db-wal").set_len(middle).expect("cut");
        damage(&file(harmed.path(), "wallet.db-wal"), middle);
        let there = check(cut.path());
        assert_eq!(check(harmed.path()), there, "frame {frame}: a torn and a damaged frame are the same");
        assert!(there <= last, "the earlier it is torn, the less is there");
        last = there;
        *counts.entry(there).or_insert(0) += 1;
    }
    println!("torn log: {frames} frames, {} different ends, each without a gap", counts.len());
    assert_eq!(counts.len(), 41, "an end after each of the entries, and one before all: {counts:?}");
}

#[test]
fn a_damaged_page_is_an_error_that_names_the_backup() {
    let directory = tempfile::tempdir().expect("a directory");
    let (store, solution) = create(directory.path());
    let keys: Vec<String> = (0..40).map(|n| format!("key-{n:02}")).collect();
    keys.iter().for_each(|key| store.kv_put(solution, key, &value(key), QUOTA).expect("stored"));
    // Closed, so that everything is in the main file.
    drop(store);
    let pages = std::fs::metadata(directory.path().join("wallet.db")).expect("there").len() / PAGE;
    let (mut at_open, mut at_read) = (0, 0);
    for page in 0..pages {
        let harmed = tempfile::tempdir().expect("a directory");
        #[allow(clippy::disallowed_methods, reason = "a test's own file")]
        std::fs::copy(directory.path().join("wallet.db"), harmed.path().join("wallet.db")).expect("copied");
        damage(&file(harmed.path(), "wallet.db"), page * PAGE + PAGE / 2);
        let store = match open(harmed.path()) {
            Ok(store) => store,
            Err(error) => {
                assert!(error.to_string().contains("restore") || error.to_string().contains("damaged"), "{error}");
                at_open += 1;
                continue;
            }
        };
        let error = store.integrity_check().expect_err("found");
        assert!(matches!(error, StoreError::Damaged { .. }), "page {page}: {error:?}");
        assert!(error.to_string().contains("entresol restore"), "{error}");
        match sound(&store, solution) {
            Ok(found) => assert_eq!(found, keys, "page {page}: all of it, or an error"),
            Err(error) => {
                assert!(matches!(error, StoreError::Damaged { .. }), "page {page}: {error:?}");
                at_read += 1;
            }
        }
    }
    // A page cut in half at the end of the file.
    file(directory.path(), "wallet.db").set_len(pages * PAGE - PAGE / 2).expect("cut");
    let torn = open(directory.path()).and_then(|store| store.integrity_check());
    assert!(matches!(torn, Err(StoreError::Damaged { .. })), "{torn:?}");
    println!("damaged page: {pages} pages, {at_open} found at opening, {at_read} at reading, all by the check");
    assert!(at_read > 20 && pages > 40, "{pages} pages, {at_read} found at reading");
}

// ---- Killed in the middle of concurrent writes ----

#[test]
fn concurrent_writers_find_what_was_acknowledged_after_a_kill() {
    const TEST: &str = "concurrent_writers_find_what_was_acknowledged_after_a_kill";
    const WRITERS: usize = 12;
    if let Some(directory) = std::env::var_os(CHILD) {
        let store = open(Path::new(&directory)).expect("opened");
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let store = &store;
                scope.spawn(move || {
                    for n in 0..500 {
                        let key = format!("{writer}/{n:03}");
                        store.kv_put(1, &key, &value(&key), QUOTA).expect("stored");
                        tell(&format!("done {key}"));
                    }
                });
            }
        });
        return;
    }
    let mut all = 0;
    let moments: Vec<String> = ["before", "after"]
        .iter()
        .flat_map(|moment| [2, 3, 5, 8, 13, 21].map(|n| format!("store.kv.write:{moment}:{n}")))
        .collect();
    for moment in &moments {
        let directory = tempfile::tempdir().expect("a directory");
        drop(create(directory.path()));
        let output = child(TEST, directory.path()).env(KILL_AT, moment).output().expect("a child process");
        assert_eq!(output.status.signal(), Some(9), "{moment}: {}", String::from_utf8_lossy(&output.stderr));
        let store = open(directory.path()).expect("opens");
        let there = sound(&store, 1).expect("read");
        let text = String::from_utf8(output.stdout).expect("text");
        // A line is whole or the last one.
        let acknowledged: Vec<_> =
            text.split_inclusive('\n').filter_map(|line| line.strip_prefix("done ")?.strip_suffix('\n')).collect();
        for key in &acknowledged {
            assert!(there.iter().any(|one| one == key), "{moment}: {key} was acknowledged");
        }
        // Besides those only what was being written: at most one for each writer.
        assert!(there.len() <= acknowledged.len() + WRITERS, "{moment}: {} of {}", there.len(), acknowledged.len());
        all += acknowledged.len();
    }
    println!("killed while {WRITERS} write: {} kills, {all} acknowledged writes, all there", moments.len());
    assert!(all > 100, "{all}");
}
