// attacks: memory
// expect: says ["RangeError",true]
// lifted: says ["done",true]
// webassembly: yes
//
// The memory of a module is the script's: it grows to the same wall, and is whole when it cannot.
export default {
    run() {
        const memory = new WebAssembly.Memory({ initial: 1 });
        let pages = 1;
        try { while (pages < 600) pages = memory.grow(8) + 8; } catch (error) { return [error.name, memory.buffer.byteLength === pages * 65536]; }
        return ["done", memory.buffer.byteLength === pages * 65536];
    },
};
