// attacks: buffers of memories stay
// expect: says ["TypeError",65536,-1]
// lifted: says ["done",0,"TypeError"]
// webassembly: yes
//
// A script detaches the buffer that a module works in: the buffer stays, or nobody enters the module any more.
// (module (memory (export "m") 1) (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))
const GROW = new Uint8Array([0,97,115,109,1,0,0,0,1,6,1,96,1,127,1,127,3,2,1,0,5,3,1,0,1,7,12,2,1,109,2,0,4,103,114,111,119,0,0,10,8,1,6,0,32,0,64,0,11]);
export default {
    run() {
        const it = new WebAssembly.Instance(new WebAssembly.Module(GROW)).exports;
        let outcome = "done";
        try { it.m.buffer.transfer(); } catch (error) { outcome = error.name; }
        const entered = () => { try { return it.grow(65536); } catch (error) { return error.name; } };
        return [outcome, it.m.buffer.byteLength, entered()];
    },
};
