//! What can be attacked, how it is tightened for a test, and how it is lifted.

use super::*;

/// Everything a script runs in.
pub(super) struct World {
    pub(super) limits: Limits,
    pub(super) globals: String,
    /// The glue of these tests.
    pub(super) glue: String,
    /// The wallet's own.
    pub(super) wallet_glue: String,
    /// None for the one that all tests share.
    pub(super) engine: Option<fn() -> &'static Engine>,
}

impl Default for World {
    /// Every limit so wide that no script of the corpus meets it.
    fn default() -> Self {
        let limits = Limits {
            memory_bytes: 1 << 30,
            start_memory_bytes: 1 << 30,
            turn: Duration::from_secs(300),
            cpu_percent: 100,
            cpu_burst: Duration::from_secs(300),
            stack: Limits::MOST_STACK,
            message_bytes: 16 << 20,
            messages_per_turn: 1_000_000,
            log_bytes_per_turn: 64 << 20,
            timers: 1_000_000,
            clock_step: Duration::from_millis(1),
            webassembly: false,
        };
        Self {
            limits,
            globals: crate::machine::GLOBALS.to_owned(),
            glue: GLUE.to_owned(),
            wallet_glue: include_str!("../../../../../host/src/plugin/glue.js").to_owned(),
            engine: None,
        }
    }
}

/// A limit or a rule.
pub(super) struct Rule {
    pub(super) name: &'static str,
    /// Makes the limit narrow enough to be met quickly; nothing for a rule.
    pub(super) hold: fn(&mut World),
    /// Takes the rule away; nothing for a limit, which is wide unless it is held.
    pub(super) lift: fn(&mut World),
}

const fn limit(name: &'static str, hold: fn(&mut World)) -> Rule {
    Rule { name, hold, lift: |_| {} }
}

const fn rule(name: &'static str, lift: fn(&mut World)) -> Rule {
    Rule { name, hold: |_| {}, lift }
}

/// Replaces the text that makes a rule. It must stand there, so that a test cannot go on lifting what has moved.
#[track_caller]
fn replace(text: &mut String, rule: &str, lifted: &str) {
    assert!(text.contains(rule), "the rule has another text now: {rule}");
    *text = text.replace(rule, lifted);
}

/// The permission that the manifest asks for.
pub(super) fn with_webassembly(world: &mut World) {
    world.limits.webassembly = true;
    world.globals = crate::machine::GLOBALS_WITH_WEBASSEMBLY.to_owned();
}

/// Every limit and rule of the corpus.
pub(super) const RULES: &[Rule] = &[
    // Scripts that attack it go on for at least 150 ms without it, so that a machine several times as fast finds the same.
    limit("turn", |world| world.limits.turn = Duration::from_millis(30)),
    limit("memory", |world| world.limits.memory_bytes = 16 << 20),
    limit("memory at the start", |world| world.limits.start_memory_bytes = 16 << 20),
    limit("stack", |world| world.limits.stack = 64 << 10),
    limit("messages per turn", |world| world.limits.messages_per_turn = 100),
    limit("message size", |world| world.limits.message_bytes = 64 << 10),
    limit("timers", |world| world.limits.timers = 20),
    limit("log bytes", |world| world.limits.log_bytes_per_turn = 16 << 10),
    limit("clock step", |world| world.limits.clock_step = Duration::from_millis(10)),
    Rule { name: "native stack", hold: |_| {}, lift: |world| world.engine = Some(engine_with_a_large_stack) },
    rule("WebAssembly by permission", with_webassembly),
    rule("buffers of memories stay", |world| {
        replace(&mut world.globals, "if (weakSetHas(memoryBuffers, this)) throw", "if (false) throw");
    }),
    // The globals.
    rule("interval at least 10 ms", |world| {
        replace(&mut world.globals, "if (repeat) delay = max(delay, 10);", "");
    }),
    Rule {
        name: "console shows 50 items",
        hold: little_log,
        lift: |world| {
            little_log(world);
            replace(&mut world.globals, "const MOST_ITEMS = 50;", "const MOST_ITEMS = Infinity;");
        },
    },
    Rule {
        name: "console shows 4 levels",
        hold: little_log,
        lift: |world| {
            little_log(world);
            replace(&mut world.globals, "const MOST_DEPTH = 4;", "const MOST_DEPTH = Infinity;");
        },
    },
    rule("console never throws", |world| {
        replace(&mut world.globals, "return \"[unreadable]\";", "throw new ErrorC(\"gotcha\");");
    }),
    rule("no second clock", |world| replace(&mut world.globals, "delete globalThis.performance;", "")),
    rule("randomness of the host", |world| {
        replace(&mut world.globals, "defineProperty(Math, \"random\", {", "defineProperty({}, \"random\", {");
    }),
    rule("64 KiB of randomness at once", |world| {
        replace(&mut world.globals, "const MOST_RANDOM = 65536;", "const MOST_RANDOM = Infinity;");
    }),
    rule("frozen console", |world| replace(&mut world.globals, "freeze(consoleObject)", "consoleObject")),
    rule("sealed crypto", |world| replace(&mut world.globals, "freeze(cryptoObject);", "")),
    rule("frozen classes", |world| replace(&mut world.globals, "freeze(Class.prototype);", "")),
    rule("stacks are text", |world| {
        replace(&mut world.globals, "defineProperty(ErrorC, \"prepareStackTrace\"", "defineProperty({}, \"x\"");
    }),
    rule("captured built-ins", |world| {
        let late = "const uncurry = (method) => (self, ...values) => apply(typeof self?.[method.name] === \"function\" \
                    && method !== call && method !== bind ? self[method.name] : method, self, values);";
        replace(&mut world.globals, "const uncurry = apply(bind, bind, [call]);", late);
    }),
    rule("only the documented globals", |world| {
        replace(&mut world.glue, "boundary.onMessage = ", "globalThis.boundary = boundary; boundary.onMessage = ");
    }),
    // The wallet's glue.
    rule("frozen host objects", |world| {
        replace(&mut world.wallet_glue, "freeze(setPrototypeOf(object, null))", "object");
    }),
    rule("captured JSON", |world| {
        let late = "const parse = (text) => JSON.parse(text), stringify = (value) => JSON.stringify(value);";
        replace(&mut world.wallet_glue, "const { parse, stringify } = JSON;", late);
    }),
    rule("captured promises", |world| {
        let late = "const promiseThen = function (...values) { return this.then(...values); };";
        replace(&mut world.wallet_glue, "const promiseThen = promisePrototype.then;", late);
    }),
    rule("captured maps", |world| {
        replace(&mut world.wallet_glue, "apply(mapSet, waiting, [id, { yes, no }]);", "waiting.set(id, { yes, no });");
    }),
    rule("properties are defined, not set", |world| {
        let defined = "defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: true, configurable: true });";
        replace(&mut world.wallet_glue, defined, "(object[key] = value);");
    }),
    rule("descriptors without a prototype", |world| {
        replace(&mut world.wallet_glue, "{ __proto__: null, value, writable", "{ value, writable");
    }),
    rule("values are rebuilt", |world| {
        replace(&mut world.wallet_glue, "write(params) + \"}\"", "stringify(params) + \"}\"");
    }),
    rule("texts are well formed", |world| {
        replace(&mut world.wallet_glue, "stringify(apply(wellFormed, text, []))", "stringify(text)");
    }),
    rule("messages are written by hand", |world| {
        replace(
            &mut world.wallet_glue,
            "write(params) + \"}\");",
            "stringify({ __proto__: null, key: params.key }) + \"}\");",
        );
    }),
    rule("values are read once", |world| {
        replace(&mut world.wallet_glue, "write(inner, depth + 1)", "write(value[name], depth + 1)");
    }),
    rule("64 levels", |world| replace(&mut world.wallet_glue, "const MAX_DEPTH = 64;", "const MAX_DEPTH = 6400;")),
    rule("bytes are Uint8Arrays", |world| {
        replace(&mut world.wallet_glue, "apply(typeTag, v, []) === \"Uint8Array\"", "v instanceof BytesCtor");
    }),
    rule("only data crosses", |world| {
        let refused = "default: throw new TypeErrorCtor(\"a \" + typeof value + \" cannot cross the boundary\");";
        replace(&mut world.wallet_glue, refused, "default: return quote(toText(value));");
    }),
    rule("answers without a species", |world| {
        replace(
            &mut world.wallet_glue,
            "defineProperty(done, \"constructor\", { __proto__: null, value: undefined });",
            "",
        );
    }),
    rule("requests without a species", |world| {
        let late = "apply(promiseThen, request(\"network.connect\"";
        replace(&mut world.wallet_glue, "follow(request(\"network.connect\"", late);
    }),
    rule("errors are read with care", |world| {
        replace(&mut world.wallet_glue, "} catch { /* a trap in a getter: the text above stays */ }", "} finally {}");
    }),
    rule("errors carry text", |world| {
        replace(
            &mut world.wallet_glue,
            "put(error, \"code\", plain.code);",
            "put(error, \"code\", plain.code); error.waiting = waiting;",
        );
    }),
];

fn little_log(world: &mut World) {
    world.limits.log_bytes_per_turn = 16 << 10;
}

/// Eight times the native stack, for guests that nest what nobody nests.
fn engine_with_a_large_stack() -> &'static Engine {
    static LARGE: OnceLock<Engine> = OnceLock::new();
    LARGE.get_or_init(|| Engine::with_stack(None, crate::threads::LIFTED).expect("the committed engine compiles"))
}
