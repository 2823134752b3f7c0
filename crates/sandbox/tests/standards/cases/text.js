const bytes = (...list) => new Uint8Array(list);
const decoded = (list, label = "utf-8", options) => new TextDecoder(label, options).decode(bytes(...list));

export async function run() {
    for (const label of ["utf-8", " UTF8\n", "unicode-1-1-utf-8", "x-unicode20utf8", "utf-16", "utf-16le", "UTF-16BE", "ucs-2", "unicodefffe", "latin1", "ascii", "iso-8859-1", "windows-1252", "\u00a0utf-8", "utf-8\u0000", "", "utf8x", "undefined"]) {
        await ask(`label ${JSON.stringify(label)}`, () => new TextDecoder(label).encoding);
    }
    await ask("no label", () => new TextDecoder().encoding);
    await ask("options", () => { const d = new TextDecoder("utf-8", { fatal: 1, ignoreBOM: "yes" }); return [d.fatal, d.ignoreBOM]; });
    await ask("options null", () => new TextDecoder("utf-8", null).fatal);
    await ask("options of another type", () => new TextDecoder("utf-8", 5).fatal);
    const sequences = { lone: [0x80], cut2: [0xc3], cut3: [0xe2, 0x98], cut4: [0xf0, 0x9d, 0x84], overlong: [0xc0, 0x80], overlong3: [0xe0, 0x80, 0x80], overlong4: [0xf0, 0x80, 0x80, 0x80], surrogate: [0xed, 0xa0, 0x80], beyond: [0xf4, 0x90, 0x80, 0x80], f5: [0xf5, 0x80], ff: [0xff, 0x41], mixed: [0xf0, 0x41, 0xe2, 0x41, 0x98], good: [0x61, 0xc3, 0xa9, 0xe2, 0x98, 0x82, 0xf0, 0x9d, 0x84, 0x9e], cut3again: [0xe2, 0x98, 0xe2, 0x98, 0x82] };
    for (const [name, list] of Object.entries(sequences)) {
        await ask(`utf-8 ${name}`, () => decoded(list));
        await ask(`utf-8 fatal ${name}`, () => decoded(list, "utf-8", { fatal: true }));
        await ask(`utf-8 byte by byte ${name}`, () => {
            const decoder = new TextDecoder();
            return [...list.map((one) => decoder.decode(bytes(one), { stream: true })), decoder.decode()].join("|");
        });
    }
    const units = { pair: [0x34, 0xd8, 0x1e, 0xdd], high: [0x34, 0xd8, 0x41, 0], low: [0x1e, 0xdd, 0x41, 0], odd: [0x41, 0, 0x42], bom: [0xff, 0xfe, 0x41, 0], last: [0x41, 0, 0x34, 0xd8] };
    for (const [name, list] of Object.entries(units)) {
        for (const label of ["utf-16le", "utf-16be"]) {
            await ask(`${label} ${name}`, () => decoded(list, label));
            await ask(`${label} fatal ${name}`, () => decoded(list, label, { fatal: true }));
        }
    }
    await ask("bom", () => [decoded([0xef, 0xbb, 0xbf, 0x61]), decoded([0xef, 0xbb, 0xbf, 0x61], "utf-8", { ignoreBOM: true }).length, decoded([0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf]).length]);
    await ask("bom in pieces", () => { const d = new TextDecoder(); return [[0xef], [0xbb], [0xbf], [0x61, 0xef, 0xbb, 0xbf]].map((list) => d.decode(bytes(...list), { stream: true }).length); });
    await ask("bom again after the end", () => { const d = new TextDecoder(); return [d.decode(bytes(0xef, 0xbb, 0xbf, 0x61)), d.decode(bytes(0xef, 0xbb, 0xbf, 0x62))]; });
    await ask("fatal goes on afterwards", () => { const d = new TextDecoder("utf-8", { fatal: true }); try { d.decode(bytes(0xff)); } catch { /* expected */ } return d.decode(bytes(0x61)); });
    await ask("views", () => { const buffer = bytes(1, 0x61, 0x62, 0x63).buffer; return [new TextDecoder().decode(new DataView(buffer, 1, 2)), new TextDecoder().decode(buffer.slice(1)), new TextDecoder().decode(new Uint16Array(bytes(0x61, 0x62).buffer))]; });
    await ask("no view", () => new TextDecoder().decode("text"));
    await ask("null", () => new TextDecoder().decode(null));
    await ask("encode", () => [new TextEncoder().encode(), new TextEncoder().encode(undefined), new TextEncoder().encode(null), new TextEncoder().encode(5), new TextEncoder().encode("\ud834\udd1e\udd1e\ud834")]);
    await ask("encode a symbol", () => new TextEncoder().encode(Symbol("x")));
    for (const [text, room] of [["", 1], ["abc", 2], ["é☂", 1], ["é☂", 4], ["\ud834\udd1e", 3], ["\ud834\udd1e", 4], ["\ud834", 3], ["a\udd1eb", 5]]) {
        await ask(`encodeInto ${JSON.stringify(text)} ${room}`, () => { const to = new Uint8Array(room); return [new TextEncoder().encodeInto(text, to), to]; });
    }
    await ask("encodeInto another view", () => new TextEncoder().encodeInto("a", new Uint16Array(1)));
    await ask("encodeInto nothing", () => new TextEncoder().encodeInto("a"));
    await ask("interfaces", () => [String(new TextEncoder()), String(new TextDecoder()), TextDecoder.length, TextDecoder.prototype.decode.length, TextEncoder.prototype.encodeInto.length, Object.keys(TextEncoder.prototype), typeof TextEncoder.prototype.encode]);
    await ask("called without new", () => TextDecoder());
    await ask("brand", () => Object.getOwnPropertyDescriptor(TextDecoder.prototype, "fatal").get.call({}));
    for (const text of ["", "YQ==", "YQ", " Y Q = = ", "YQ=", "Y", "YQ==YQ==", "ab\u0000c", "ab☂c", "-_==", "/+8=", "YR==", "=", "a===", "\t\n\f\rYWI=", "\u000bYWI="]) {
        await ask(`atob ${JSON.stringify(text)}`, () => Array.from(atob(text), (c) => c.charCodeAt(0)));
    }
    for (const text of ["", "a", "ab", "abc", "é", "ÿ\u0000", "☂", null, undefined, 12]) await ask(`btoa ${JSON.stringify(text)} ${typeof text}`, () => btoa(text));
    await ask("atob of nothing", () => atob());
    await ask("atob of null", () => Array.from(atob(null), (c) => c.charCodeAt(0)));
    return answers;
}
