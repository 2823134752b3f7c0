// attacks: memory
// expect: says "RangeError"
// lifted: says "done"
// webassembly: yes
//
// A module that wants 25 MiB at once.
// (module (memory (export "m") 400))
const LARGE = new Uint8Array([0,97,115,109,1,0,0,0,5,4,1,0,144,3,7,5,1,1,109,2,0]);
export default {
    run() {
        try { new WebAssembly.Instance(new WebAssembly.Module(LARGE)).exports; } catch (error) { return error.name; }
        return "done";
    },
};
