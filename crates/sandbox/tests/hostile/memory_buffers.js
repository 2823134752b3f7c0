// attacks: memory
// expect: says "InternalError at 11 MiB"
// lifted: says "done"
//
// Large buffers: the script sees an error it can catch, a quarter before the wall.
export default {
    run() {
        const all = [];
        try { while (all.length < 40) all.push(new Uint8Array(1 << 20)); } catch (error) { return `${error.name} at ${all.length} MiB`; }
        return "done";
    },
};
