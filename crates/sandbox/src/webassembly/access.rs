//! Loads and stores of a rewritten module.

use wasm_encoder::{InstructionSink, ValType};
use wasmparser::{MemArg, Operator};

use super::rewrite::Places;

/// An address that the engine's memory never has: together with any width it lies behind 4 GiB.
const NOWHERE: i32 = -1;

/// What lies above the address on the stack.
enum Above {
    Nothing,
    Value(ValType),
}

/// The accesses of one function, with the locals they need.
pub(super) struct Access<'p> {
    places: &'p Places,
    first: u32,
    locals: Vec<ValType>,
    address: Option<u32>,
    /// For what lies above the address, by type.
    values: Vec<(ValType, u32)>,
    /// Destination, source and length of whole ranges.
    range: Option<[u32; 3]>,
}

impl<'p> Access<'p> {
    /// `first` is the number of locals that the function has.
    pub(super) fn new(places: &'p Places, first: u32) -> Self {
        Self { places, first, locals: Vec::new(), address: None, values: Vec::new(), range: None }
    }

    /// Types of the locals that came about.
    pub(super) fn locals(&self) -> &[ValType] {
        &self.locals
    }

    fn local(&mut self, ty: ValType) -> u32 {
        self.locals.push(ty);
        self.first.saturating_add(u32::try_from(self.locals.len() - 1).unwrap_or(u32::MAX))
    }

    fn address(&mut self) -> u32 {
        if let Some(local) = self.address {
            return local;
        }
        let local = self.local(ValType::I32);
        self.address = Some(local);
        local
    }

    fn value(&mut self, ty: ValType) -> u32 {
        if let Some((_, local)) = self.values.iter().find(|(known, _)| *known == ty) {
            return *local;
        }
        let local = self.local(ty);
        self.values.push((ty, local));
        local
    }

    fn range(&mut self) -> [u32; 3] {
        if let Some(locals) = self.range {
            return locals;
        }
        let locals = [(); 3].map(|()| self.local(ValType::I32));
        self.range = Some(locals);
        locals
    }

    /// Writes what has to stand before `operator`, and gives back what is left to encode as it is.
    pub(super) fn rewrite<'a>(&mut self, code: &mut Vec<u8>, mut operator: Operator<'a>) -> Option<Operator<'a>> {
        if let Some((arg, above)) = access(&mut operator) {
            let end = arg.offset.saturating_add(1 << arg.max_align);
            let address = self.address();
            let Places { base, size, .. } = *self.places;
            let above = match above {
                Above::Nothing => None,
                Above::Value(ty) => Some(self.value(ty)),
            };
            let mut sink = InstructionSink::new(code);
            if let Some(above) = above {
                sink.local_set(above);
            }
            sink.local_set(address);
            sink.global_get(base).local_get(address).i32_add();
            sink.i32_const(NOWHERE);
            sink.local_get(address).i64_extend_i32_u().i64_const(end.cast_signed()).i64_add();
            sink.global_get(size).i64_le_u().select();
            if let Some(above) = above {
                sink.local_get(above);
            }
            return Some(operator);
        }
        let Places { size, grow, .. } = *self.places;
        match operator {
            Operator::MemorySize { .. } => {
                InstructionSink::new(code).global_get(size).i64_const(16).i64_shr_u().i32_wrap_i64();
                None
            }
            Operator::MemoryGrow { .. } => {
                InstructionSink::new(code).call(grow);
                None
            }
            Operator::MemoryCopy { .. } => {
                let [to, from, length] = self.range();
                let mut sink = InstructionSink::new(code);
                sink.local_set(length).local_set(from).local_set(to);
                moved(&mut sink, self.places, to, length);
                moved(&mut sink, self.places, from, length);
                sink.local_get(length);
                Some(operator)
            }
            Operator::MemoryFill { .. } => {
                let [to, value, length] = self.range();
                let mut sink = InstructionSink::new(code);
                sink.local_set(length).local_set(value).local_set(to);
                moved(&mut sink, self.places, to, length);
                sink.local_get(value).local_get(length);
                Some(operator)
            }
            Operator::MemoryInit { .. } => {
                let [to, from, length] = self.range();
                let mut sink = InstructionSink::new(code);
                sink.local_set(length).local_set(from).local_set(to);
                moved(&mut sink, self.places, to, length);
                sink.local_get(from).local_get(length);
                Some(operator)
            }
            other => Some(other),
        }
    }
}

/// Puts on the stack where the range at `at` really begins.
fn moved(sink: &mut InstructionSink<'_>, places: &Places, at: u32, length: u32) {
    sink.global_get(places.base).local_get(at).i32_add();
    sink.i32_const(NOWHERE);
    sink.local_get(at).i64_extend_i32_u().local_get(length).i64_extend_i32_u().i64_add();
    sink.global_get(places.size).i64_le_u().select();
}

/// Copies a segment to the address on the stack, as an active one does at first. Local 0 is its own.
pub(super) fn initialize(code: &mut Vec<u8>, places: &Places, segment: u32, length: u32) {
    let mut sink = InstructionSink::new(code);
    sink.local_set(0);
    sink.global_get(places.base).local_get(0).i32_add();
    sink.i32_const(NOWHERE);
    sink.local_get(0).i64_extend_i32_u().i64_const(i64::from(length)).i64_add();
    sink.global_get(places.size).i64_le_u().select();
    sink.i32_const(0).i32_const(length.cast_signed()).memory_init(0, segment).data_drop(segment);
}

/// The operator's place in memory and what lies above its address, if it is a load or store. No atomic operation is here:
/// those are refused before.
fn access<'o>(operator: &'o mut Operator<'_>) -> Option<(&'o mut MemArg, Above)> {
    use Operator::{
        F32Load, F32Store, F64Load, F64Store, I32Load, I32Load8S, I32Load8U, I32Load16S, I32Load16U, I32Store,
        I32Store8, I32Store16, I64Load, I64Load8S, I64Load8U, I64Load16S, I64Load16U, I64Load32S, I64Load32U, I64Store,
        I64Store8, I64Store16, I64Store32, V128Load, V128Load8Lane, V128Load8Splat, V128Load8x8S, V128Load8x8U,
        V128Load16Lane, V128Load16Splat, V128Load16x4S, V128Load16x4U, V128Load32Lane, V128Load32Splat, V128Load32Zero,
        V128Load32x2S, V128Load32x2U, V128Load64Lane, V128Load64Splat, V128Load64Zero, V128Store, V128Store8Lane,
        V128Store16Lane, V128Store32Lane, V128Store64Lane,
    };
    match operator {
        I32Load { memarg }
        | I64Load { memarg }
        | F32Load { memarg }
        | F64Load { memarg }
        | I32Load8S { memarg }
        | I32Load8U { memarg }
        | I32Load16S { memarg }
        | I32Load16U { memarg }
        | I64Load8S { memarg }
        | I64Load8U { memarg }
        | I64Load16S { memarg }
        | I64Load16U { memarg }
        | I64Load32S { memarg }
        | I64Load32U { memarg }
        | V128Load { memarg }
        | V128Load8x8S { memarg }
        | V128Load8x8U { memarg }
        | V128Load16x4S { memarg }
        | V128Load16x4U { memarg }
        | V128Load32x2S { memarg }
        | V128Load32x2U { memarg }
        | V128Load8Splat { memarg }
        | V128Load16Splat { memarg }
        | V128Load32Splat { memarg }
        | V128Load64Splat { memarg }
        | V128Load32Zero { memarg }
        | V128Load64Zero { memarg } => Some((memarg, Above::Nothing)),
        I32Store { memarg } | I32Store8 { memarg } | I32Store16 { memarg } => {
            Some((memarg, Above::Value(ValType::I32)))
        }
        I64Store { memarg } | I64Store8 { memarg } | I64Store16 { memarg } | I64Store32 { memarg } => {
            Some((memarg, Above::Value(ValType::I64)))
        }
        F32Store { memarg } => Some((memarg, Above::Value(ValType::F32))),
        F64Store { memarg } => Some((memarg, Above::Value(ValType::F64))),
        V128Store { memarg }
        | V128Load8Lane { memarg, .. }
        | V128Load16Lane { memarg, .. }
        | V128Load32Lane { memarg, .. }
        | V128Load64Lane { memarg, .. }
        | V128Store8Lane { memarg, .. }
        | V128Store16Lane { memarg, .. }
        | V128Store32Lane { memarg, .. }
        | V128Store64Lane { memarg, .. } => Some((memarg, Above::Value(ValType::V128))),
        _ => None,
    }
}
