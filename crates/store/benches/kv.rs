//! The key-value databases of plugins at scale, beside the same work done with plain SQLite in the same session.
//!
//! `cargo xtask bench store` runs it. Each line of the output is one figure as JSON: `name`, `value`, `unit` and, where
//! there is one, `baseline` (what it is compared with), `baseline_value` and `ratio` (value by baseline value).
//! `ENTRESOL_BENCH_SOLUTIONS` makes a smaller run.

#![allow(clippy::print_stdout, reason = "the figures are its output")]
#![allow(clippy::disallowed_methods, reason = "measures the plain calls beside the store's own, on data of its own")]

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use entresol_store::{KvOp, Network, NewSolution, Store};
use rusqlite::{Connection, OpenFlags};
use serde_json::{Value, json};

const KEY: [u8; 32] = [7; 32];
const KEYS: u64 = 20;
const VALUE_BYTES: usize = 200;
const QUOTA: u64 = 1 << 30;
/// Reads in each measurement of latency.
const READS: usize = 20_000;
/// How long each throughput is measured in a round, and how many rounds there are; their median is said.
const SPAN: Duration = Duration::from_secs(1);
const ROUNDS: usize = 7;
const WRITERS: usize = 32;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let solutions = match std::env::var("ENTRESOL_BENCH_SOLUTIONS") {
        Ok(number) => number.parse()?,
        Err(_) => 10_000,
    };
    let directory = tempfile::tempdir()?;
    let (ours, plain) = (directory.path().join("wallet.db"), directory.path().join("plain.db"));
    let store = Store::open(&ours, &KEY)?;
    fill(&store, solutions)?;
    // The plain databases are copies of the same file, so that they hold the same pages.
    store.snapshot_into(&plain)?;
    size(&store, &ours, solutions)?;
    drop(store);
    reads(&ours, &plain, solutions)?;
    writes(&Store::open(&ours, &KEY)?, &plain, directory.path(), solutions)
}

/// Prints a figure and, where there is one, its baseline: name, value, and how many times that the figure is.
fn say(name: &str, value: f64, unit: &str, baseline: Option<(&str, f64, f64)>) {
    let mut line = json!({ "name": name, "value": value, "unit": unit });
    if let (Some((baseline, baseline_value, ratio)), Some(object)) = (baseline, line.as_object_mut()) {
        object.insert("baseline".to_owned(), json!(baseline));
        object.insert("baseline_value".to_owned(), json!(baseline_value));
        object.insert("ratio".to_owned(), json!(ratio));
    }
    println!("{line}");
}

/// A small generator (xorshift): the same keys are read on both sides.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn key(n: u64) -> String {
    format!("channel/{n:04}")
}

fn value(n: u64) -> Vec<u8> {
    let mut numbers = Numbers(n + 1);
    (0..VALUE_BYTES).map(|_| u8::try_from(numbers.below(256)).unwrap_or_default()).collect()
}

/// A value that no write before had: SQLite does not write a page that stays as it is.
fn new_value() -> Vec<u8> {
    static LAST: AtomicU64 = AtomicU64::new(1 << 40);
    value(LAST.fetch_add(1, Ordering::Relaxed))
}

fn fill(store: &Store, solutions: i64) -> Outcome<()> {
    let network = Network { name: "devnet".to_owned(), chain_id: 1, rpc_urls: vec![], confirmations: 1 };
    store.put_network(&network)?;
    for n in 1..=solutions {
        let new = NewSolution {
            name: format!("solution-{n}"),
            title: "Payments".to_owned(),
            network: "devnet".to_owned(),
            owner_index: 0,
            gateway: None,
            network_urls: vec![],
            key_path: format!("m/43'/60'/1775'/{n}'"),
            package_name: "payments".to_owned(),
            package_version: "1.0.0".to_owned(),
            package_sha512: "00".to_owned(),
            package_dir: "packages/payments".to_owned(),
            from_block: 0,
            interface_digest: "0x00".to_owned(),
            interface: Value::Null,
            manifest: Value::Null,
        };
        let solution = store.install(&new, &[], None, 0)?.id;
        let put = |n: u64| KvOp::Put { key: key(n), value: value(n + 100 * solution.unsigned_abs()) };
        store.kv_batch(solution, &(0..KEYS).map(put).collect::<Vec<_>>(), QUOTA)?;
    }
    Ok(())
}

fn size(store: &Store, path: &Path, solutions: i64) -> Outcome<()> {
    let mut used = 0;
    for solution in 1..=solutions {
        used += store.kv_used(solution)?;
    }
    let entries = solutions.unsigned_abs() * KEYS;
    say("solutions", solutions as f64, "solutions", None);
    say("entries", entries as f64, "entries", None);
    say("keys and values", used as f64 / 1e6, "MB", None);
    say("database file", std::fs::metadata(path)?.len() as f64 / 1e6, "MB", None);
    Ok(())
}

/// A connection as plain as it can be, with the store's key and the store's durability.
fn connect(path: &Path, key: Option<&[u8; 32]>) -> Outcome<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::default())?;
    if let Some(key) = key {
        let text: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        connection.execute_batch(&format!("PRAGMA key = \"x'{text}'\""))?;
    }
    connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;")?;
    Ok(connection)
}

fn percentile(sorted: &[Duration], share: f64) -> f64 {
    let index = ((sorted.len() - 1) as f64 * share).round() as usize;
    sorted[index].as_secs_f64() * 1e6
}

/// Sorted latencies of reading keys among so many solutions, the same ones each time this is called.
fn latencies(within: u64, mut read: impl FnMut(i64, &str) -> Outcome<usize>) -> Outcome<Vec<Duration>> {
    let mut numbers = Numbers(42);
    let mut times = Vec::with_capacity(READS);
    // Half as many again before it counts: the cache is as warm as it gets.
    for n in 0..READS + READS / 2 {
        let solution = 1 + i64::try_from(numbers.below(within))?;
        let key = key(numbers.below(KEYS));
        let start = Instant::now();
        let length = read(solution, &key)?;
        if n >= READS / 2 {
            times.push(start.elapsed());
        }
        if length != VALUE_BYTES {
            return Err(format!("{key} of solution {solution} has {length} bytes").into());
        }
    }
    times.sort_unstable();
    Ok(times)
}

/// One after the other, with nothing else open: this build of SQLite keeps the pages of all connections of a process in
/// one cache, where they drive each other out.
fn reads(ours: &Path, plain: &Path, solutions: i64) -> Outcome<()> {
    let all = solutions.unsigned_abs();
    // Any solution's keys; then those of ten solutions again and again, as running plugins read them.
    let kinds = [("all solutions", all), ("10 solutions", all.min(10))];
    let connection = connect(plain, Some(&KEY))?;
    let mut statement = connection.prepare("SELECT value FROM kv WHERE solution = ?1 AND key = ?2")?;
    let mut raw =
        |solution: i64, key: &str| Ok(statement.query_row((solution, key), |row| row.get::<_, Vec<u8>>(0))?.len());
    let there = [latencies(kinds[0].1, &mut raw)?, latencies(kinds[1].1, &mut raw)?];
    drop(statement);
    drop(connection);
    let store = Store::open(ours, &KEY)?;
    let get = |solution: i64, key: &str| Ok(store.kv_get(solution, key)?.map_or(0, |value| value.len()));
    let here = [latencies(kinds[0].1, get)?, latencies(kinds[1].1, get)?];
    for (index, (among, _)) in kinds.into_iter().enumerate() {
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let (value, other) = (percentile(&here[index], share), percentile(&there[index], share));
            let baseline = ("SQLCipher, prepared statement", other, value / other);
            say(&format!("kv_get {name}, {among}"), value, "µs", Some(baseline));
        }
    }
    Ok(())
}

/// How often a second `write` comes back, with so many threads.
fn rate(threads: usize, write: impl Fn(usize, u64) -> Outcome<()> + Sync) -> Outcome<f64> {
    let start = Instant::now();
    let work = |thread: usize| -> Outcome<u64> {
        let mut done = 0;
        while start.elapsed() < SPAN {
            write(thread, done)?;
            done += 1;
        }
        Ok(done)
    };
    let counts = std::thread::scope(|scope| {
        let work = &work;
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().map(|one| one.join().map_err(|_| "a writer panicked")?).collect::<Outcome<Vec<u64>>>()
    })?;
    Ok(counts.iter().sum::<u64>() as f64 / start.elapsed().as_secs_f64())
}

/// A file with room that is there already, as in a log that is written anew from its beginning.
fn prepared_file(directory: &Path) -> Outcome<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).open(directory.join("flushes"))?;
    file.write_all_at(&vec![0; 8 << 20], 0)?;
    file.sync_all()?;
    Ok(file)
}

/// The disk's own pace: a frame's bytes and a flush.
fn flushes(file: &File) -> Outcome<f64> {
    let frame = [1; 4096 + 24];
    rate(1, |_, n| {
        file.write_all_at(&frame, n * 4_120 % (8 << 20))?;
        Ok(file.sync_data()?)
    })
}

const PUT: &str = "INSERT INTO kv (solution, key, value) VALUES (?1, ?2, ?3)
    ON CONFLICT (solution, key) DO UPDATE SET value = excluded.value";

/// Writes a second with so many of them in one commit.
fn plain_rate(connection: &mut Connection, solutions: i64, batch: u64) -> Outcome<f64> {
    let connection = std::sync::Mutex::new((connection, Numbers(7)));
    let commits = rate(1, |_, _| {
        let mut guard = connection.lock().map_err(|_| "a writer panicked")?;
        let (connection, numbers) = &mut *guard;
        let tx = connection.transaction()?;
        for _ in 0..batch {
            let solution = 1 + i64::try_from(numbers.below(solutions.unsigned_abs()))?;
            let (key, value) = (key(numbers.below(KEYS)), new_value());
            tx.prepare_cached(PUT)?.execute((solution, key, value))?;
        }
        Ok(tx.commit()?)
    })?;
    Ok(commits * batch as f64)
}

/// Measured in turn, several rounds: other work on the disk then falls on all of them alike.
const KINDS: [&str; 6] = [
    "disk: 4 KiB write and fdatasync",
    "SQLCipher, one commit for each write",
    "SQLite, 32 writes in a commit",
    "SQLCipher, 32 writes in a commit",
    "kv_put durable, 1 writer",
    "kv_put durable, 32 writers",
];
/// What is said beside what, by index into `KINDS`.
const COMPARED: [(usize, usize); 9] = [(1, 0), (2, 1), (3, 1), (4, 1), (4, 0), (5, 1), (5, 2), (5, 3), (5, 0)];

fn writes(store: &Store, cipher: &Path, directory: &Path, solutions: i64) -> Outcome<()> {
    let mut plain = without_encryption(cipher, &directory.join("open.db"))?;
    let mut encrypted = connect(cipher, Some(&KEY))?;
    let ours = |thread: usize, n: u64| {
        let mut numbers = Numbers((1 + thread as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ n << 8);
        numbers.below(2);
        let solution = 1 + i64::try_from(numbers.below(solutions.unsigned_abs()))?;
        let (key, value) = (key(numbers.below(KEYS)), new_value());
        Ok(store.kv_put(solution, &key, &value, QUOTA)?)
    };
    let file = prepared_file(directory)?;
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push([
            flushes(&file)?,
            plain_rate(&mut encrypted, solutions, 1)?,
            plain_rate(&mut plain, solutions, WRITERS as u64)?,
            plain_rate(&mut encrypted, solutions, WRITERS as u64)?,
            rate(1, ours)?,
            rate(WRITERS, ours)?,
        ]);
    }
    let median = |of: &dyn Fn(&[f64; 6]) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_unstable_by(f64::total_cmp);
        all[all.len() / 2]
    };
    say(KINDS[0], median(&|round| round[0]), "flushes/s", None);
    for (this, other) in COMPARED {
        let baseline = (KINDS[other], median(&|round| round[other]), median(&|round| round[this] / round[other]));
        say(KINDS[this], median(&|round| round[this]), "writes/s", Some(baseline));
    }
    Ok(())
}

/// The same tables and rows in a file that is not encrypted.
fn without_encryption(cipher: &Path, path: &Path) -> Outcome<Connection> {
    let from = connect(cipher, Some(&KEY))?;
    let text = path.to_str().ok_or("a path of letters")?;
    from.execute("ATTACH ?1 AS open KEY ''", [text])?;
    from.query_row("SELECT sqlcipher_export('open')", [], |_| Ok(()))?;
    from.execute_batch("DETACH open")?;
    connect(path, None)
}
