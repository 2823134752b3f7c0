//! Runs one script in one world and says in a line what came of it.

use super::rules::World;
use super::*;

/// Virtual time after which nobody waits for an answer any more.
const PATIENCE_MS: u64 = 100_000;

/// Longest text that stands in an outcome; a longer one is told by its length.
const SHOWN: usize = 200;

/// A host whose clock moves by a millisecond whenever it is read, and whose randomness says that it was asked.
struct Watched {
    now: u64,
    random: u8,
    asked: Arc<AtomicBool>,
}

impl HostCalls for Watched {
    fn call(&mut self, name: &str, _: &[u8]) -> Result<Vec<u8>, String> {
        Err(format!("no host call {name}"))
    }

    fn random(&mut self, into: &mut [u8]) -> Result<(), String> {
        self.asked.store(true, Ordering::Relaxed);
        for byte in into {
            self.random = self.random.wrapping_mul(5).wrapping_add(29);
            *byte = self.random;
        }
        Ok(())
    }

    fn now_millis(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

/// What the wallet tells the plugin first, and what a caller then asks of it.
const START: &str = r#"{"t":"start","id":0,"context":{"layer1":{"networkId":1,"ownerAddress":"0x","contracts":{}},"network":{"urls":[]},"solution":{"id":1}}}"#;
const CALL: &str = r#"{"t":"call","id":2,"action":"attack","params":{"value":{"$n":"1"},"__proto__":{"admin":true}},"context":{"caller":"a test"}}"#;

struct Run {
    instance: Instance,
    /// Timers by the virtual time at which they are due.
    due: Vec<(u64, u32)>,
    now: u64,
    /// What was asked of the wallet, and the answer.
    said: Vec<String>,
    /// Answers of the wallet that have not been delivered.
    replies: VecDeque<String>,
    uncaught: Vec<String>,
    log_cut: bool,
    answered: bool,
}

/// Starts the script, provokes it, fires its timers until it has answered or nothing is left.
pub(super) fn run(world: &World, wallet: bool, source: &str) -> String {
    let asked = Arc::new(AtomicBool::new(false));
    let host = Watched { now: 1_700_000_000_000, random: 1, asked: Arc::clone(&asked) };
    let glue = if wallet { world.wallet_glue.as_str() } else { world.glue.as_str() };
    let prelude = Script { name: "glue.js", source: glue, kind: ModuleKind::CommonJs };
    let script = Script { name: "hostile.js", source, kind: ModuleKind::EsModule };
    let engine = world.engine.map_or_else(engine, |other| other());
    let started = Instance::start_with(engine, &world.limits, &world.globals, &[prelude], Some(script), Box::new(host));
    let (instance, outgoing) = match started {
        Ok(parts) => parts,
        Err(SandboxError::Script { message, .. }) => return format!("does not start: {message}"),
        Err(error) => return format!("does not start: {}", variant(&error)),
    };
    let mut run = Run {
        instance,
        due: Vec::new(),
        now: 0,
        said: Vec::new(),
        replies: VecDeque::new(),
        uncaught: Vec::new(),
        log_cut: false,
        answered: false,
    };
    run.take(outgoing);
    let ended = run.provoke(wallet).err();
    let mut parts = run.said;
    match ended {
        Some(error) => parts.push(format!("ended {}", variant(&error))),
        None if !run.answered => parts.push("no answer".to_owned()),
        None => {}
    }
    if run.log_cut {
        parts.push("log cut".to_owned());
    } else if let [one] = run.uncaught.as_slice() {
        parts.push(format!("uncaught {one:?}"));
    } else if !run.uncaught.is_empty() {
        parts.push(format!("{} uncaught", run.uncaught.len()));
    }
    if asked.load(Ordering::Relaxed) {
        parts.push("randomness".to_owned());
    }
    parts.chunk_by(|one, next| one == next).map(repeated).collect::<Vec<_>>().join("; ")
}

fn repeated(same: &[String]) -> String {
    if let [one] = same { one.clone() } else { format!("{} × {}", same.len(), same[0]) }
}

/// The name of the error without what it says.
fn variant(error: &SandboxError) -> String {
    format!("{error:?}").split(['(', ' ']).next().unwrap_or_default().to_owned()
}

fn short(text: String) -> String {
    if text.len() > SHOWN { format!("{} characters", text.chars().count()) } else { text }
}

impl Run {
    fn provoke(&mut self, wallet: bool) -> Result<(), SandboxError> {
        let first = if wallet { vec![START, CALL] } else { vec![r#"{"name":"run","value":null}"#] };
        for message in first {
            let outgoing = self.instance.turn(message.as_bytes())?;
            self.take(outgoing);
        }
        while !self.answered && self.now < PATIENCE_MS {
            if let Some(reply) = self.replies.pop_front() {
                let outgoing = self.instance.turn(reply.as_bytes())?;
                self.take(outgoing);
                continue;
            }
            // The first of those that are due at the same time was set first.
            let Some(next) = (0..self.due.len()).min_by_key(|&i| self.due[i].0) else { break };
            let (at, id) = self.due.remove(next);
            self.now = at;
            let outgoing = self.instance.fire_timer(id)?;
            self.take(outgoing);
        }
        Ok(())
    }

    fn take(&mut self, outgoing: Vec<Outgoing>) {
        for one in outgoing {
            match one {
                Outgoing::Message(bytes) => self.message(&String::from_utf8(bytes).expect("UTF-8")),
                Outgoing::Timer { id, delay_ms } => self.due.push((self.now + delay_ms, id)),
                Outgoing::ClearTimer { id } => self.due.retain(|(_, waiting)| *waiting != id),
                Outgoing::Log { text, .. } => self.log_cut |= text.contains("were dropped") || text.ends_with('…'),
                Outgoing::Uncaught { message, .. } => self.uncaught.push(message),
            }
        }
    }

    fn message(&mut self, text: &str) {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(text) else {
            self.said.push(format!("no JSON: {}", short(text.to_owned())));
            return;
        };
        let (kind, id) = (message["t"].as_str().unwrap_or_default(), message["id"].as_u64());
        let error = message.get("error").map(|error| error["message"].as_str().or(error.as_str()).unwrap_or("?"));
        match (kind, id) {
            ("done", Some(0)) => self.said.extend(error.map(|error| format!("refused: {error}"))),
            ("request", Some(id)) => {
                let (method, params) = (message["method"].as_str().unwrap_or_default(), &message["params"]);
                self.said.push(format!("asks {method} {}", short(params.to_string())));
                let answer = match method {
                    "wallet.confirmRestored" => r#""error":{"code":4100,"message":"no","data":null}"#,
                    _ => r#""ok":{"index":0,"address":"0x1"}"#,
                };
                self.replies.push_back(format!(r#"{{"t":"reply","id":{id},{answer}}}"#));
            }
            _ => {
                self.answered = true;
                let result = message.get("ok").or(message.get("result")).unwrap_or(&serde_json::Value::Null);
                self.said.push(match error {
                    Some(error) => format!("fails {}", short(error.to_owned())),
                    None => format!("says {}", short(result.to_string())),
                });
            }
        }
    }
}
