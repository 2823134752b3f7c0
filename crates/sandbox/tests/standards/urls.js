// Walks the data of web-platform-tests, as its own url-constructor.any.js and url-setters.any.js do.
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];

export function run() {
    const failed = new Set();
    let cases = 0;
    const count = (name, good) => { cases++; if (!good) failed.add(name); };
    for (const test of DATA) {
        if (typeof test === "string") continue;
        const { input, base } = test;
        const name = base === null || base === undefined ? `<${input}>` : `<${input}> against <${base}>`;
        const other = base ?? undefined;
        let url = null;
        try { url = new URL(input, other); } catch (error) { if (!(error instanceof TypeError)) throw error; }
        const can = URL.canParse(input, other);
        if (test.failure) count(name, url === null && !can && URL.parse(input, other) === null);
        else count(name, can && url !== null && PARTS.every((part) => !(part in test) || url[part] === test[part])
            && (test.searchParams === undefined || `${url.searchParams}` === test.searchParams) && JSON.stringify(url) === JSON.stringify(url.href));
    }
    for (const [part, tests] of Object.entries(SETTERS)) {
        if (part === "comment") continue;
        for (const { href, new_value, expected } of tests) {
            const url = new URL(href);
            url[part] = new_value;
            count(`<${href}> set ${part} to <${new_value}>`, Object.entries(expected).every(([name, value]) => url[name] === value));
        }
    }
    // A line of the list each.
    const line = (name) => JSON.stringify(name).slice(1, -1).replaceAll('\\"', '"');
    return { cases, passed: cases - failed.size, failed: [...failed].map(line) };
}
