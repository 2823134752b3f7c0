// attacks: memory
// expect: says "RangeError"
// lifted: says "done"
//
// A buffer that may grow to more than there is.
export default {
    run() {
        try { const b = new ArrayBuffer(1, { maxByteLength: 1 << 25 }); b.resize(1 << 25); return "done"; } catch (error) { return error.name === "InternalError" ? "RangeError" : error.name; }
    },
};
