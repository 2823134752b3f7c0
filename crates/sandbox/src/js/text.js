
// Text and bytes. Continues basics.js.

const bytesOf = (source) => {
    if (source === undefined) return new Uint8ArrayC(0);
    if (isView(source)) {
        return typedArrayTag(source) === undefined
            ? new Uint8ArrayC(viewBufferOf(source), viewOffsetOf(source), viewLengthOf(source))
            : new Uint8ArrayC(bufferOf(source), byteOffsetOf(source), byteLengthOf(source));
    }
    return new Uint8ArrayC(arrayBufferSlice(source, 0)); // throws TypeError when it is no ArrayBuffer
};

class TextEncoder {
    get encoding() { return "utf-8"; }
    encode(text = undefined) {
        if (text === undefined) text = "";
        return native.encode(wellFormed(`${text}`));
    }
    encodeInto(text, target) {
        need(arguments.length, 2);
        if (typedArrayTag(target) !== "Uint8Array") throw new TypeErrorC("encodeInto needs a Uint8Array");
        text = wellFormed(`${text}`);
        const room = typedArrayLength(target);
        let read = 0;
        let written = 0;
        while (read < text.length) {
            const unit = charCodeAt(text, read);
            const units = unit >= 0xd800 && unit < 0xdc00 ? 2 : 1;
            const size = unit < 0x80 ? 1 : unit < 0x800 ? 2 : units === 2 ? 4 : 3;
            if (written + size > room) break;
            setBytes(target, native.encode(slice(text, read, read + units)), written);
            read += units;
            written += size;
        }
        return { read, written };
    }
}
define("TextEncoder", frozenClass(TextEncoder, "TextEncoder"));

// The labels of the Encoding standard for what is decoded here.
const ENCODINGS = { __proto__: null };
for (const [name, labels] of [
    ["utf-8", ["unicode-1-1-utf-8", "unicode11utf8", "unicode20utf8", "utf-8", "utf8", "x-unicode20utf8"]],
    ["utf-16le", ["csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff", "utf-16", "utf-16le"]],
    ["utf-16be", ["unicodefffe", "utf-16be"]],
    ["windows-1252", ["ansi_x3.4-1968", "ascii", "cp1252", "cp819", "csisolatin1", "ibm819", "iso-8859-1", "iso-ir-100", "iso8859-1", "iso88591", "iso_8859-1", "iso_8859-1:1987", "l1", "latin1", "us-ascii", "windows-1252", "x-cp1252"]],
]) for (const one of labels) ENCODINGS[one] = name;
/** Bytes 0x80 to 0x9f of windows-1252; all others are their own code point. */
const WINDOWS_1252 = "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";
const WHITESPACE = "\t\n\f\r ";
const labelOf = (text) => {
    let start = 0;
    let end = text.length;
    while (start < end && indexOf(WHITESPACE, text[start]) !== -1) start++;
    while (end > start && indexOf(WHITESPACE, text[end - 1]) !== -1) end--;
    return lowerCase(slice(text, start, end));
};
const decodeLatin = (bytes) => {
    let text = "";
    for (let i = 0; i < typedArrayLength(bytes); i++) text += bytes[i] >= 0x80 && bytes[i] < 0xa0 ? WINDOWS_1252[bytes[i] - 0x80] : fromCharCode(bytes[i]);
    return [text, typedArrayLength(bytes)];
};
/** As `native.decode`: text and the number of bytes used, or null. */
const decode16 = (bytes, fatal, stream, high) => {
    const length = typedArrayLength(bytes);
    let end = length - length % 2;
    let text = "";
    for (let i = 0; i < end; i += 2) {
        const unit = bytes[i + high] << 8 | bytes[i + 1 - high];
        // A surrogate that may find its other half in what comes next waits for it.
        if (stream && i + 2 === end && unit >= 0xd800 && unit < 0xdc00) end = i;
        else text += fromCharCode(unit);
    }
    const clean = wellFormed(text);
    if (fatal && (clean !== text || !stream && end !== length)) return null;
    return [stream || end === length ? clean : `${clean}\ufffd`, stream ? end : length];
};

class TextDecoder {
    #encoding;
    #fatal;
    #ignoreBom;
    #rest = new Uint8ArrayC(0);
    #started = false;
    constructor(label = "utf-8", options = undefined) {
        const name = ENCODINGS[labelOf(`${label}`)];
        if (name === undefined) throw new RangeErrorC(`the encoding ${label} is not known here: utf-8, utf-16le, utf-16be and windows-1252 are`);
        this.#encoding = name;
        const { fatal, ignoreBOM } = dictionary(options, "the second argument");
        this.#fatal = !!fatal;
        this.#ignoreBom = !!ignoreBOM;
    }
    get encoding() { return this.#encoding; }
    get fatal() { return this.#fatal; }
    get ignoreBOM() { return this.#ignoreBom; }
    decode(source = undefined, options = undefined) {
        const stream = !!dictionary(options, "the second argument").stream;
        let bytes = bytesOf(source);
        const kept = typedArrayLength(this.#rest);
        if (kept) {
            const joined = new Uint8ArrayC(kept + typedArrayLength(bytes));
            setBytes(joined, this.#rest);
            setBytes(joined, bytes, kept);
            bytes = joined;
        }
        const decoded = this.#encoding === "utf-8" ? native.decode(bytes, this.#fatal, stream)
            : this.#encoding === "windows-1252" ? decodeLatin(bytes)
            : decode16(bytes, this.#fatal, stream, this.#encoding === "utf-16le" ? 1 : 0);
        if (decoded === null) {
            this.#rest = new Uint8ArrayC(0);
            this.#started = false;
            throw new TypeErrorC(`the bytes are not valid ${this.#encoding}`);
        }
        let text = decoded[0];
        this.#rest = stream ? new Uint8ArrayC(arrayBufferSlice(bufferOf(bytes), byteOffsetOf(bytes) + decoded[1], byteOffsetOf(bytes) + byteLengthOf(bytes))) : new Uint8ArrayC(0);
        if (!this.#started && text !== "") {
            if (!this.#ignoreBom && this.#encoding !== "windows-1252" && charCodeAt(text, 0) === 0xfeff) text = slice(text, 1);
            this.#started = true;
        }
        if (!stream) this.#started = false;
        return text;
    }
}
define("TextDecoder", frozenClass(TextDecoder, "TextDecoder"));

// ---- Base64: the engine's own, which takes no argument for an empty text ------------------------------------------

const { atob: engineAtob, btoa: engineBtoa } = globalThis;
define("atob", freeze(function atob(text) {
    need(arguments.length, 1);
    return engineAtob(`${text}`);
}));
define("btoa", freeze(function btoa(text) {
    need(arguments.length, 1);
    return engineBtoa(`${text}`);
}));
