//! The corpus of hostile scripts: `tests/hostile/*.js`.
//!
//! Each script names in its first lines the one limit or rule it attacks, what becomes of it, and what becomes of it
//! when that one limit is lifted. Both are run here. A limit that stops nothing when it is there and is missed by
//! nobody when it is not would show as two outcomes that are the same.
//!
//! A limit is lifted by another [`Limits`]; a rule of the globals or of the wallet's glue by the same text with the
//! line that makes the rule replaced (`corpus/rules.rs`). Everything else stays as it is.

mod outcome;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::sync::{Mutex, PoisonError};

use super::*;
use outcome::run;
use rules::{RULES, Rule, World};

/// One script: its header and its source.
struct Hostile {
    name: &'static str,
    source: &'static str,
}

impl Hostile {
    /// The value of a line `// key: value` of the header.
    fn field(&self, key: &str) -> Option<&'static str> {
        let start = format!("// {key}: ");
        self.source.lines().take_while(|line| line.starts_with("//")).find_map(|line| line.strip_prefix(&start))
    }

    /// What it runs in: every limit wide, and the permission that its header asks for.
    fn world(&self) -> World {
        let mut world = World::default();
        if self.field("webassembly") == Some("yes") {
            rules::with_webassembly(&mut world);
        }
        world
    }

    fn stated(&self, key: &str) -> &'static str {
        self.field(key).unwrap_or_else(|| panic!("{}.js: its header has no line `// {key}: …`", self.name))
    }
}

/// What is attacked by scripts that go on for long without it: they are not run under every other limit as well.
const LONG: [&str; 4] = ["turn", "memory", "memory at the start", "native stack"];

/// Limits that any script may meet, whatever it attacks. Not the time of a turn: what meets that one, when it was not made
/// to, depends on the machine.
const OTHERS: [&str; 8] = [
    "memory",
    "memory at the start",
    "stack",
    "messages per turn",
    "message size",
    "timers",
    "log bytes",
    "clock step",
];

fn rule_of(name: &str) -> &'static Rule {
    RULES.iter().find(|rule| rule.name == name).unwrap_or_else(|| panic!("{name:?} is no limit of rules.rs"))
}

/// What comes of a script when its limit is lifted and this other one holds, as the only one.
fn under_another(script: &Hostile, other: &str) -> String {
    let mut world = script.world();
    (rule_of(script.stated("attacks")).lift)(&mut world);
    (rule_of(other).hold)(&mut world);
    run(&world, script.field("glue") == Some("wallet"), script.source)
}

/// What came of a script, as it is and with the limit lifted; run once, whoever asks first.
fn outcomes(script: &Hostile) -> (String, String) {
    type Known = BTreeMap<&'static str, (String, String)>;
    static KNOWN: Mutex<Known> = Mutex::new(Known::new());
    let known = || KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(both) = known().get(script.name) {
        return both.clone();
    }
    let rule = rule_of(script.stated("attacks"));
    let (mut held, mut lifted) = (script.world(), script.world());
    (rule.hold)(&mut held);
    (rule.lift)(&mut lifted);
    let wallet = script.field("glue") == Some("wallet");
    let both = (run(&held, wallet, script.source), run(&lifted, wallet, script.source));
    known().insert(script.name, both.clone());
    both
}

#[track_caller]
fn prove(script: &Hostile) {
    let (held, lifted) = outcomes(script);
    assert_eq!(held, script.stated("expect"), "{}.js, as it is", script.name);
    assert_eq!(lifted, script.stated("lifted"), "{}.js, with {:?} lifted", script.name, script.stated("attacks"));
    assert_ne!(held, lifted, "{}.js: nothing changes when {:?} is lifted", script.name, script.stated("attacks"));
}

/// A test for each script, and the list of them.
macro_rules! corpus {
    ($($name:ident)*) => {
        const CORPUS: &[Hostile] = &[$(Hostile {
            name: stringify!($name),
            source: include_str!(concat!("../../../tests/hostile/", stringify!($name), ".js")),
        }),*];
        mod each {
            $(#[test]
            fn $name() {
                let script = super::CORPUS.iter().find(|one| one.name == stringify!($name));
                super::prove(script.expect("the list holds it"));
            })*
        }
    };
}

corpus! {
    bigint_digits bigint_power bigint_squares bytes_forged clock_constructor clock_date clock_performance
    clone_storm depth descriptors_polluted error_stack_of_the_glue error_storm getters_that_change
    globals_undeclared host_objects_climbed host_objects_overwritten interval_storm
    json_replaced json_to_json log_deep log_flood log_large_line log_rejections log_traps log_wide
    lone_surrogates loop_generator loop_holes loop_plain loop_proxy_trap loop_that_catches map_replaced
    memory_array_fill memory_at_start memory_bigint memory_buffers memory_buffers_uncaught memory_caught
    memory_closures memory_console memory_doubling memory_map memory_names memory_objects memory_promise_chain
    memory_promises memory_regexp memory_resizable message_large_answer message_large_call message_large_error
    message_large_request message_storm microtask_storm nesting_bound nesting_json nesting_object
    nesting_proxies nesting_regexp overwrite_classes overwrite_console overwrite_crypto
    pollute_builtins promise_await promise_chain promise_replaced promise_thenables proto_in_parameters
    proxies_everywhere random_flood random_large random_of_the_key random_predicted recursion_callback
    recursion_construct recursion_getter recursion_plain recursion_proxy recursion_sort recursion_to_json
    regexp_alternatives regexp_backtracking rejection_to_string result_getter setters_in_prototypes
    setters_in_stringify sort_comparator species species_of_requests stack_call_sites start_loop string_replace string_search
    symbols_and_functions tags_forged text_flood thenable_parameters thrown_traps timer_loop timer_order_storm
    timers_in_abort_signals timers_that_multiply timers_waiting to_json_forged url_flood values_that_multiply
    webassembly_absent webassembly_detach webassembly_grow_in_module webassembly_grow_storm webassembly_large_module
    webassembly_loop webassembly_loop_in_import webassembly_native_stack webassembly_recursion
}

#[test]
fn every_script_of_the_corpus_has_a_test_and_every_limit_a_script() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/hostile");
    let files: BTreeSet<String> = std::fs::read_dir(folder)
        .expect("the folder of the corpus")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    let listed: BTreeSet<String> = CORPUS.iter().map(|script| format!("{}.js", script.name)).collect();
    assert_eq!(files, listed, "files left, tests right");
    assert!(files.len() >= 60, "{} scripts", files.len());
    let attacked: BTreeSet<&str> = CORPUS.iter().map(|script| script.stated("attacks")).collect();
    let known: BTreeSet<&str> = RULES.iter().map(|rule| rule.name).collect();
    assert_eq!(attacked, known, "what is attacked left, what there is right");
}

/// Prints limit × script: which script shows that which limit holds, what is different without it, and which other limits,
/// each alone, would have held the script too. `also:` in its header names those, all of them.
#[test]
fn the_matrix_of_limits_and_scripts() {
    let (mut text, mut cells) = (String::new(), 2 * CORPUS.len());
    let mut wrong = Vec::new();
    for rule in RULES {
        let mut scripts: Vec<_> = CORPUS.iter().filter(|script| script.stated("attacks") == rule.name).collect();
        scripts.sort_by_key(|script| script.name);
        text.push_str(&format!("\n{} ({})\n", rule.name, scripts.len()));
        for script in scripts {
            let (held, lifted) = outcomes(script);
            assert_ne!(held, lifted, "{}", script.name);
            text.push_str(&format!("  {:<28} {:<52} lifted: {lifted}\n", script.name, held));
            if LONG.contains(&rule.name) {
                continue;
            }
            let mut also = Vec::new();
            for other in OTHERS.into_iter().filter(|&other| other != rule.name) {
                let outcome = under_another(script, other);
                cells += 1;
                if outcome != lifted {
                    also.push(other);
                    text.push_str(&format!("  {:<28} {outcome:<52} lifted, but for {other:?}\n", ""));
                }
            }
            if also.join(", ") != script.field("also").unwrap_or_default() {
                wrong.push(format!("{}: {}", script.name, also.join(", ")));
            }
        }
    }
    writeln!(std::io::stdout(), "limit × script, {} × {}, {cells} runs\n{text}", RULES.len(), CORPUS.len())
        .expect("printed");
    assert_eq!(wrong, [""; 0], "other limits that hold a script, and that its header does not name");
}
