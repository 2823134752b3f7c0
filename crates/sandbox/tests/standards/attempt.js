// Before each file of cases/: a question is a text and a function; its answer is what it gives, or the error's name.
const answers = {};
const show = (value) => {
    if (value === undefined) return "undefined";
    if (typeof value === "bigint") return `${value}n`;
    if (typeof value === "number" && !Number.isFinite(value) || Object.is(value, -0)) return Object.is(value, -0) ? "-0" : `${value}`;
    if (ArrayBuffer.isView(value) && !(value instanceof DataView)) return [value.constructor.name, ...value].map(show);
    if (Array.isArray(value)) return Array.from(value, show);
    if (typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype) {
        return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, show(inner)]));
    }
    return typeof value === "function" ? "a function" : typeof value === "object" && value !== null ? `a ${value.constructor?.name}` : value;
};
const ask = async (question, work) => {
    if (question in answers) throw new Error(`asked twice: ${question}`);
    try {
        answers[question] = show(await work());
    } catch (error) {
        answers[question] = error instanceof Error ? `throws ${error.name}${error instanceof DOMException ? " (DOMException)" : ""}` : `throws ${show(error)}`;
    }
};
/** Where Node departs from the standard: what the standard says stands here. */
const standard = async (question, work, expected) => ask(`${question} (standard)`, typeof process === "object" ? () => expected : work);
