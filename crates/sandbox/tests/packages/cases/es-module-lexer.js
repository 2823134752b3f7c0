// A lexer whose core is WebAssembly made from C: it writes the source into the module's memory and reads back places.
import { init, parse } from "es-module-lexer";

export async function run() {
    await init;
    const source = `import { a as b } from "./a.js"; export { b as c }; export default function named() {} import("x" + y); import.meta.url; // import "no"
        const text = \`\${import("in a template")}\`; export const ☂ = /import 'regex'/;`;
    const seen = {};
    const told = (text) => {
        const [imports, exports, facade, hasModuleSyntax] = parse(text, "file.js");
        return { imports: imports.map(({ n, s, e, ss, se, d, a }) => [n, s, e, ss, se, d, a]), exports: exports.map(({ n, ln, s, e, ls, le }) => [n, ln, s, e, ls, le]), facade, hasModuleSyntax };
    };
    seen.mixed = told(source);
    seen.empty = told("");
    seen.facade = told("export * from 'a'; export { b } from 'b';");
    seen.large = told(`${"const x = 1;\n".repeat(20_000)}import "late";`.concat("\nexport let last;"));
    for (const broken of ["import {", "export default `${", "import('"]) {
        try { parse(broken); } catch (error) { seen[broken] = [error.name, error.message]; }
    }
    return seen;
}
