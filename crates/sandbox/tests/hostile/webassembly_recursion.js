// attacks: stack
// expect: says "RangeError"
// lifted: says "done"
// webassembly: yes
//
// Recursion through script and module in turn.
// (module (import "e" "f" (func $f (param i32) (result i32))) (func (export "go") (param i32) (result i32) (call $f (local.get 0))))
const BACK = new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,2,7,1,1,101,1,102,0,0,3,2,1,0,7,6,1,2,103,111,0,1,10,8,1,6,0,32,0,16,0,11,0,11,4,110,97,109,101,1,4,1,0,1,102]);
export default {
    run() {
        const f = (depth) => (depth > 150 ? depth : it.go(depth + 1) + [depth].map((one) => one * 0)[0]);
        const it = new WebAssembly.Instance(new WebAssembly.Module(BACK), { e: { f } }).exports;
        try { it.go(1); } catch (error) { return error.name; }
        return "done";
    },
};
