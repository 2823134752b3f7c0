// attacks: memory at the start
// expect: does not start: Memory
// lifted: says "done"
//
// The same while the script is evaluated.
let list = null;
for (let i = 0; i < 500000; i++) list = { list };
export default { run: () => (list ? "done" : "") };
