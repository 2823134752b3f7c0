//! Durable moments, named.
//!
//! Every durable write and every broadcast of Entresol goes through [`write_point!`]. The names stand in one
//! [`REGISTRY`], so that a test can kill the process just before and just after each of them and show that nothing
//! acknowledged is lost and nothing is done twice. `clippy.toml` refuses the plain calls outside the macro.
//!
//! A kill is asked for by the environment: `ENTRESOL_KILL_AT=name:before` or `name:after`, optionally
//! `name:before:3` for the third time the point is reached. Whoever can set the environment of a process can kill it
//! anyway, so this gives nobody new power.

mod files;
mod registry;

pub use files::{AtomicFile, create_private_dir, write_file_atomically};
pub use registry::{Process, REGISTRY, WritePoint};

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// Environment variable that names the write point at which this process kills itself with `SIGKILL`.
pub const KILL_AT: &str = "ENTRESOL_KILL_AT";

/// Which side of the durable moment a kill is wanted at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing has been written yet.
    Before,
    /// The write has returned; nobody has been told.
    After,
}

struct Kill {
    name: String,
    moment: Moment,
    nth: u32,
    seen: AtomicU32,
}

static KILL: OnceLock<Option<Kill>> = OnceLock::new();

/// True when `name` stands in [`REGISTRY`]. Used by [`write_point!`] at compile time.
#[must_use]
pub const fn is_registered(name: &str) -> bool {
    let mut i = 0;
    while i < REGISTRY.len() {
        if same(REGISTRY[i].name.as_bytes(), name.as_bytes()) {
            return true;
        }
        i += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let mut i = 0;
    while i < a.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    true
}

fn parse(text: &str) -> Option<Kill> {
    let mut parts = text.split(':');
    let name = parts.next()?.to_owned();
    let moment = match parts.next()? {
        "before" => Moment::Before,
        "after" => Moment::After,
        _ => return None,
    };
    let nth = parts.next().map_or(Some(1), |n| n.parse().ok())?;
    Some(Kill { name, moment, nth, seen: AtomicU32::new(0) })
}

/// Called by [`write_point!`] on both sides of a durable moment; kills the process when the environment asks for it.
pub fn reached(name: &str, moment: Moment) {
    let kill = KILL.get_or_init(|| std::env::var(KILL_AT).ok().as_deref().and_then(parse));
    if let Some(kill) = kill
        && kill.name == name
        && kill.moment == moment
        && kill.seen.fetch_add(1, Ordering::SeqCst) + 1 == kill.nth
    {
        // SIGKILL cannot be caught: no destructor, no flush, exactly as kill -9.
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        loop {
            std::thread::park();
        }
    }
}

/// Runs one durable write or broadcast under a registered name.
///
/// `write_point!("store.approval.decide", transaction.commit())` evaluates to the value of the expression. A name
/// that is not in [`REGISTRY`] does not compile.
#[macro_export]
macro_rules! write_point {
    ($name:literal, $body:expr) => {{
        const _: () = assert!($crate::is_registered($name), "add the write point to crates/durable/src/registry.rs");
        $crate::reached($name, $crate::Moment::Before);
        #[allow(clippy::disallowed_methods, reason = "this macro is the one place for durable writes")]
        let outcome = $body;
        $crate::reached($name, $crate::Moment::After);
        outcome
    }};
}

#[cfg(test)]
mod tests;
