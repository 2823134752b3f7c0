//! What the globals (`js/webassembly.js`) ask for: modules, instances, memories, tables, globals.
//!
//! Questions and answers are JSON lists, so that no prototype of the script is ever asked. An answer begins with the
//! empty text, or with the name of the error that the script shall get.

use serde_json::{Value as Json, json};
use wasmtime::{
    Caller, Extern, ExternType, Global, GlobalType, Instance, Module, Mutability, Ref, RefType, Table, TableType, Val,
    ValType,
};

use super::calls::{self, Failure, NOBODY};
use super::check::MOST_MODULE_BYTES;
use super::compile::Compiled;
use super::rewrite::{self, Export};
use super::{Exports, ITEM_BYTES, MOST_COMPILED_BYTES, MOST_HOST_BYTES, MOST_INSTANCES, MOST_MODULES, Piece, State};
use crate::compute::ComputeError;
use crate::guest::Guest;

/// Its number for the engine's host call.
pub(crate) const SERVICE: i32 = 2;

/// Why there is no answer.
enum No {
    /// The script gets this error.
    Error(&'static str, String),
    /// What an import of a start function threw.
    Threw,
    /// The turn is over.
    Over(wasmtime::Error),
}

impl From<wasmtime::Error> for No {
    fn from(error: wasmtime::Error) -> Self {
        Self::Over(error)
    }
}

impl From<Failure> for No {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Threw => Self::Threw,
            Failure::Trap(text) => Self::Error("RuntimeError", text.to_owned()),
        }
    }
}

fn no<T>(error: &'static str, text: impl Into<String>) -> Result<T, No> {
    Err(No::Error(error, text.into()))
}

/// The globals never ask like that.
fn wrong() -> No {
    No::Over(wasmtime::Error::msg("the globals asked for something that there is not"))
}

impl State {
    /// Counts what lies outside of the script's memory.
    pub(super) fn spend(&mut self, bytes: usize) -> bool {
        let used = self.host_bytes.saturating_add(bytes);
        if used > MOST_HOST_BYTES {
            return false;
        }
        self.host_bytes = used;
        true
    }
}

fn spend(caller: &mut Caller<'_, Guest>, bytes: usize) -> Result<(), No> {
    if caller.data_mut().webassembly.spend(bytes) {
        return Ok(());
    }
    no(
        "RangeError",
        "too many WebAssembly instances, functions, tables and globals in one script: keep and reuse those there are",
    )
}

/// Answers one question; the error ends the turn.
pub(crate) fn serve(caller: &mut Caller<'_, Guest>, name: &str, payload: &[u8]) -> wasmtime::Result<Vec<u8>> {
    let answer = match answer(caller, name, payload) {
        Ok(answer) => json!(["", answer]),
        Err(No::Error(kind, text)) => json!([kind, text]),
        Err(No::Threw) => json!(["thrown"]),
        Err(No::Over(error)) => return Err(error),
    };
    Ok(answer.to_string().into_bytes())
}

fn answer(caller: &mut Caller<'_, Guest>, name: &str, payload: &[u8]) -> Result<Json, No> {
    if !caller.data().limits.webassembly {
        return Err(wrong());
    }
    if name == "validate" {
        return Ok(json!(payload.len() <= MOST_MODULE_BYTES && super::check::valid(payload).is_ok()));
    }
    // What is made here lies outside of the engine's memory: an evaluation that made it cannot be kept.
    caller.data_mut().impure = true;
    if caller.data().webassembly.engine.is_none() {
        let exports = exports(caller)?;
        caller.data_mut().webassembly.engine = Some(exports);
    }
    if name == "compile" {
        return compile(caller, payload);
    }
    let question: Vec<Json> = serde_json::from_slice(payload).map_err(|_| wrong())?;
    let at = |place: usize| question.get(place).and_then(Json::as_u64).and_then(|it| u32::try_from(it).ok());
    let at = |place: usize| at(place).ok_or_else(wrong);
    match name {
        "memory" => {
            spend(caller, ITEM_BYTES)?;
            let memory = u32::try_from(caller.data().webassembly.memories.len()).map_err(|_| wrong())?;
            let grow = calls::grow(caller, memory);
            caller.data_mut().webassembly.memories.push(Piece { base: 0, size: 0, known_to: Vec::new(), grow });
            Ok(json!(memory))
        }
        "table" => table(caller, at(0)?, question.get(1).and_then(Json::as_u64), at(2)?),
        "table.size" => Ok(json!(known_table(caller, at(0)?)?.size(&*caller))),
        "table.get" => {
            let table = known_table(caller, at(0)?)?;
            match table.get(&mut *caller, u64::from(at(1)?)) {
                Some(Ref::Func(Some(func))) => Ok(json!(calls::number(caller, func, -1)?)),
                Some(_) => Ok(json!(NOBODY)),
                None => no("RangeError", "the table has no such index"),
            }
        }
        "table.set" => {
            let table = known_table(caller, at(0)?)?;
            let value = calls::reference(caller, at(2)?).ok_or_else(wrong)?;
            match table.set(&mut *caller, u64::from(at(1)?), value) {
                Ok(()) => Ok(Json::Null),
                Err(_) => no("RangeError", "the table has no such index"),
            }
        }
        "table.grow" => {
            let table = known_table(caller, at(0)?)?;
            let value = calls::reference(caller, at(2)?).ok_or_else(wrong)?;
            match table.grow(&mut *caller, u64::from(at(1)?), value) {
                Ok(before) => Ok(json!(before)),
                Err(_) => no("RangeError", "the table cannot grow by that much"),
            }
        }
        "global" => {
            let ty = question.first().and_then(Json::as_str).ok_or_else(wrong)?;
            let mutable = question.get(1).and_then(Json::as_bool).ok_or_else(wrong)?;
            let bits = question.get(2).and_then(Json::as_str).and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
            global(caller, ty, mutable, bits)
        }
        "global.get" => {
            let global = known_global(caller, at(0)?)?;
            let value = global.get(&mut *caller);
            let bits = calls::bits(caller, &value)?;
            Ok(json!(bits.to_string()))
        }
        "global.set" => {
            let global = known_global(caller, at(0)?)?;
            let bits = question.get(1).and_then(Json::as_str).and_then(|it| it.parse().ok()).ok_or_else(wrong)?;
            let value = value(caller, global.ty(&*caller).content(), bits).ok_or_else(wrong)?;
            global.set(&mut *caller, value).map_err(|_| wrong())?;
            Ok(Json::Null)
        }
        "instantiate" => {
            let imports = question.get(1).and_then(Json::as_array).ok_or_else(wrong)?;
            instantiate(caller, at(0)?, imports, question.get(2).and_then(Json::as_u64))
        }
        _ => Err(wrong()),
    }
}

/// The engine's own side. Nothing of a module runs before it is known.
fn exports(caller: &mut Caller<'_, Guest>) -> Result<Exports, No> {
    let mut export = |name: &str| caller.get_export(name).and_then(Extern::into_func).ok_or_else(wrong);
    let (callback, grow, exchange) = (export("wasm_callback")?, export("wasm_grow")?, export("wasm_exchange")?);
    let (callback, grow) = (callback.typed(&*caller)?, grow.typed(&*caller)?);
    let exchange = exchange.typed::<(), u32>(&*caller)?.call(&mut *caller, ())?;
    Ok(Exports { callback, grow, exchange })
}

fn compile(caller: &mut Caller<'_, Guest>, wasm: &[u8]) -> Result<Json, No> {
    let state = &caller.data().webassembly;
    if state.modules.len() >= MOST_MODULES {
        return no(
            "RangeError",
            format!("a script compiles at most {MOST_MODULES} modules: keep and reuse those there are"),
        );
    }
    let left = MOST_COMPILED_BYTES.saturating_sub(state.compiled_bytes);
    let Some(compiler) = caller.data().compiler.clone() else { return Err(wrong()) };
    let engine = caller.engine().clone();
    let (compiled, went_on) = caller.data_mut().away(|| compiler.compile(&engine, wasm));
    if let Err(reason) = went_on {
        return Err(over(caller, reason));
    }
    let compiled = match compiled {
        Ok(compiled) => compiled,
        Err(ComputeError::Host(fault)) => return Err(over(caller, fault.into())),
        Err(ComputeError::Refused(problem)) => return no("CompileError", problem),
        Err(other) => return no("CompileError", other.to_string()),
    };
    if compiled.size > left {
        return no(
            "RangeError",
            format!(
                "the modules of a script have at most {MOST_COMPILED_BYTES} bytes together: use fewer or smaller ones"
            ),
        );
    }
    let interface = compiled.interface.to_json();
    let state = &mut caller.data_mut().webassembly;
    state.compiled_bytes += compiled.size;
    state.modules.push(compiled);
    Ok(json!([state.modules.len() - 1, interface]))
}

/// The turn ends for this reason.
fn over(caller: &mut Caller<'_, Guest>, reason: crate::SandboxError) -> No {
    caller.data_mut().stop::<()>(reason).map_or_else(No::Over, |()| wrong())
}

fn known_table(caller: &Caller<'_, Guest>, table: u32) -> Result<Table, No> {
    caller.data().webassembly.tables.get(table as usize).copied().ok_or_else(wrong)
}

fn known_global(caller: &Caller<'_, Guest>, global: u32) -> Result<Global, No> {
    caller.data().webassembly.globals.get(global as usize).copied().ok_or_else(wrong)
}

fn table(caller: &mut Caller<'_, Guest>, initial: u32, maximum: Option<u64>, first: u32) -> Result<Json, No> {
    spend(caller, ITEM_BYTES)?;
    let ty = TableType::new(RefType::FUNCREF, initial, maximum.and_then(|most| u32::try_from(most).ok()));
    let first = calls::reference(caller, first).ok_or_else(wrong)?;
    match Table::new(&mut *caller, ty, first) {
        Ok(table) => {
            let tables = &mut caller.data_mut().webassembly.tables;
            tables.push(table);
            Ok(json!(tables.len() - 1))
        }
        Err(_) => no("RangeError", full()),
    }
}

fn full() -> String {
    let most = super::MOST_TABLE_ENTRIES;
    format!("the tables of a script have at most {most} entries together: use smaller ones")
}

fn value(caller: &Caller<'_, Guest>, ty: &ValType, bits: u64) -> Option<Val> {
    Some(match ty {
        ValType::I32 => Val::I32(bits as i32),
        ValType::I64 => Val::I64(bits.cast_signed()),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 => Val::F64(bits),
        ValType::Ref(_) => match calls::reference(caller, bits as u32)? {
            Ref::Func(func) => Val::FuncRef(func),
            _ => return None,
        },
        ValType::V128 => return None,
    })
}

fn global(caller: &mut Caller<'_, Guest>, ty: &str, mutable: bool, bits: u64) -> Result<Json, No> {
    spend(caller, ITEM_BYTES)?;
    let ty = match ty {
        "i32" => ValType::I32,
        "i64" => ValType::I64,
        "f32" => ValType::F32,
        "f64" => ValType::F64,
        "funcref" => ValType::FUNCREF,
        _ => return Err(wrong()),
    };
    let value = value(caller, &ty, bits).ok_or_else(wrong)?;
    let mutability = if mutable { Mutability::Var } else { Mutability::Const };
    let global = Global::new(&mut *caller, GlobalType::new(ty, mutability), value)?;
    let globals = &mut caller.data_mut().webassembly.globals;
    globals.push(global);
    Ok(json!(globals.len() - 1))
}

/// An import as the globals name it: a list of what it is and its number.
fn named(import: &Json) -> Option<(&str, u32)> {
    let list = import.as_array()?;
    Some((list.first()?.as_str()?, u32::try_from(list.get(1)?.as_u64()?).ok()?))
}

fn instantiate(caller: &mut Caller<'_, Guest>, module: u32, imports: &[Json], memory: Option<u64>) -> Result<Json, No> {
    let compiled = caller.data().webassembly.modules.get(module as usize).cloned().ok_or_else(wrong)?;
    if caller.data().webassembly.instances >= MOST_INSTANCES {
        return no(
            "RangeError",
            format!(
                "a script makes at most {MOST_INSTANCES} instances, which stay until it ends: keep and reuse those there are"
            ),
        );
    }
    spend(caller, compiled.instance_bytes)?;
    caller.data_mut().webassembly.instances += 1;
    let memory = memory.and_then(|memory| u32::try_from(memory).ok());
    let given: Vec<(&str, u32)> = imports.iter().map(named).collect::<Option<_>>().ok_or_else(wrong)?;
    let externs = externs(caller, &compiled.module, &given, memory)?;
    caller.data_mut().webassembly.table_refused = false;
    let instance = match Instance::new(&mut *caller, &compiled.module, &externs) {
        Ok(instance) => instance,
        Err(_) if caller.data().webassembly.table_refused => return no("RangeError", full()),
        Err(error) if error.is::<wasmtime::Trap>() => return Err(calls::failed(caller, error)?.into()),
        Err(error) => return no("LinkError", error.root_cause().to_string()),
    };
    let functions = given.iter().filter(|(kind, _)| matches!(*kind, "function" | "callback"));
    for (place, (kind, function)) in functions.enumerate() {
        let name = format!("{}{place}", rewrite::IMPORTED);
        if let Some(func) = instance.get_func(&mut *caller, &name)
            && *kind == "function"
        {
            calls::alias(caller, func, *function);
        }
    }
    let base = instance.get_global(&mut *caller, rewrite::BASE);
    let size = instance.get_global(&mut *caller, rewrite::SIZE);
    if let (Some(base), Some(size)) = (base, size) {
        let pieces = &mut caller.data_mut().webassembly.memories;
        let piece = memory.and_then(|memory| pieces.get_mut(memory as usize)).ok_or_else(wrong)?;
        piece.known_to.push((base, size));
        let (at, bytes) = (piece.base, piece.size);
        base.set(&mut *caller, Val::I32(at.cast_signed()))?;
        size.set(&mut *caller, Val::I64(bytes.cast_signed()))?;
    }
    for first in [rewrite::INIT, rewrite::START] {
        if let Some(func) = instance.get_func(&mut *caller, first) {
            calls::enter(caller, func, &[], &mut [])??;
        }
    }
    exported(caller, &compiled, instance, &given)
}

/// What the rewritten module imports, in its order.
fn externs(
    caller: &mut Caller<'_, Guest>,
    module: &Module,
    given: &[(&str, u32)],
    memory: Option<u32>,
) -> Result<Vec<Extern>, No> {
    let mut externs = Vec::with_capacity(given.len() + 2);
    let types: Vec<ExternType> = module.imports().map(|import| import.ty()).collect();
    for ((kind, number), ty) in given.iter().zip(&types) {
        let state = &caller.data().webassembly;
        let place = *number as usize;
        externs.push(match *kind {
            "function" => state.functions.get(place).ok_or_else(wrong)?.func.into(),
            "callback" => {
                let ExternType::Func(ty) = ty else { return Err(wrong()) };
                spend(caller, ITEM_BYTES)?;
                calls::callback(caller, ty.clone(), *number).into()
            }
            "table" => (*state.tables.get(place).ok_or_else(wrong)?).into(),
            "global" => (*state.globals.get(place).ok_or_else(wrong)?).into(),
            _ => return Err(wrong()),
        });
    }
    // The module has a memory: what grows it, and the engine's.
    if types.len() > given.len() {
        let pieces = &caller.data().webassembly.memories;
        let piece = memory.and_then(|memory| pieces.get(memory as usize)).ok_or_else(wrong)?;
        externs.push(piece.grow.into());
        externs.push(caller.data().memory.ok_or_else(wrong)?.into());
    }
    Ok(externs)
}

/// The exports, each by its kind's number.
fn exported(
    caller: &mut Caller<'_, Guest>,
    compiled: &Compiled,
    instance: Instance,
    given: &[(&str, u32)],
) -> Result<Json, No> {
    let interface = &compiled.interface;
    let imported = |kind: &str, index: u32| {
        given.iter().filter(|(given, _)| *given == kind).nth(index as usize).map(|(_, number)| *number)
    };
    // Tables and globals of the instance by their index, as several exports may name one.
    let mut known: Vec<(bool, u32, u32)> = Vec::new();
    let mut exports = Vec::with_capacity(interface.exports.len());
    for (place, Export { index, .. }) in interface.exports.iter().enumerate() {
        let Some(export) = instance.get_export(&mut *caller, &place.to_string()) else {
            // Its memory, which the globals know.
            exports.push(json!(["memory", 0]));
            continue;
        };
        exports.push(match export {
            Extern::Func(func) => {
                let number = calls::number(caller, func, i32::try_from(*index).unwrap_or(-1))?;
                json!(["function", number])
            }
            Extern::Table(table) => {
                let before = imported("table", *index).or_else(|| find(&known, true, *index));
                let number = match before {
                    Some(number) => number,
                    None => {
                        spend(caller, ITEM_BYTES)?;
                        let tables = &mut caller.data_mut().webassembly.tables;
                        tables.push(table);
                        u32::try_from(tables.len() - 1).map_err(|_| wrong())?
                    }
                };
                known.push((true, *index, number));
                json!(["table", number])
            }
            Extern::Global(global) => {
                let before = imported("global", *index).or_else(|| find(&known, false, *index));
                let number = match before {
                    Some(number) => number,
                    None => {
                        spend(caller, ITEM_BYTES)?;
                        let globals = &mut caller.data_mut().webassembly.globals;
                        globals.push(global);
                        u32::try_from(globals.len() - 1).map_err(|_| wrong())?
                    }
                };
                known.push((false, *index, number));
                let ty = global.ty(&*caller);
                json!(["global", number, ty.content().to_string(), ty.mutability() == Mutability::Var])
            }
            _ => return Err(wrong()),
        });
    }
    Ok(json!(exports))
}

fn find(known: &[(bool, u32, u32)], table: bool, index: u32) -> Option<u32> {
    known.iter().find(|(kind, at, _)| *kind == table && *at == index).map(|(_, _, number)| *number)
}
