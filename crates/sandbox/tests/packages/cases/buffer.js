// By its folder, as the package's own documents say: `buffer` alone is Node's.
import { Buffer } from "buffer/";

export function run() {
    const text = Buffer.from("aé☂𝄞 and more", "utf8");
    const seen = { encodings: ["utf8", "hex", "base64", "latin1", "ascii", "utf16le"].map((name) => text.toString(name)) };
    seen.back = ["utf8", "hex", "base64", "latin1", "utf16le"].map((name) => Buffer.from(text.toString(name), name).equals(text));
    const room = Buffer.alloc(40);
    room.writeUInt32BE(0xdeadbeef, 0);
    room.writeInt16LE(-5, 4);
    room.writeDoubleBE(Math.PI, 8);
    room.writeFloatLE(1.5, 16);
    room.writeBigUInt64LE(2n ** 60n, 20);
    room.write("hi", 30, "ascii");
    seen.room = [room.toString("hex"), room.readUInt32BE(0), room.readInt16LE(4), room.readDoubleBE(8), room.readFloatLE(16), String(room.readBigUInt64LE(20))];
    seen.pieces = [Buffer.concat([text.slice(0, 3), Buffer.from([1, 2])]).toJSON(), text.indexOf("and"), text.includes("nothing"), Buffer.compare(text, room), Buffer.byteLength("☂"), Buffer.isBuffer(text.subarray(1))];
    seen.filled = Buffer.alloc(7, "abc").toString();
    seen.swapped = Buffer.from([1, 2, 3, 4]).swap16().toString("hex");
    try { room.readUInt32BE(38); } catch (error) { seen.refused = [error.name, error.message]; }
    return seen;
}
