// attacks: turn
// expect: does not start: Deadline
// lifted: says "done"
//
// The same while the script is evaluated, before anybody has asked it anything.
let n = 0;
while (n < 15e6) n++;
export default { run: () => "done" };
