// attacks: frozen console
// expect: says "TypeError"
// lifted: says "mine"
//
// The console belongs to nobody.
export default {
    run() {
        try { console.log = () => "mine"; return console.log(); } catch (error) { return error.name; }
    },
};
