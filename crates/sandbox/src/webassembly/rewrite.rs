//! A module of the script becomes one whose memory is a piece of the engine's.
//!
//! **What for.** `Memory.buffer` must be the module's memory itself, not a copy. The script's buffers lie in the linear
//! memory of the JavaScript engine, so that is the memory the module gets: it imports it in place of its own, and every
//! access is held against the size of the script's buffer and moved by its place. Size and place stand in two globals
//! of the module, which the host sets whenever the buffer moves.
//!
//! **What rests on it.** Not the host's safety: wasmtime validates and confines what comes out of here as any other
//! module, and its memory is the plugin's own engine, whose every byte the host already takes for hostile. What rests on
//! it is that a module cannot change its script's objects, as anywhere else.
//!
//! **How.** An access of `width` bytes at `address + offset` is inside when `address + (offset + width) <= size`, in 64
//! bits, where nothing wraps. Outside, it goes to the last address there is, which the engine's memory never has: the
//! machine's own trap for accesses out of bounds, without a branch. Data segments become passive and are copied in by a
//! function that the host calls once the globals are set; the start function is called after it.

use serde_json::{Value as Json, json};
use wasm_encoder::reencode::{Error as ReencodeError, Reencode};
use wasm_encoder::{
    CodeSection, ConstExpr, DataCountSection, DataSection, ElementSection, EntityType, ExportKind, ExportSection,
    FunctionSection, GlobalSection, GlobalType, ImportSection, InstructionSink, MemoryType, Module, TableSection,
    TypeSection, ValType,
};
use wasmparser::{DataKind, ExternalKind, FunctionBody, Parser, Payload, TypeRef};

use super::access::{self, Access};

/// Exports of the rewritten module that are the host's. The module's own are called by their place: "0", "1", ….
pub(crate) const BASE: &str = "base";
/// The buffer's size in bytes.
pub(crate) const SIZE: &str = "size";
/// Copies the data segments in.
pub(crate) const INIT: &str = "init";
/// The module's start function.
pub(crate) const START: &str = "start";
/// Before the number of an imported function, which is exported so that it can be told which it is.
pub(crate) const IMPORTED: &str = "import ";

/// A rewritten module, and what it looked like.
pub(crate) struct Rewritten {
    pub(crate) wasm: Vec<u8>,
    pub(crate) interface: Interface,
    /// Functions, globals, exports and segments: what an instance has of each costs memory of the host.
    pub(crate) items: usize,
}

/// What a module imports, exports and needs.
#[derive(Debug, Default)]
pub(crate) struct Interface {
    pub(crate) imports: Vec<Import>,
    pub(crate) exports: Vec<Export>,
    /// Pages at first and at most, of its own memory or an imported one.
    pub(crate) memory: Option<(u64, Option<u64>)>,
    pub(crate) memory_imported: bool,
    /// Imported functions, tables, globals.
    pub(crate) imported: [u32; 3],
}

#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) module: String,
    pub(crate) name: String,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) struct Export {
    pub(crate) name: String,
    pub(crate) kind: ExternalKind,
    pub(crate) index: u32,
}

/// What an import has to be.
#[derive(Debug)]
pub(crate) enum Kind {
    /// With so many results.
    Function(u32),
    Table(u64, Option<u64>),
    Memory(u64, Option<u64>),
    Global(wasmparser::ValType, bool),
}

impl Interface {
    /// As the JavaScript side reads it: lists only, so that no prototype of the script is asked.
    pub(crate) fn to_json(&self) -> Json {
        let kind = |kind: &Kind| match kind {
            Kind::Function(results) => json!(["function", results, null]),
            Kind::Table(initial, maximum) => json!(["table", initial, maximum]),
            Kind::Memory(initial, maximum) => json!(["memory", initial, maximum]),
            Kind::Global(ty, mutable) => json!(["global", ty.to_string(), mutable]),
        };
        let imports: Vec<Json> = self.imports.iter().map(|it| json!([it.module, it.name, kind(&it.kind)])).collect();
        let exports: Vec<Json> = self.exports.iter().map(|it| json!([it.name, kind_name(it.kind), it.index])).collect();
        json!([imports, exports, self.memory.map(|(initial, maximum)| json!([initial, maximum])), self.memory_imported])
    }
}

fn kind_name(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "function",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}

/// Function indices: the import that grows the memory comes after the module's own imports.
struct Shift {
    imported: u32,
    added: u32,
}

impl Reencode for Shift {
    type Error = std::convert::Infallible;

    fn function_index(&mut self, index: u32) -> Result<u32, ReencodeError> {
        Ok(if index < self.imported { index } else { index.saturating_add(self.added) })
    }
}

/// Where a function's accesses find what they need.
pub(super) struct Places {
    /// Globals of the buffer's place and size.
    pub(super) base: u32,
    pub(super) size: u32,
    /// The imported function that grows the memory.
    pub(super) grow: u32,
}

#[derive(Default)]
struct Sections {
    types: TypeSection,
    imports: ImportSection,
    functions: FunctionSection,
    tables: TableSection,
    globals: GlobalSection,
    exports: ExportSection,
    elements: ElementSection,
    code: CodeSection,
    data: DataSection,
}

/// Rewrites a module that has been validated (`check.rs`).
pub(crate) fn rewrite(wasm: &[u8]) -> Result<Rewritten, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let mut out = Sections::default();
    let mut interface = Interface::default();
    let mut shift = Shift { imported: 0, added: 0 };
    let mut places = Places { base: 0, size: 0, grow: 0 };
    // Parameters of each type, the type of each defined function, and which function is compiled next.
    let mut parameters: Vec<u32> = Vec::new();
    let mut results: Vec<u32> = Vec::new();
    let mut types: Vec<u32> = Vec::new();
    let mut next = 0;
    let mut start = None;
    let mut segments = 0;
    let mut init = Vec::new();
    let memory = memory_of(wasm).map_err(text)?;
    if let Some((initial, maximum, imported)) = memory {
        interface.memory = Some((initial, maximum));
        interface.memory_imported = imported;
        shift.added = 1;
    }
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(text)? {
            Payload::TypeSection(section) => {
                for ty in section.clone().into_iter_err_on_gc_types() {
                    let ty = ty.map_err(text)?;
                    parameters.push(count(ty.params().len()));
                    results.push(count(ty.results().len()));
                }
                shift.parse_type_section(&mut out.types, section).map_err(|error| error.to_string())?;
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.map_err(text)?;
                    let kind = match import.ty {
                        TypeRef::Func(ty) => Kind::Function(results.get(ty as usize).copied().unwrap_or(0)),
                        TypeRef::Table(table) => Kind::Table(table.initial, table.maximum),
                        TypeRef::Memory(memory) => Kind::Memory(memory.initial, memory.maximum),
                        TypeRef::Global(global) => Kind::Global(global.content_type, global.mutable),
                        TypeRef::FuncExact(_) | TypeRef::Tag(_) => {
                            return Err("an import of an unknown kind".to_owned());
                        }
                    };
                    match kind {
                        Kind::Function(_) => interface.imported[0] += 1,
                        Kind::Table(..) => interface.imported[1] += 1,
                        Kind::Global(..) => interface.imported[2] += 1,
                        Kind::Memory(..) => {}
                    }
                    if !matches!(kind, Kind::Memory(..)) {
                        let ty = shift.entity_type(import.ty).map_err(|error| error.to_string())?;
                        out.imports.import(import.module, import.name, ty);
                    }
                    let (module, name) = (import.module.to_owned(), import.name.to_owned());
                    interface.imports.push(Import { module, name, kind });
                }
                shift.imported = interface.imported[0];
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    let ty = ty.map_err(text)?;
                    types.push(ty);
                    out.functions.function(ty);
                }
            }
            Payload::TableSection(section) => {
                shift.parse_table_section(&mut out.tables, section).map_err(|error| error.to_string())?;
            }
            Payload::GlobalSection(section) => {
                shift.parse_global_section(&mut out.globals, section).map_err(|error| error.to_string())?;
            }
            Payload::ExportSection(section) => {
                for (place, export) in section.into_iter().enumerate() {
                    let export = export.map_err(text)?;
                    let (name, place) = (export.name.to_owned(), place.to_string());
                    interface.exports.push(Export { name, kind: export.kind, index: export.index });
                    match export.kind {
                        ExternalKind::Func => {
                            let index = shift.function_index(export.index).map_err(|error| error.to_string())?;
                            out.exports.export(&place, ExportKind::Func, index)
                        }
                        ExternalKind::Table => out.exports.export(&place, ExportKind::Table, export.index),
                        ExternalKind::Global => out.exports.export(&place, ExportKind::Global, export.index),
                        // The engine's memory is nobody's to have.
                        ExternalKind::Memory => &mut out.exports,
                        ExternalKind::Tag | ExternalKind::FuncExact => {
                            return Err("an export of an unknown kind".to_owned());
                        }
                    };
                }
            }
            Payload::StartSection { func, .. } => {
                start = Some(shift.function_index(func).map_err(|error| error.to_string())?);
            }
            Payload::ElementSection(section) => {
                shift.parse_element_section(&mut out.elements, section).map_err(|error| error.to_string())?;
            }
            Payload::CodeSectionStart { .. } => {
                places.base = interface.imported[2] + out.globals.len();
                places.size = places.base + 1;
                places.grow = interface.imported[0];
            }
            Payload::CodeSectionEntry(body) => {
                let parameters = types.get(next).and_then(|ty| parameters.get(*ty as usize)).copied();
                let parameters = parameters.ok_or("code without a function")?;
                out.code.raw(&function(&mut shift, &places, &body, parameters)?);
                next += 1;
            }
            Payload::DataSection(section) => {
                places.base = interface.imported[2] + out.globals.len();
                places.size = places.base + 1;
                for segment in section {
                    let segment = segment.map_err(text)?;
                    out.data.passive(segment.data.iter().copied());
                    if let DataKind::Active { offset_expr, .. } = segment.kind {
                        let mut reader = offset_expr.get_operators_reader();
                        while !reader.is_end_then_eof() {
                            let instruction =
                                shift.parse_instruction(&mut reader).map_err(|error| error.to_string())?;
                            wasm_encoder::Encode::encode(&instruction, &mut init);
                        }
                        access::initialize(&mut init, &places, segments, count(segment.data.len()));
                    }
                    segments += 1;
                }
            }
            _ => {}
        }
    }
    let items =
        out.functions.len() + interface.imported[0] + out.globals.len() + out.exports.len() + out.elements.len();
    let items = items as usize + segments as usize;
    add_own(&mut out, &interface, &shift, count(parameters.len()), start, init);
    let mut module = Module::new();
    module.section(&out.types).section(&out.imports).section(&out.functions).section(&out.tables);
    module.section(&out.globals).section(&out.exports).section(&out.elements);
    if segments > 0 {
        module.section(&DataCountSection { count: segments });
    }
    module.section(&out.code).section(&out.data);
    Ok(Rewritten { wasm: module.finish(), interface, items })
}

/// Adds what the host needs: the engine's memory, the function that grows it, the globals, what is called at first.
fn add_own(
    out: &mut Sections,
    interface: &Interface,
    shift: &Shift,
    types: u32,
    start: Option<u32>,
    mut init: Vec<u8>,
) {
    for index in 0..interface.imported[0] {
        out.exports.export(&format!("{IMPORTED}{index}"), ExportKind::Func, index);
    }
    if interface.memory.is_some() {
        out.types.ty().function([ValType::I32], [ValType::I32]);
        out.imports.import(crate::image::MEMORY_MODULE, "grow", EntityType::Function(types));
        let any = MemoryType { minimum: 0, maximum: None, memory64: false, shared: false, page_size_log2: None };
        out.imports.import(crate::image::MEMORY_MODULE, crate::image::MEMORY, EntityType::Memory(any));
        let mutable = |val_type| GlobalType { val_type, mutable: true, shared: false };
        let base = interface.imported[2] + out.globals.len();
        out.globals.global(mutable(ValType::I32), &ConstExpr::i32_const(0));
        out.globals.global(mutable(ValType::I64), &ConstExpr::i64_const(0));
        out.exports.export(BASE, ExportKind::Global, base);
        out.exports.export(SIZE, ExportKind::Global, base + 1);
    }
    if !init.is_empty() {
        InstructionSink::new(&mut init).end();
        // Its temporary for a segment's place.
        let mut body = vec![1, 1];
        wasm_encoder::Encode::encode(&ValType::I32, &mut body);
        body.extend_from_slice(&init);
        out.types.ty().function([], []);
        out.functions.function(types + 1);
        out.code.raw(&body);
        let defined = interface.imported[0] + shift.added + out.functions.len() - 1;
        out.exports.export(INIT, ExportKind::Func, defined);
    }
    if let Some(start) = start {
        out.exports.export(START, ExportKind::Func, start);
    }
}

/// Pages at first and at most, and whether it is imported. A validated module has one memory at most.
fn memory_of(wasm: &[u8]) -> Result<Option<(u64, Option<u64>, bool)>, wasmparser::BinaryReaderError> {
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    if let TypeRef::Memory(memory) = import?.ty {
                        return Ok(Some((memory.initial, memory.maximum, true)));
                    }
                }
            }
            Payload::MemorySection(section) => {
                if let Some(memory) = section.into_iter().next() {
                    let memory = memory?;
                    return Ok(Some((memory.initial, memory.maximum, false)));
                }
            }
            Payload::CodeSectionStart { .. } => break,
            _ => {}
        }
    }
    Ok(None)
}

/// One function: locals, then instructions.
fn function(shift: &mut Shift, places: &Places, body: &FunctionBody<'_>, parameters: u32) -> Result<Vec<u8>, String> {
    let text = |error: wasmparser::BinaryReaderError| error.to_string();
    let mut locals: Vec<(u32, ValType)> = Vec::new();
    let mut known = parameters;
    for local in body.get_locals_reader().map_err(text)? {
        let (number, ty) = local.map_err(text)?;
        locals.push((number, shift.val_type(ty).map_err(|error| error.to_string())?));
        known = known.checked_add(number).ok_or("too many locals")?;
    }
    let mut access = Access::new(places, known);
    let mut code = Vec::with_capacity(body.range().len() * 4);
    let mut reader = body.get_operators_reader().map_err(text)?;
    while !reader.eof() {
        let operator = reader.read().map_err(text)?;
        if let Some(operator) = access.rewrite(&mut code, operator) {
            let instruction = shift.instruction(operator).map_err(|error| error.to_string())?;
            wasm_encoder::Encode::encode(&instruction, &mut code);
        }
    }
    locals.extend(access.locals().iter().map(|ty| (1, *ty)));
    let mut whole = Vec::with_capacity(code.len() + 16);
    wasm_encoder::Encode::encode(&locals.len(), &mut whole);
    for (number, ty) in locals {
        wasm_encoder::Encode::encode(&number, &mut whole);
        wasm_encoder::Encode::encode(&ty, &mut whole);
    }
    whole.extend_from_slice(&code);
    Ok(whole)
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
