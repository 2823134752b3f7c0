//! Memories as modules of their own, so that wasmtime maps them.
//!
//! **What for.** A fresh instance has to begin with the bytes of a snapshot. Copying them costs milliseconds and gives
//! each instance its own copy of what is the same in all. The kernel can do both better: map one anonymous file into
//! each instance, privately, so that a page is copied when it is first written. Doing that ourselves would take
//! `unsafe` (`mmap` over memory that belongs to wasmtime, whose layout is nobody's promise). wasmtime does it by itself
//! for a module's *own* data segments: it builds one image of them, keeps it in a sealed `memfd`, and maps it with
//! `MAP_PRIVATE` at each instantiation. So a snapshot becomes a module that has nothing but a memory, one export and
//! data segments. There is no code in it and nothing to compile; that the mapping is sound is wasmtime's own guarantee.
//!
//! **How.** The committed engine defines its memory. [`split`] takes it apart: the code *imports* a memory instead, and
//! what its data segments say becomes the first image, of an engine that has never run. An instance is then two: one of
//! an image, one of the code with that image's memory. The compiled code is the same for all images.
//!
//! **What is lost.** The code finds an imported memory through one more pointer; on the engine's own loops that is
//! within what one run differs from the next (the figures are in the bench `sandbox`).
//!
//! Where there is no `memfd` (or an image is too sparse for it) wasmtime copies the segments instead: slower, not
//! different.

use wasmparser::{ConstExpr, DataKind, Operator, Parser, Payload};
use wasmtime::Module;

use crate::error::HostFault;

/// Bytes of a page of WebAssembly.
pub(crate) const WASM_PAGE: usize = 65_536;

/// Runs of zeros shorter than this are part of the segment around them: the size of the kernel's pages.
const GRAIN: usize = 4096;

/// Where the code finds its memory.
pub(crate) const MEMORY_MODULE: &str = "entresol";
/// Its name there, and the name under which an image exports it.
pub(crate) const MEMORY: &str = "memory";

/// The engine, taken apart.
pub(crate) struct Parts {
    /// The code, importing its memory.
    pub(crate) code: Vec<u8>,
    /// The memory of an engine that has not run yet.
    pub(crate) image: Vec<u8>,
    /// Where the engine's stack begins; it grows downwards, and nothing else lies below.
    pub(crate) stack: usize,
}

/// Takes the engine apart.
pub(crate) fn split(engine: &[u8]) -> Result<Parts, HostFault> {
    parts(engine).map_err(|reason| HostFault::Engine(format!("it cannot be taken apart: {reason}")))
}

fn parts(engine: &[u8]) -> Result<Parts, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let mut code = HEADER.to_vec();
    let mut pages = None;
    let mut stack = None;
    let mut segments: Vec<(usize, &[u8])> = Vec::new();
    let parse = || Parser::new(0).parse_all(engine);
    // The import needs the memory's size, which stands behind it in the file.
    for payload in parse() {
        if let Payload::MemorySection(memories) = payload.map_err(text)? {
            for memory in memories {
                let memory = memory.map_err(text)?;
                if memory.memory64 || memory.shared || pages.replace(memory.initial).is_some() {
                    return Err("it has another memory than one of 32 bits".to_owned());
                }
            }
        }
    }
    let pages = pages.and_then(|pages| u32::try_from(pages).ok()).ok_or("it has no memory")?;
    for payload in parse() {
        let payload = payload.map_err(text)?;
        let copy = |code: &mut Vec<u8>| -> Result<(), String> {
            if let Some((id, range)) = payload.as_section() {
                put_section(code, id, engine.get(range).ok_or("a section outside the file")?);
            }
            Ok(())
        };
        match &payload {
            Payload::MemorySection(_) | Payload::DataCountSection { .. } => {}
            Payload::DataSection(data) => {
                for segment in data.clone() {
                    let segment = segment.map_err(text)?;
                    let DataKind::Active { memory_index: 0, offset_expr } = segment.kind else {
                        return Err("it has data that is placed while it runs".to_owned());
                    };
                    segments.push((constant(&offset_expr).ok_or("a segment's place is no constant")?, segment.data));
                }
            }
            Payload::GlobalSection(globals) => {
                for global in globals.clone() {
                    let global = global.map_err(text)?;
                    if global.ty.mutable && stack.replace(constant(&global.init_expr)).is_some() {
                        return Err("it has state outside its memory, besides the stack pointer".to_owned());
                    }
                }
                copy(&mut code)?;
            }
            Payload::ImportSection(_) => {
                let (id, range) = payload.as_section().ok_or("an import section without a place")?;
                let body = engine.get(range).ok_or("an import section outside the file")?;
                let (count, rest) = unsigned(body).ok_or("an import section without a count")?;
                let mut imports = Vec::new();
                put_unsigned(&mut imports, count + 1);
                imports.extend_from_slice(rest);
                put_name(&mut imports, MEMORY_MODULE);
                put_name(&mut imports, MEMORY);
                imports.extend_from_slice(&[KIND_MEMORY, NO_MAXIMUM]);
                put_unsigned(&mut imports, pages);
                put_section(&mut code, id, &imports);
            }
            _ => copy(&mut code)?,
        }
    }
    let mut bytes = vec![0; pages as usize * WASM_PAGE];
    for (at, data) in segments {
        let room = bytes.get_mut(at..at.saturating_add(data.len())).ok_or("data outside the memory")?;
        room.copy_from_slice(data);
    }
    let stack = stack.flatten().ok_or("it has no stack pointer")?;
    if bytes.get(..stack).is_none_or(|below| below.iter().any(|byte| *byte != 0)) {
        return Err("its stack does not lie below everything else".to_owned());
    }
    Ok(Parts { code, image: encode(&bytes), stack })
}

fn constant(expression: &ConstExpr<'_>) -> Option<usize> {
    match expression.get_operators_reader().into_iter().next()? {
        Ok(Operator::I32Const { value }) => usize::try_from(value.cast_unsigned()).ok(),
        _ => None,
    }
}

const HEADER: [u8; 8] = *b"\0asm\x01\0\0\0";
const SECTION_MEMORY: u8 = 5;
const SECTION_EXPORT: u8 = 7;
const SECTION_DATA: u8 = 11;
const KIND_MEMORY: u8 = 2;
const NO_MAXIMUM: u8 = 0;
const I32_CONST: u8 = 0x41;
const END: u8 = 0x0b;

/// A module that is nothing but a memory with these bytes. `memory` is as long as a whole number of pages.
pub(crate) fn encode(memory: &[u8]) -> Vec<u8> {
    let pieces: Vec<_> = runs(memory).into_iter().map(|run| (run.start, &memory[run])).collect();
    encode_pieces(memory.len(), &pieces)
}

/// A module that is nothing but a memory of `length` bytes: these, which lie one behind the other, and zeros. Nothing of
/// them is copied but into the module: what begins with it waits.
pub(crate) fn encode_pieces(length: usize, pieces: &[(usize, &[u8])]) -> Vec<u8> {
    let mut module = HEADER.to_vec();
    let mut section = vec![1, NO_MAXIMUM];
    // A memory of 32 bits has at most 65 536 pages.
    put_unsigned(&mut section, u32::try_from(length / WASM_PAGE).unwrap_or(u32::MAX));
    put_section(&mut module, SECTION_MEMORY, &section);
    section = vec![1];
    put_name(&mut section, MEMORY);
    section.extend_from_slice(&[KIND_MEMORY, 0]);
    put_section(&mut module, SECTION_EXPORT, &section);
    // Pieces that touch are one segment: where each begins in the list, and its bytes.
    let mut segments: Vec<(usize, usize)> = Vec::new();
    let mut end = None;
    for (index, (at, bytes)) in pieces.iter().enumerate() {
        match segments.last_mut() {
            Some((_, size)) if end == Some(*at) => *size += bytes.len(),
            _ => segments.push((index, bytes.len())),
        }
        end = Some(at + bytes.len());
    }
    let heads: Vec<Vec<u8>> = segments
        .iter()
        .map(|(first, size)| {
            let mut head = vec![0, I32_CONST];
            put_signed(&mut head, u32::try_from(pieces[*first].0).unwrap_or(u32::MAX).cast_signed());
            head.push(END);
            put_unsigned(&mut head, u32::try_from(*size).unwrap_or(u32::MAX));
            head
        })
        .collect();
    section = Vec::new();
    put_unsigned(&mut section, u32::try_from(segments.len()).unwrap_or(u32::MAX));
    let size =
        section.len() + heads.iter().map(Vec::len).sum::<usize>() + pieces.iter().map(|(_, b)| b.len()).sum::<usize>();
    // One byte for the section, five for its length.
    module.reserve_exact(size + 6);
    module.push(SECTION_DATA);
    put_unsigned(&mut module, u32::try_from(size).unwrap_or(u32::MAX));
    module.extend_from_slice(&section);
    let mut heads = segments.iter().map(|(first, _)| *first).zip(heads).peekable();
    for (index, (_, bytes)) in pieces.iter().enumerate() {
        if let Some((_, head)) = heads.next_if(|(first, _)| *first == index) {
            module.extend_from_slice(&head);
        }
        module.extend_from_slice(bytes);
    }
    module
}

/// The pieces of `memory` that are not zeros, by the kernel's pages.
fn runs(memory: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (index, grain) in memory.chunks(GRAIN).enumerate() {
        if grain.iter().all(|byte| *byte == 0) {
            continue;
        }
        let start = index * GRAIN;
        let end = start + grain.len();
        match runs.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => runs.push(start..end),
        }
    }
    runs
}

/// Makes the module that [`encode`] wrote known to wasmtime. Milliseconds, as there is no code in it.
pub(crate) fn module(engine: &wasmtime::Engine, image: &[u8]) -> Result<Module, HostFault> {
    Module::from_binary(engine, image).map_err(|error| HostFault::Engine(format!("a memory's image: {error:#}")))
}

fn put_section(module: &mut Vec<u8>, id: u8, body: &[u8]) {
    module.push(id);
    put_unsigned(module, u32::try_from(body.len()).unwrap_or(u32::MAX));
    module.extend_from_slice(body);
}

fn put_name(into: &mut Vec<u8>, name: &str) {
    put_unsigned(into, u32::try_from(name.len()).unwrap_or(u32::MAX));
    into.extend_from_slice(name.as_bytes());
}

/// LEB128, as WebAssembly writes its numbers.
fn put_unsigned(into: &mut Vec<u8>, mut value: u32) {
    while value >= 0x80 {
        into.push(value as u8 | 0x80);
        value >>= 7;
    }
    into.push(value as u8);
}

fn put_signed(into: &mut Vec<u8>, mut value: i32) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if (value == 0 && byte & 0x40 == 0) || (value == -1 && byte & 0x40 != 0) {
            into.push(byte);
            return;
        }
        into.push(byte | 0x80);
    }
}

fn unsigned(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u32;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= u32::from(byte & 0x7f).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests;
