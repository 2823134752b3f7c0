//! Fifty hostile plugins and an honest one, installed in a wallet: shared by the test and the bench.
//!
//! Most are scripts of the sandbox's corpus (`crates/sandbox/tests/hostile`) as they stand there, made into a plugin
//! that, once it was told to, attacks again and again in each of its lives and from its start. Each life that ends is
//! followed by another after the wallet's own pause.

use crate::support::*;
use entresol_host::error::code;
use entresol_host::messages::PluginView;
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// What becomes of a hostile plugin, and where it is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its CPU time of a turn is used up: its life ends.
    Deadline,
    /// Its memory is full: its life ends.
    Memory,
    /// One of the two: which comes first depends on how long a turn may take.
    DeadlineOrMemory,
    /// The engine's own stack is: its life ends.
    Stack,
    /// It posts without end: its life ends.
    Flood,
    /// It asks the wallet for more than it may in a minute: it is refused, and what it does not catch is kept for the
    /// user, who removes it.
    Refused,
    /// It breaks no limit of a turn: it waits until it has a share of CPU again, and the user removes it.
    HeldBack,
}

impl Fate {
    /// Whether this is what is reported of a life that ended so.
    pub(crate) fn is_told_by(self, message: &str) -> bool {
        const DEADLINE: &str = "did not finish its turn in time";
        const MEMORY: &str = "ran out of its memory";
        let words: &[&str] = match self {
            Self::Deadline => &[DEADLINE],
            Self::Memory => &[MEMORY],
            Self::DeadlineOrMemory => &[DEADLINE, MEMORY],
            Self::Stack => &["ran out of stack"],
            Self::Flood => &["too many messages in one turn"],
            Self::Refused => &["in a minute are used up"],
            Self::HeldBack => &[],
        };
        words.iter().any(|words| message.contains(words))
    }

    /// The memory that it is granted, in MiB.
    fn memory(self) -> usize {
        // The least that there is: to fill it takes the time of others.
        if self == Self::Memory { 8 } else { 16 }
    }

    /// It is no crime; only the user ends it.
    pub(crate) fn lives_on(self) -> bool {
        matches!(self, Self::Refused | Self::HeldBack)
    }

    /// The limits that the fate is about, low enough to be met soon; `turn` in milliseconds.
    fn limits(self, turn: u64) -> Json {
        match self {
            Self::Deadline | Self::DeadlineOrMemory => json!({ "turnTime": turn }),
            Self::Memory | Self::Stack => json!({ "turnTime": 30_000 }),
            Self::Flood => json!({ "turnTime": 30_000, "messagesPerTurn": 100 }),
            Self::Refused => json!({ "requestsPerMinute": 600, "databaseWritesPerMinute": 60 }),
            Self::HeldBack => json!({ "turnTime": 30_000, "cpuShare": 5, "cpuBurst": 1000 }),
        }
    }
}

/// A hostile plugin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hostile {
    pub(crate) name: &'static str,
    source: &'static str,
    pub(crate) fate: Fate,
}

macro_rules! from_the_corpus {
    ($($fate:ident: $($name:ident)*;)*) => {
        &[$($(Hostile {
            name: stringify!($name),
            source: include_str!(concat!("../../../../sandbox/tests/hostile/", stringify!($name), ".js")),
            fate: Fate::$fate,
        }),*),*]
    };
}

/// Those that are about a limit of a turn.
const OF_A_TURN: &[Hostile] = from_the_corpus! {
    Deadline: loop_plain loop_that_catches loop_generator loop_holes loop_proxy_trap microtask_storm promise_await
        promise_chain promise_thenables regexp_backtracking regexp_alternatives bigint_power bigint_squares
        bigint_digits sort_comparator string_search string_replace json_to_json clone_storm text_flood url_flood
        random_flood error_storm recursion_plain recursion_getter recursion_proxy recursion_sort nesting_bound
        nesting_regexp values_that_multiply log_flood log_wide log_large_line memory_buffers;
    DeadlineOrMemory: log_rejections;
    Memory: memory_objects memory_map memory_closures memory_promises memory_caught nesting_object;
    Stack: nesting_json;
    Flood: message_storm timer_order_storm;
};

/// Those that keep to every limit of a turn.
const OVER_TIME: &[Hostile] = &[
    Hostile {
        name: "storm_of_turns",
        source: "export default { run: () => new Promise((yes) => { for (let n = 0; n < 2e5; n++); setTimeout(yes, 1); }) };",
        fate: Fate::HeldBack,
    },
    Hostile {
        name: "storm_of_intervals",
        source: "export default { run: () => { for (let i = 0; i < 400; i++) setInterval(() => { for (let n = 0; n < 2e4; n++); }, 10); return new Promise(() => {}); } };",
        fate: Fate::HeldBack,
    },
    Hostile {
        name: "storm_of_requests",
        source: "export default class { constructor({ wallet }) { this.layer2Interface = { actions: [{ name: 'attack', call: () => { wallet.getLayer2State(); return new Promise((yes) => setTimeout(yes, 0)); } }] }; } };",
        fate: Fate::Refused,
    },
    Hostile {
        name: "storm_of_writes",
        source: "export default class { constructor({ wallet }) { this.layer2Interface = { actions: [{ name: 'attack', call: () => { wallet.persist('key', 'x'.repeat(1000)); return new Promise((yes) => setTimeout(yes, 0)); } }] }; } };",
        fate: Fate::Refused,
    },
    Hostile {
        name: "storm_of_logs",
        source: "export default { run: () => new Promise((yes) => { for (let i = 0; i < 200; i++) console.error('flood', i, 'x'.repeat(100)); setTimeout(yes, 1); }) };",
        fate: Fate::HeldBack,
    },
    Hostile {
        name: "storm_of_rejections",
        source: "export default { run: () => new Promise((yes) => { for (let i = 0; i < 200; i++) Promise.reject(new Error('r' + i)); setTimeout(yes, 1); }) };",
        fate: Fate::HeldBack,
    },
];

/// All of them.
pub(crate) fn hostile() -> Vec<Hostile> {
    OF_A_TURN.iter().chain(OVER_TIME).copied().collect()
}

/// Makes a plugin of a script of the corpus, whose export is a plugin or an object with `run`.
fn plugin(source: &str) -> String {
    let inner = source.replacen("export default", "const hostile =", 1);
    assert_ne!(inner, source, "the script has a default export");
    format!(
        "{inner}
export default class Attacker {{
    constructor(given) {{
        const run = typeof hostile === 'function' ? new hostile(given).layer2Interface.actions[0].call : hostile.run;
        const attack = async () => {{ for (;;) {{ try {{ await run({{}}, {{}}); }} catch {{}} }} }};
        const begin = () => {{ setTimeout(attack, 1); }};
        const arm = async () => {{ await given.wallet.persist('armed', true); begin(); return 'armed'; }};
        this.onStart = async () => {{ if (await given.wallet.getFromLocalDb('armed')) begin(); }};
        this.layer2Interface = {{ actions: [{{ name: 'arm', call: arm, returns: [{{ name: 'text', type: 'string' }}] }}], state: [] }};
    }}
}}"
    )
}

/// Answers from what it is given, or from the wallet's database.
const HONEST: &str = "export default class Honest {
    constructor({ wallet }) {
        const returns = [{ name: 'text', type: 'string' }], params = [{ name: 'text', type: 'string' }];
        const greet = ({ text }) => `hello ${text}`;
        const note = async ({ text }) => { await wallet.persist('note', text); return await wallet.getFromLocalDb('note'); };
        this.layer2Interface = { actions: [{ name: 'greet', call: greet, params, returns }, { name: 'note', call: note, params, returns }], state: [] };
    }
}";
pub(crate) const HONEST_NAME: &str = "honest";
/// Memory of the honest one, in MiB.
const HONEST_MEMORY: usize = 64;

async fn install(wallet: &Wallet, name: &str, source: &str, memory: usize, limits: Json) {
    let folder = wallet.home.path().join(format!("source-{name}"));
    write_package(&folder, source, false);
    let manifest = json!({
        "name": name.replace('_', "-"), "version": "1.0.0", "type": "module", "main": "index.js",
        "layer2": { "apiVersion": 1, "title": name, "permissions": {
            "memory": format!("{memory} MiB"), "localDatabase": { "quota": "1 MiB" }, "limits": limits,
        } },
    });
    write(&folder.join("package.json"), &manifest.to_string());
    let proposed = wallet.host().solution_add(&USER, input(&handle(name), &folder, None)).await.expect(name);
    let done = wallet.approve(&proposed).await;
    assert_eq!(done.state, "done", "{name}: {:?}", done.outcome);
}

/// The handle of its solution.
pub(crate) fn handle(name: &str) -> String {
    name.replace('_', "-")
}

/// Installs the honest one, and all hostile ones, which do nothing yet.
pub(crate) async fn install_all(wallet: &Wallet, turn: u64) {
    install(wallet, HONEST_NAME, HONEST, HONEST_MEMORY, json!({})).await;
    for one in hostile() {
        install(wallet, one.name, &plugin(one.source), one.fate.memory(), one.fate.limits(turn)).await;
    }
}

/// The memory that all of them together were granted.
pub(crate) fn sum_of_caps() -> usize {
    let mebibytes = HONEST_MEMORY + hostile().iter().map(|one| one.fate.memory()).sum::<usize>();
    mebibytes << 20
}

/// Lets all of them attack, from now on and in each of their lives.
pub(crate) async fn arm_all(wallet: &Wallet) {
    for one in hostile() {
        until("it is armed", async || {
            // One that has begun may be gone before its answer is; it attacks again when it is back.
            match wallet.call(&handle(one.name), "arm", json!({})).await {
                Err(error) if error.code == code::LIMIT => None,
                Ok(_) | Err(_) => Some(()),
            }
        })
        .await;
    }
}

pub(crate) async fn inspect(wallet: &Wallet, one: &Hostile) -> PluginView {
    wallet.host().plugin_inspect(&USER, &handle(one.name)).await.expect("it is there")
}

/// Whether it was stopped, and that is reported.
pub(crate) fn met_its_fate(one: &Hostile, view: &PluginView) -> bool {
    if one.fate.lives_on() {
        assert_eq!(view.ended, 0, "{}: {view:?}", one.name);
        let told = || view.errors.iter().any(|error| one.fate.is_told_by(&error.message));
        return if one.fate == Fate::Refused { told() } else { view.throttled_micros > 0 };
    }
    let ended = || view.errors.iter().filter(|error| error.kind == "ended");
    assert!(ended().all(|error| one.fate.is_told_by(&error.message)), "{}: {view:?}", one.name);
    ended().count() > 0
}

/// An honest call, checked.
pub(crate) async fn ask_honest(wallet: &Wallet, action: &str, number: usize) {
    let text = format!("n{number}");
    let expected = if action == "greet" { format!("hello {text}") } else { text.clone() };
    let answer = wallet.call(HONEST_NAME, action, json!({ "text": text })).await.expect("the honest one answers");
    assert_eq!(answer, json!(expected));
}

/// The most memory that this process had while it was watched.
pub(crate) struct Watch {
    most: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Watch {
    /// Looks on a thread of its own, so that no runtime that is busy hides a peak.
    pub(crate) fn start() -> Self {
        let (most, over) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (theirs, until) = (Arc::clone(&most), Arc::clone(&over));
        let thread = std::thread::spawn(move || {
            while !until.load(Ordering::Relaxed) {
                theirs.fetch_max(resident(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { most, over, thread }
    }

    /// Bytes.
    pub(crate) fn most(self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().expect("no panic");
        self.most.load(Ordering::Relaxed)
    }
}

/// Resident bytes of this process.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib << 10
}
