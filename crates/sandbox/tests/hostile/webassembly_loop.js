// attacks: turn
// expect: ended Deadline
// lifted: says "done"
// webassembly: yes
//
// Machine code of a module is stopped as the script itself is, whatever catches around it.
// (module (func (export "spin") (param i32) (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))
const SPIN = new Uint8Array([0,97,115,109,1,0,0,0,1,5,1,96,1,127,0,3,2,1,0,7,8,1,4,115,112,105,110,0,0,10,16,1,14,0,3,64,32,0,65,1,107,34,0,13,0,11,11,0,13,4,110,97,109,101,3,6,1,0,1,0,1,108]);
export default {
    run() {
        try { new WebAssembly.Instance(new WebAssembly.Module(SPIN)).exports.spin(500_000_000); } catch { return "caught"; }
        return "done";
    },
};
