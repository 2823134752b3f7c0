//! What a script's module must be before it is compiled.

use wasmparser::{Parser, Payload, Validator, WasmFeatures};

/// Largest module that a script may compile, in bytes. Nothing can stop Cranelift once it has begun, and the script's
/// turn stands still meanwhile, though others run ([`Permit::away`](crate::gate::Permit::away)). Ordinary code of this size
/// took 2 s, the slowest that was found, divisions within branches, 6 s of processor time. Larger programs run as assets
/// (`compute`), which are compiled beside the script.
pub(super) const MOST_MODULE_BYTES: usize = 1 << 20;

/// Largest module as rewritten: each load and store becomes some twenty bytes more, whatever the rest is, and it is this
/// size that the compiler's time goes with. The committed asset becomes 1.6 times as large.
const MOST_REWRITTEN_BYTES: usize = 4 << 20;

/// Largest rewritten function: Cranelift's allocation of registers takes more than linear time in the size of one. The
/// same as of an asset.
const MOST_FUNCTION_BYTES: usize = 512 << 10;

/// What there is: the standard's second version but for references to JavaScript values, and tail calls and extended
/// constants of the third. Everything else is refused by name.
const FEATURES: WasmFeatures = WasmFeatures::MUTABLE_GLOBAL
    .union(WasmFeatures::SATURATING_FLOAT_TO_INT)
    .union(WasmFeatures::SIGN_EXTENSION)
    .union(WasmFeatures::REFERENCE_TYPES)
    .union(WasmFeatures::MULTI_VALUE)
    .union(WasmFeatures::BULK_MEMORY)
    .union(WasmFeatures::SIMD)
    .union(WasmFeatures::TAIL_CALL)
    .union(WasmFeatures::FLOATS)
    .union(WasmFeatures::EXTENDED_CONST);

/// Whether it is a module at all, of the kind that is taken.
pub(super) fn valid(wasm: &[u8]) -> Result<(), String> {
    match Validator::new_with_features(FEATURES).validate_all(wasm) {
        Ok(_) => Ok(()),
        // What another parser would take is no mistake of the author's: say that it is not to be had here.
        Err(error) if Validator::new_with_features(WasmFeatures::all()).validate_all(wasm).is_ok() => Err(format!(
            "{error}; threads, shared, 64-bit and several memories, exceptions, garbage collection, externref and relaxed \
             SIMD are not supported here: build the module without"
        )),
        Err(error) => Err(error.to_string()),
    }
}

/// Refuses a rewritten module that would keep the compiler busy for too long.
pub(super) fn before_compiling(rewritten: &[u8]) -> Result<(), String> {
    let found = rewritten.len();
    if found > MOST_REWRITTEN_BYTES {
        return Err(format!("it would have {found} bytes as it is run here; at most {MOST_REWRITTEN_BYTES}: split it"));
    }
    for payload in Parser::new(0).parse_all(rewritten) {
        if let Payload::CodeSectionEntry(body) = payload.map_err(|error| error.to_string())?
            && body.range().len() > MOST_FUNCTION_BYTES
        {
            let found = body.range().len();
            return Err(format!("a function would have {found} bytes; at most {MOST_FUNCTION_BYTES}: split it"));
        }
    }
    Ok(())
}
