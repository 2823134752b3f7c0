//! The rewriter against wasmtime itself: the same module as it is, and rewritten into a piece of another memory.

mod rewriting;

use wasmtime::{Config, Engine, Extern, Func, Global, Instance, Memory, MemoryType, Module, Store, Val};

use super::{check, rewrite};

/// Where the piece begins: not aligned to anything a module could rely on.
const AT: usize = 65_536 + 12_344;

fn engine() -> Engine {
    let mut config = Config::new();
    config.wasm_backtrace_max_frames(None);
    Engine::new(&config).expect("wasmtime starts")
}

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("the text is a module")
}

/// A module in a piece of a larger memory, whose other bytes are known.
struct Piece {
    store: Store<()>,
    outer: Memory,
    instance: Instance,
    size: Option<Global>,
    names: Vec<String>,
}

const AROUND: u8 = 0xa5;

impl Piece {
    /// A memory of `size` bytes for the module; growing it takes what lies behind, up to `most` bytes.
    fn new(wasm: &[u8], size: usize, most: usize) -> Self {
        check::valid(wasm).expect("the module is valid");
        let rewritten = rewrite::rewrite(wasm).expect("the module is rewritten");
        let engine = engine();
        let module = Module::new(&engine, &rewritten.wasm).expect("what is rewritten is valid");
        let mut store = Store::new(&engine, ());
        let outer = Memory::new(&mut store, MemoryType::new(16, Some(16))).expect("a memory");
        outer.data_mut(&mut store).fill(AROUND);
        outer.data_mut(&mut store)[AT..AT + size].fill(0);
        let size_global = std::sync::Arc::new(std::sync::OnceLock::<Global>::new());
        let theirs = std::sync::Arc::clone(&size_global);
        let grow = Func::wrap(&mut store, move |mut caller: wasmtime::Caller<'_, ()>, pages: u32| -> i32 {
            let Some(size) = theirs.get() else { return -1 };
            let now = usize::try_from(size.get(&mut caller).unwrap_i64()).expect("a size");
            let new = now + pages as usize * 65_536;
            if new > most {
                return -1;
            }
            outer.data_mut(&mut caller)[AT + now..AT + new].fill(0);
            size.set(&mut caller, Val::I64(new as i64)).expect("it is mutable");
            (now / 65_536) as i32
        });
        let imports: &[Extern] = if rewritten.interface.memory.is_some() { &[grow.into(), outer.into()] } else { &[] };
        let instance = Instance::new(&mut store, &module, imports).expect("it is instantiated");
        let base = instance.get_global(&mut store, rewrite::BASE);
        let size_of = instance.get_global(&mut store, rewrite::SIZE);
        if let (Some(base), Some(global)) = (base, size_of) {
            base.set(&mut store, Val::I32(AT as i32)).expect("it is mutable");
            global.set(&mut store, Val::I64(size as i64)).expect("it is mutable");
            let _ = size_global.set(global);
        }
        let names = rewritten.interface.exports.iter().map(|export| export.name.clone()).collect();
        Self { store, outer, instance, size: size_of, names }
    }

    /// Copies the data in and starts.
    fn begin(&mut self) -> wasmtime::Result<()> {
        for name in [rewrite::INIT, rewrite::START] {
            if let Some(first) = self.instance.get_func(&mut self.store, name) {
                first.call(&mut self.store, &[], &mut [])?;
            }
        }
        Ok(())
    }

    fn func(&mut self, name: &str) -> Func {
        let place = self.names.iter().position(|known| known == name).expect("it exports that");
        self.instance.get_func(&mut self.store, &place.to_string()).expect("it is a function")
    }

    fn call(&mut self, name: &str, arguments: &[Val]) -> Result<Vec<Val>, String> {
        let func = self.func(name);
        call(&mut self.store, func, arguments)
    }

    fn size(&mut self) -> usize {
        self.size.map_or(0, |size| usize::try_from(size.get(&mut self.store).unwrap_i64()).expect("a size"))
    }

    fn bytes(&mut self) -> Vec<u8> {
        let size = self.size();
        self.outer.data(&self.store)[AT..AT + size].to_vec()
    }

    /// Nothing outside of the piece was written.
    fn around_is_whole(&mut self) -> bool {
        let size = self.size();
        let all = self.outer.data(&self.store);
        all[..AT].iter().chain(&all[AT + size..]).all(|byte| *byte == AROUND)
    }
}

/// The same module with a memory of its own.
struct Plain {
    store: Store<()>,
    instance: Instance,
}

impl Plain {
    fn new(wasm: &[u8]) -> wasmtime::Result<Self> {
        let engine = engine();
        let module = Module::new(&engine, wasm).expect("it is valid");
        let mut store = Store::new(&engine, ());
        let instance = Instance::new(&mut store, &module, &[])?;
        Ok(Self { store, instance })
    }

    fn call(&mut self, name: &str, arguments: &[Val]) -> Result<Vec<Val>, String> {
        let func = self.instance.get_func(&mut self.store, name).expect("it exports that");
        call(&mut self.store, func, arguments)
    }

    fn bytes(&mut self) -> Vec<u8> {
        self.instance.get_memory(&mut self.store, "memory").expect("it exports it").data(&self.store).to_vec()
    }
}

fn call(store: &mut Store<()>, func: Func, arguments: &[Val]) -> Result<Vec<Val>, String> {
    let mut results = vec![Val::I32(0); func.ty(&*store).results().len()];
    match func.call(&mut *store, arguments, &mut results) {
        Ok(()) => Ok(results),
        Err(error) => Err(error.downcast::<wasmtime::Trap>().expect("a trap").to_string()),
    }
}

/// Comparable, also with a NaN in it.
fn bits(values: &[Val]) -> Vec<u128> {
    let one = |value: &Val| match value {
        Val::I32(value) => u128::from(value.cast_unsigned()),
        Val::I64(value) => u128::from(value.cast_unsigned()),
        Val::F32(bits) => u128::from(*bits),
        Val::F64(bits) => u128::from(*bits),
        Val::V128(value) => value.as_u128(),
        _ => u128::MAX,
    };
    values.iter().map(one).collect()
}
