//! What an asset must be before it is compiled, and before it runs.

use wasmparser::{Parser, Payload};
use wasmtime::{ExternType, Module, ValType};

use super::{ComputeError, MOST_ASSET_BYTES};

/// Largest function, in bytes of WebAssembly. Cranelift's allocation of registers takes more than linear time in the
/// size of one function, and nothing can stop it: the largest function of honest programs, the loop of an interpreter,
/// is a tenth of this.
const MOST_FUNCTION_BYTES: usize = 512 << 10;

/// Most functions; large programs have some ten thousand.
const MOST_FUNCTIONS: u32 = 100_000;

/// Where the imports of an asset come from.
pub(super) const IMPORTS_FROM: &str = "entresol";

/// The functions that an asset may import.
pub(super) const IMPORTS: [&str; 2] = ["progress", "fail"];

/// Refuses what would keep the compiler busy for too long.
pub(super) fn before_compiling(wasm: &[u8]) -> Result<(), ComputeError> {
    let refused = |problem: String| Err(ComputeError::Refused(problem));
    if wasm.len() > MOST_ASSET_BYTES {
        return refused(format!("it has {} bytes; at most {MOST_ASSET_BYTES}", wasm.len()));
    }
    if !wasm.starts_with(b"\0asm") {
        return refused("it is no WebAssembly (.wasm) file".to_owned());
    }
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(|error| ComputeError::Refused(error.to_string()))? {
            Payload::CodeSectionStart { count, .. } if count > MOST_FUNCTIONS => {
                return refused(format!("it has {count} functions; at most {MOST_FUNCTIONS}"));
            }
            Payload::CodeSectionEntry(body) if body.range().len() > MOST_FUNCTION_BYTES => {
                let found = body.range().len();
                return refused(format!("one function has {found} bytes; at most {MOST_FUNCTION_BYTES}: split it"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Names the first import that there is none for, so that an author knows which library asks for it.
pub(super) fn imports(module: &Module) -> Result<(), ComputeError> {
    let unknown = |import: &wasmtime::ImportType<'_>| {
        import.module() != IMPORTS_FROM
            || !IMPORTS.contains(&import.name())
            || !matches!(import.ty(), ExternType::Func(_))
    };
    match module.imports().find(unknown) {
        None => Ok(()),
        Some(import) => Err(ComputeError::Interface(format!(
            "it imports \"{}\" from \"{}\"; there is only {} from \"{IMPORTS_FROM}\"",
            import.name(),
            import.module(),
            IMPORTS.map(|name| format!("\"{name}\"")).join(" and ")
        ))),
    }
}

/// Refuses an export that cannot be called.
pub(super) fn export(module: &Module, name: &str) -> Result<(), ComputeError> {
    let is_entry = |ty: &ExternType| {
        let ExternType::Func(ty) = ty else { return false };
        ty.params().len() == 2
            && ty.params().all(|param| matches!(param, ValType::I32))
            && ty.results().len() == 1
            && ty.results().all(|result| matches!(result, ValType::I64))
    };
    if !matches!(module.get_export("memory"), Some(ExternType::Memory(memory)) if !memory.is_64()) {
        return Err(ComputeError::Interface("it exports no 32-bit \"memory\"".to_owned()));
    }
    match module.get_export(name) {
        Some(ty) if is_entry(&ty) => Ok(()),
        Some(_) => Err(ComputeError::Interface(format!("its export {name:?} is no function (i32, i32) -> i64"))),
        None => {
            let mut entries: Vec<&str> =
                module.exports().filter(|export| is_entry(&export.ty())).map(|export| export.name()).collect();
            entries.truncate(16);
            let entries = if entries.is_empty() { "none that can be called".to_owned() } else { entries.join(", ") };
            Err(ComputeError::Interface(format!("it has no export {name:?}; it has: {entries}")))
        }
    }
}
