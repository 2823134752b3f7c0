// attacks: frozen classes
// expect: says "TypeError"
// lifted: says "mine"
//
// What a script does to URL must not reach another part of it.
export default {
    run() {
        try { URL.prototype.toString = () => "mine"; return new URL("http://a.example").toString(); } catch (error) { return error.name; }
    },
};
