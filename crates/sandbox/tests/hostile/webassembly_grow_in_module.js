// attacks: memory
// expect: says "-1"
// lifted: says "done"
// webassembly: yes
//
// The same from within a module, which is told -1.
// (module (memory (export "m") 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
const GROW = new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,5,3,1,0,1,7,12,2,1,109,2,0,4,103,114,111,119,0,0,10,8,1,6,0,32,0,64,0,11]);
export default {
    run() {
        const it = new WebAssembly.Instance(new WebAssembly.Module(GROW)).exports;
        for (let i = 0; i < 75; i++) if (it.grow(8) === -1) return "-1";
        return "done";
    },
};
