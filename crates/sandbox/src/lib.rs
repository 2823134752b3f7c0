//! Runs one untrusted script: messages in, messages out, limits.
//!
//! The engine is QuickJS-ng compiled to WebAssembly and run by wasmtime. The sandbox knows nothing of Ethereum,
//! wallets or npm.
//!
//! **Whose code is whose.** An instance evaluates three layers: the sandbox's own globals (`console`, timers, `URL`,
//! …), the embedder's *prelude* (its glue), and the *script*. Only the prelude sees `boundary` and `primordials`, as
//! arguments of a CommonJS prelude, or as globals while an ES-module prelude is evaluated; both are gone before the
//! script runs.
//!
//! | for the prelude | |
//! |---|---|
//! | `boundary.post(text)` | gives the embedder [`Outgoing::Message`]; `RangeError` when too large |
//! | `boundary.onMessage = text => …` | called by [`Instance::turn`] |
//! | `boundary.call(name, payload)` | [`HostCalls::call`], at once; answers a `Uint8Array` to a `Uint8Array` and a string to a string; throws `Error` |
//! | `boundary.script()` | the script's exports: default export or namespace of an ES module, `module.exports` of CommonJS |
//! | `boundary.log(level, text)` | a log line, level 0 (debug) to 3 (error) |
//! | `primordials` | the built-in functions as they were before the script could change them: `JSONParse`, `MapPrototypeGet(map, key)`, … (see `js/primordials.js`) |
//! | `crypto` | the prelude may add to it; it is frozen when the script starts |

mod account;
mod cache;
mod compute;
mod engine;
mod error;
mod gate;
mod guest;
mod image;
mod instance;
mod limits;
mod machine;
mod message;
mod prepared;
pub mod record;
mod runner;
mod services;
mod snapshot;
mod stack;
mod threads;
mod ticker;
mod turns;
mod webassembly;

pub use account::{Meter, Usage};
pub use compute::{Asset, Computation, ComputeError, ComputeLimits, MOST_ASSET_BYTES, Progress};
pub use engine::Engine;
pub use error::{HostFault, SandboxError};
pub use instance::Instance;
pub use limits::Limits;
pub use message::{HostCalls, Input, LogLevel, ModuleKind, Outgoing, Script};
pub use prepared::Prepared;
pub use runner::Runner;
pub use stack::own_frames;
#[doc(hidden)]
pub use webassembly::rewritten_is_valid;
