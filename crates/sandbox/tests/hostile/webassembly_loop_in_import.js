// attacks: turn
// expect: ended Deadline
// lifted: says "done"
// webassembly: yes
//
// A loop in a module, called by the script, called by another module: no frame in between may go on.
// (module (func (export "spin") (param i32) (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))
const SPIN = new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,1,127,0,3,2,1,0,7,8,1,4,115,112,105,110,0,0,10,16,1,14,0,3,64,32,0,65,1,107,34,0,13,0,11,11,0,13,4,110,97,109,101,3,6,1,0,1,0,1,108]);
// (module (import "e" "f" (func $f (param i32) (result i32))) (func (export "go") (param i32) (result i32) (call $f (local.get 0))))
const BACK = new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,2,7,1,1,101,1,102,0,0,3,2,1,0,7,6,1,2,103,111,0,1,10,8,1,6,0,32,0,16,0,11,0,11,4,110,97,109,101,1,4,1,0,1,102]);
export default {
    run() {
        const { spin } = new WebAssembly.Instance(new WebAssembly.Module(SPIN)).exports;
        const f = () => { try { spin(500_000_000); } catch { return 1; } return 0; };
        try { new WebAssembly.Instance(new WebAssembly.Module(BACK), { e: { f } }).exports.go(1); } catch { return "caught"; }
        return "done";
    },
};
