//! Calls between the script and its modules, both ways.

use std::sync::Arc;

use wasmtime::{AsContextMut, Caller, Func, FuncType, Linker, Ref, Trap, Val};

use super::{Callable, ITEM_BYTES, MOST_NESTED, Signature};
use crate::guest::Guest;
use crate::machine::{Stop, reason};

/// `shim.c`'s answers of a call.
const WENT: i32 = 0;
const THREW: i32 = 1;
const TOO_DEEP: i32 = 2;

/// No function, where a number of one is due.
pub(super) const NOBODY: u32 = u32::MAX;

/// Most parameters of a function, and most results: the standard's own bound, which the validator holds.
const MOST_VALUES: u32 = 1000;

/// A function of the script that a module called has thrown; the engine keeps what.
#[derive(Debug)]
pub(super) struct Threw;

impl std::fmt::Display for Threw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an import of a module has thrown")
    }
}

impl std::error::Error for Threw {}

/// Why a module stopped, where its script goes on.
pub(super) enum Failure {
    Threw,
    Trap(&'static str),
}

pub(crate) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    const OURS: &str = "entresol";
    linker.func_wrap(OURS, "wasm_call", call)?;
    linker.func_wrap(OURS, "wasm_signature", signature)?;
    linker.func_wrap(OURS, "wasm_moved", moved)?;
    Ok(())
}

fn outside() -> wasmtime::Error {
    wasmtime::Error::msg("the guest pointed outside its memory")
}

fn read(caller: &mut Caller<'_, Guest>, at: u32, into: &mut [u8]) -> wasmtime::Result<()> {
    let memory = caller.data().memory.ok_or_else(outside)?;
    memory.read(&*caller, at as usize, into).map_err(|_| outside())
}

fn write(caller: &mut Caller<'_, Guest>, at: u32, bytes: &[u8]) -> wasmtime::Result<()> {
    let memory = caller.data().memory.ok_or_else(outside)?;
    memory.write(&mut *caller, at as usize, bytes).map_err(|_| outside())
}

/// Numbers out of the exchange.
fn values(caller: &mut Caller<'_, Guest>, types: &[u8], at: u32) -> wasmtime::Result<Vec<Val>> {
    let mut bytes = [0; 128];
    let mut many;
    let bytes: &mut [u8] = match bytes.get_mut(..8 * types.len()) {
        Some(bytes) => bytes,
        None => {
            many = vec![0; 8 * types.len()];
            &mut many
        }
    };
    read(caller, at, bytes)?;
    let functions = &caller.data().webassembly.functions;
    let one = |(ty, bytes): (&u8, &[u8])| {
        let bits = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        Ok(match ty {
            b'i' => Val::I32(bits as i32),
            b'l' => Val::I64(bits.cast_signed()),
            b'f' => Val::F32(bits as u32),
            b'd' => Val::F64(bits),
            b'r' if bits as u32 == NOBODY => Val::FuncRef(None),
            b'r' => Val::FuncRef(Some(functions.get(bits as u32 as usize).ok_or_else(outside)?.func)),
            _ => return Err(outside()),
        })
    };
    types.iter().zip(bytes.chunks_exact(8)).map(one).collect()
}

/// Numbers into the exchange.
fn put(caller: &mut Caller<'_, Guest>, values: &[Val], at: u32) -> wasmtime::Result<()> {
    let mut bytes = Vec::with_capacity(8 * values.len());
    for value in values {
        bytes.extend_from_slice(&bits(caller, value)?.to_le_bytes());
    }
    write(caller, at, &bytes)
}

/// A value as a number.
pub(super) fn bits(caller: &mut Caller<'_, Guest>, value: &Val) -> wasmtime::Result<u64> {
    Ok(match value {
        Val::I32(value) => u64::from(value.cast_unsigned()),
        Val::I64(value) => value.cast_unsigned(),
        Val::F32(bits) => u64::from(*bits),
        Val::F64(bits) => *bits,
        Val::FuncRef(Some(func)) => u64::from(number(caller, *func, -1)?),
        Val::FuncRef(None) => u64::from(NOBODY),
        _ => return Err(wasmtime::Error::msg("a value that a script cannot have")),
    })
}

/// The number of a function, a new one if nobody has asked for it yet.
pub(super) fn number(caller: &mut Caller<'_, Guest>, func: Func, index: i32) -> wasmtime::Result<u32> {
    let place = func.to_raw(caller.as_context_mut()) as usize;
    if let Some(number) = caller.data().webassembly.numbers.get(&place) {
        return Ok(*number);
    }
    let signature = Arc::new(Signature::of(&func.ty(&*caller)));
    let guest = caller.data_mut();
    if !guest.webassembly.spend(ITEM_BYTES) {
        // Deep within a call, where nobody could be told.
        return guest.stop(crate::SandboxError::Memory);
    }
    let number = u32::try_from(guest.webassembly.functions.len())?;
    guest.webassembly.functions.push(Callable { func, signature, index });
    guest.webassembly.numbers.insert(place, number);
    Ok(number)
}

/// Lets a number stand for a function that another instance has imported: to wasmtime it is another place.
pub(super) fn alias(caller: &mut Caller<'_, Guest>, func: Func, number: u32) {
    let place = func.to_raw(caller.as_context_mut()) as usize;
    caller.data_mut().webassembly.numbers.entry(place).or_insert(number);
}

/// The script calls a function of a module.
fn call(mut caller: Caller<'_, Guest>, function: u32, exchange: u32) -> wasmtime::Result<i32> {
    let state = &caller.data().webassembly;
    let Callable { func, signature, .. } = state.functions.get(function as usize).cloned().ok_or_else(outside)?;
    if state.nested >= MOST_NESTED {
        return Ok(TOO_DEEP);
    }
    let arguments = values(&mut caller, &signature.params, exchange)?;
    let mut results = vec![Val::I32(0); signature.results.len()];
    match enter(&mut caller, func, &arguments, &mut results)? {
        Ok(()) => {
            put(&mut caller, &results, exchange)?;
            Ok(WENT)
        }
        Err(Failure::Threw) => Ok(THREW),
        Err(Failure::Trap(text)) => {
            let length = i32::try_from(text.len())?;
            caller.data_mut().answer_with(text.as_bytes().to_vec());
            Ok(-1 - length)
        }
    }
}

/// Runs a function of a module.
///
/// # Errors
/// The turn is over.
pub(super) fn enter(
    caller: &mut Caller<'_, Guest>,
    func: Func,
    arguments: &[Val],
    results: &mut [Val],
) -> wasmtime::Result<Result<(), Failure>> {
    caller.data_mut().webassembly.nested += 1;
    let outcome = func.call(&mut *caller, arguments, results);
    caller.data_mut().webassembly.nested -= 1;
    match outcome {
        Ok(()) => Ok(Ok(())),
        Err(error) => failed(caller, error).map(Err),
    }
}

/// What an error of a module's frames is to its script.
///
/// # Errors
/// The turn is over.
pub(super) fn failed(caller: &mut Caller<'_, Guest>, error: wasmtime::Error) -> wasmtime::Result<Failure> {
    let guest = caller.data_mut();
    if guest.broken.is_some() {
        return Err(error);
    }
    if error.is::<Threw>() {
        return Ok(Failure::Threw);
    }
    match error.downcast_ref::<Trap>() {
        // The turn's time, and the stack that the engine's frames share.
        None | Some(Trap::Interrupt | Trap::StackOverflow) => {
            let reason = reason(guest, Stop::Wasm(error));
            guest.stop(reason)
        }
        Some(trap) => Ok(Failure::Trap(text(*trap))),
    }
}

/// A trap in the words that scripts know from browsers.
fn text(trap: Trap) -> &'static str {
    match trap {
        Trap::MemoryOutOfBounds => "memory access out of bounds",
        Trap::TableOutOfBounds => "table index is out of bounds",
        Trap::IndirectCallToNull | Trap::BadSignature => "null function or function signature mismatch",
        Trap::IntegerOverflow => "integer overflow",
        Trap::IntegerDivisionByZero => "divide by zero",
        Trap::BadConversionToInteger => "float unrepresentable in integer range",
        Trap::UnreachableCodeReached => "unreachable",
        Trap::NullReference => "dereferencing a null pointer",
        _ => "the module has stopped",
    }
}

/// An error of the engine's own frames, which cannot go on: the turn is over.
fn over<T>(caller: &mut Caller<'_, Guest>, error: wasmtime::Error) -> wasmtime::Result<T> {
    let guest = caller.data_mut();
    if guest.broken.is_some() {
        return Err(error);
    }
    let reason = reason(guest, Stop::Wasm(error));
    guest.stop(reason)
}

/// A function of the script as a module imports it.
pub(super) fn callback(caller: &mut Caller<'_, Guest>, ty: FuncType, callback: u32) -> Func {
    let signature = Signature::of(&ty);
    let counts = signature.counts();
    let types: Vec<u8> = signature.params.iter().chain(&signature.results).copied().collect();
    Func::new(&mut *caller, ty, move |mut caller, arguments, results| {
        let Some(exports) = caller.data().webassembly.engine.clone() else { return Err(outside()) };
        let types_at = exports.exchange.saturating_add(8 * (MOST_VALUES + 1));
        // A vector is no value of a script: the engine sees its type and throws.
        if !types.contains(&super::VECTOR) {
            put(&mut caller, arguments, exports.exchange)?;
        }
        write(&mut caller, types_at, &types)?;
        match exports.callback.call(&mut caller, (callback, counts, types_at)) {
            Ok(0) => {}
            Ok(_) => return Err(wasmtime::Error::new(Threw)),
            Err(error) => return over(&mut caller, error),
        }
        let given = values(&mut caller, &signature.results, exports.exchange)?;
        results.clone_from_slice(&given);
        Ok(())
    })
}

/// What a module calls to grow its memory.
pub(super) fn grow(caller: &mut Caller<'_, Guest>, memory: u32) -> Func {
    Func::wrap(&mut *caller, move |mut caller: Caller<'_, Guest>, pages: u32| -> wasmtime::Result<i32> {
        let Some(exports) = caller.data().webassembly.engine.clone() else { return Err(outside()) };
        match exports.grow.call(&mut caller, (memory, pages)) {
            Ok(before) => Ok(before),
            Err(error) => over(&mut caller, error),
        }
    })
}

/// The engine asks for the types of a function.
fn signature(mut caller: Caller<'_, Guest>, function: u32, exchange: u32) -> wasmtime::Result<u32> {
    let Callable { signature, index, .. } =
        caller.data().webassembly.functions.get(function as usize).cloned().ok_or_else(outside)?;
    write(&mut caller, exchange, &u64::from(index.cast_unsigned()).to_le_bytes())?;
    let types: Vec<u8> = signature.params.iter().chain(&signature.results).copied().collect();
    write(&mut caller, exchange.saturating_add(8), &types)?;
    Ok(signature.counts())
}

/// A buffer lies somewhere else or has another size: all who use it are told.
fn moved(mut caller: Caller<'_, Guest>, memory: u32, base: u32, size: u32) -> wasmtime::Result<()> {
    let Some(piece) = caller.data_mut().webassembly.memories.get_mut(memory as usize) else { return Ok(()) };
    piece.base = base;
    piece.size = u64::from(size);
    let known_to = std::mem::take(&mut piece.known_to);
    for (base_global, size_global) in &known_to {
        base_global.set(&mut caller, Val::I32(base.cast_signed()))?;
        size_global.set(&mut caller, Val::I64(i64::from(size)))?;
    }
    if let Some(piece) = caller.data_mut().webassembly.memories.get_mut(memory as usize) {
        piece.known_to = known_to;
    }
    Ok(())
}

/// A function, or none, as a table holds it.
pub(super) fn reference(caller: &Caller<'_, Guest>, number: u32) -> Option<Ref> {
    match number {
        NOBODY => Some(Ref::Func(None)),
        _ => Some(Ref::Func(Some(caller.data().webassembly.functions.get(number as usize)?.func))),
    }
}
