// attacks: native stack
// expect: ended Stack
// lifted: says "done"
// webassembly: yes
//
// Recursion of a module alone: its frames lie on the native stack.
// (module (func $d (export "down") (param i32) (result i32) (if (result i32) (local.get 0) (then (i32.add (i32.const 1) (call $d (i32.sub (local.get 0) (i32.const 1))))) (else (i32.const 0)))))
const DEEP = new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,7,8,1,4,100,111,119,110,0,0,10,22,1,20,0,32,0,4,127,65,1,32,0,65,1,107,16,0,106,5,65,0,11,11,0,11,4,110,97,109,101,1,4,1,0,1,100]);
export default {
    run() {
        try { new WebAssembly.Instance(new WebAssembly.Module(DEEP)).exports.down(400_000); } catch (error) { return error.name; }
        return "done";
    },
};
