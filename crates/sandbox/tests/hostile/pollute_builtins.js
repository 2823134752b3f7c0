// attacks: captured built-ins
// expect: says "clean"
// lifted: no JSON: undefined; no answer
//
// Every built-in that the globals might use is replaced before they use it.
const seen = [];
const spy = (name) => function (...values) { seen[seen.length] = name; return undefined; };
for (const [prototype, names] of [
    [Array.prototype, ["push", "join", "map", "slice", "filter"]], [Map.prototype, ["get", "set", "has", "delete"]],
    [Set.prototype, ["add", "has", "delete"]], [String.prototype, ["toWellFormed", "slice", "trim"]], [Function.prototype, ["call", "apply"]],
]) for (const name of names) Object.defineProperty(prototype, name, { value: spy(name) });
Reflect.apply = Object.keys = spy("static");
export default {
    run() {
        console.log({ a: [1, 2] }, new Error("x"));
        clearTimeout(setTimeout(() => {}, 1));
        new URL("http://a.example/?a=b").searchParams.get("a");
        new TextDecoder().decode(new TextEncoder().encode("x"));
        return seen.length ? "seen" : "clean";
    },
};
