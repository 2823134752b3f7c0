#![allow(clippy::unwrap_used, reason = "a test")]

use super::*;
use crate::cache::ENGINE;

/// The memory that a module made by [`encode`] gives an instance.
fn memory_of(module: &[u8]) -> Vec<u8> {
    let engine = wasmtime::Engine::default();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = wasmtime::Instance::new(&mut store, &super::module(&engine, module).unwrap(), &[]).unwrap();
    instance.get_memory(&mut store, MEMORY).unwrap().data(&store).to_vec()
}

#[test]
fn an_image_gives_back_every_byte() {
    let mut memory = vec![0u8; 3 * WASM_PAGE];
    check(&memory);
    // Single bytes at the borders of pages, runs, and the memory itself.
    for at in [0, 1, GRAIN - 1, GRAIN, 5 * GRAIN + 7, WASM_PAGE - 1, WASM_PAGE, 3 * WASM_PAGE - 1] {
        memory[at] = 0xa5;
        check(&memory);
    }
    memory.fill(0xff);
    check(&memory);
    // Above 16 MiB and very sparse: wasmtime copies the segments instead of mapping an image.
    let mut sparse = vec![0u8; 40 << 20];
    sparse[WASM_PAGE] = 1;
    let last = sparse.len() - 1;
    sparse[last] = 2;
    check(&sparse);
}

#[track_caller]
fn check(memory: &[u8]) {
    assert!(memory_of(&encode(memory)) == memory, "the memory of {} bytes came back different", memory.len());
}

#[test]
fn numbers_are_written_as_webassembly_reads_them() {
    for value in [0, 1, 63, 64, 127, 128, 8191, 8192, 1 << 20, (1 << 31) - 1, 1 << 31, u32::MAX] {
        let mut bytes = Vec::new();
        put_unsigned(&mut bytes, value);
        assert_eq!(unsigned(&bytes), Some((value, &[][..])));
        bytes.clear();
        put_signed(&mut bytes, value.cast_signed());
        let read = wasmparser::BinaryReader::new(&bytes, 0).read_var_i32().unwrap();
        assert_eq!(read.cast_unsigned(), value);
    }
    assert_eq!(unsigned(&[0x80, 0x80]), None);
}

#[test]
fn the_engine_apart_is_the_engine() {
    let parts = split(ENGINE).expect("the committed engine has the shape that is needed");
    let engine = wasmtime::Engine::default();
    let whole = Module::from_binary(&engine, ENGINE).unwrap();
    let code = Module::from_binary(&engine, &parts.code).unwrap();
    let names = |module: &Module| module.imports().map(|one| one.name().to_owned()).collect::<Vec<_>>();
    let mut expected = names(&whole);
    expected.push(MEMORY.to_owned());
    assert_eq!(names(&code), expected);
    assert_eq!(
        code.exports().map(|one| one.name()).collect::<Vec<_>>(),
        whole.exports().map(|one| one.name()).collect::<Vec<_>>()
    );
    // What the whole engine's memory is before its first call, the image is.
    let mut linker = wasmtime::Linker::new(&engine);
    linker.define_unknown_imports_as_traps(&whole).unwrap();
    let mut store = wasmtime::Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &whole).unwrap();
    assert!(instance.get_memory(&mut store, MEMORY).unwrap().data(&store) == memory_of(&parts.image));
    assert_eq!(parts.stack, 1 << 20, "the linker's -z stack-size");
}

/// A snapshot holds the memory only. Everything else that code could change while it runs is a table, the state of a
/// segment, or a global; the last are looked at by `split` itself.
#[test]
fn the_engine_keeps_no_state_outside_its_memory() {
    use wasmparser::Operator as O;
    for payload in Parser::new(0).parse_all(ENGINE) {
        let Payload::CodeSectionEntry(body) = payload.unwrap() else { continue };
        for operator in body.get_operators_reader().unwrap() {
            let operator = operator.unwrap();
            assert!(
                !matches!(
                    operator,
                    O::TableSet { .. }
                        | O::TableGrow { .. }
                        | O::TableFill { .. }
                        | O::TableCopy { .. }
                        | O::TableInit { .. }
                        | O::ElemDrop { .. }
                        | O::MemoryInit { .. }
                        | O::DataDrop { .. }
                ),
                "{operator:?}"
            );
        }
    }
}

#[test]
fn what_is_no_such_engine_is_refused_with_the_reason() {
    for (wrong, reason) in [
        (&b"no module"[..], "magic"),
        (&HEADER[..], "no memory"),
        (&encode(&[0; WASM_PAGE])[..], "no stack pointer"),
        (&ENGINE[..ENGINE.len() - 1], "taken apart"),
    ] {
        let error = split(wrong).map(|_| ()).expect_err("refused").to_string();
        assert!(error.contains(reason), "{error}");
    }
}
