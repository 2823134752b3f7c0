//! The JavaScript `WebAssembly` API, for scripts that may have it ([`Limits::webassembly`](crate::Limits)).
//!
//! **Where a module runs.** In the plugin's own store, beside the JavaScript engine, as machine code. Its memory is an
//! `ArrayBuffer` of the script, so a piece of the engine's linear memory ([`rewrite`] says how), and counts towards the
//! script's cap like any other buffer. What a module may reach is what its script may reach anyway: the engine's memory,
//! whose every byte the host takes for hostile, and functions of the same script.
//!
//! **Who owns whom.** Everything a script makes lives in the store and ends with it: wasmtime frees no instance before
//! its store. The script's objects (`js/webassembly.js`) name these things by number; what they cost outside of the
//! engine's memory has a bound ([`MOST_HOST_BYTES`]).
//!
//! **Calls.** A function of a module is an object of the engine (`shim.c`), whose call comes here ([`calls`]) and goes on
//! into the module; an import comes back through here into the engine. Each may be nested in the other. A trap of the
//! module becomes a `RuntimeError`; what an import throws passes through the module's frames and is thrown again; a
//! limit that breaks ends the turn, whichever frames are under way.

mod access;
mod calls;
mod check;
mod compile;
mod rewrite;
mod serve;

use std::collections::HashMap;
use std::sync::Arc;

use wasmtime::{Func, FuncType, Global, Table, TypedFunc, ValType};

pub(crate) use calls::link;
pub(crate) use compile::Compiler;
pub(crate) use serve::{SERVICE, serve};

use compile::Compiled;

/// For the fuzzer: what the rewriter makes of a module that is accepted is a valid module again.
#[doc(hidden)]
pub fn rewritten_is_valid(wasm: &[u8]) -> Option<bool> {
    check::valid(wasm).ok()?;
    let rewritten = rewrite::rewrite(wasm).ok()?;
    Some(wasmparser::Validator::new().validate_all(&rewritten.wasm).is_ok())
}

/// Modules that a script may compile. Libraries have one or two, each a few hundred kilobytes at most.
const MOST_MODULES: usize = 64;

/// WebAssembly, as rewritten, that a script may have compiled, in bytes. Machine code is two to four times as large and
/// lies outside of the script's memory.
const MOST_COMPILED_BYTES: usize = 8 << 20;

/// Instances of modules in one script, which stay until it ends. Libraries that make one for each hash that is under way
/// should keep and reuse them; those that do not get this far.
const MOST_INSTANCES: usize = 1000;

/// What instances, functions, tables and globals may cost outside of the script's memory, estimated, in bytes.
const MOST_HOST_BYTES: usize = 16 << 20;

/// Entries of all tables of a script. Large C++ programs have a few thousand.
pub(crate) const MOST_TABLE_ENTRIES: usize = 100_000;

/// Calls from the script into modules that are under way inside one another. The native stack has room for some more
/// (a test goes to the bound), so that deep recursion between the two is a `RangeError`, as recursion of the script is.
const MOST_NESTED: u32 = 200;

/// Estimates of what wasmtime keeps for each.
const INSTANCE_BYTES: usize = 4096;
const ITEM_BYTES: usize = 256;
const SLOT_BYTES: usize = 64;

/// What a script has made.
#[derive(Default)]
pub(crate) struct State {
    engine: Option<Exports>,
    modules: Vec<Arc<Compiled>>,
    compiled_bytes: usize,
    instances: usize,
    host_bytes: usize,
    functions: Vec<Callable>,
    /// Numbers of functions, by where wasmtime keeps them: one place for each function of an instance.
    numbers: HashMap<usize, u32>,
    tables: Vec<Table>,
    globals: Vec<Global>,
    memories: Vec<Piece>,
    nested: u32,
    /// A table could not be made or grow for [`MOST_TABLE_ENTRIES`].
    pub(crate) table_refused: bool,
}

/// The engine's exports for modules.
#[derive(Clone)]
struct Exports {
    callback: TypedFunc<(u32, u32, u32), i32>,
    grow: TypedFunc<(u32, u32), i32>,
    /// Where numbers are handed over.
    exchange: u32,
}

/// A function that the script can call.
#[derive(Clone)]
struct Callable {
    func: Func,
    signature: Arc<Signature>,
    /// Its number in its module, by which the standard names it.
    index: i32,
}

/// Types as `shim.c` writes them.
#[derive(Debug)]
struct Signature {
    params: Vec<u8>,
    results: Vec<u8>,
}

impl Signature {
    fn of(ty: &FuncType) -> Self {
        Self {
            params: ty.params().map(|ty| letter(&ty)).collect(),
            results: ty.results().map(|ty| letter(&ty)).collect(),
        }
    }

    /// Both numbers in one.
    fn counts(&self) -> u32 {
        let count = |list: &[u8]| u32::try_from(list.len()).unwrap_or(u32::MAX) & 0xffff;
        count(&self.params) | count(&self.results) << 16
    }
}

const VECTOR: u8 = b'v';

fn letter(ty: &ValType) -> u8 {
    match ty {
        ValType::I32 => b'i',
        ValType::I64 => b'l',
        ValType::F32 => b'f',
        ValType::F64 => b'd',
        ValType::Ref(_) => b'r',
        ValType::V128 => VECTOR,
    }
}

/// A memory of the script: where its buffer lies in the engine's, and who has to know.
struct Piece {
    base: u32,
    size: u64,
    /// The globals of each instance that uses it.
    known_to: Vec<(Global, Global)>,
    grow: Func,
}

#[cfg(test)]
mod tests;
