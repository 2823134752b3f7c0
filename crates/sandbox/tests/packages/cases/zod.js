import * as z from "zod";

export async function run() {
    const Order = z.object({
        id: z.uuid(), email: z.email(), url: z.url(), amount: z.coerce.bigint().positive(), when: z.iso.datetime(),
        kind: z.enum(["in", "out"]), tags: z.array(z.string().trim().min(2)).max(3).default([]),
        to: z.string().regex(/^0x[0-9a-f]{40}$/i).transform((text) => text.toLowerCase()),
        extra: z.discriminatedUnion("type", [z.object({ type: z.literal("a"), n: z.number().int() }), z.object({ type: z.literal("b"), s: z.string() })]).optional(),
    });
    const good = { id: "0b30557a-9fc4-490e-b358-7da2c7ec1136", email: "a@b.example", url: "https://x.example/?q=1", amount: "12345678901234567890", when: "2026-01-02T03:04:05Z", kind: "in", to: "0x" + "Ab".repeat(20), extra: { type: "a", n: 5 }, unknown: 1 };
    const plain = (value) => JSON.parse(JSON.stringify(value, (_, inner) => (typeof inner === "bigint" ? String(inner) : inner)));
    const seen = { good: plain(Order.parse(good)) };
    seen.bad = plain(Order.safeParse({ ...good, id: "x", email: 5, url: "no", amount: -1n, kind: "up", tags: [" a "], extra: { type: "a", n: 1.5 } }).error.issues);
    seen.flat = z.flattenError(Order.safeParse({}).error);
    seen.refined = await z.string().refine(async (text) => text.length > 2, "short").safeParseAsync("a").then((result) => result.error.issues);
    seen.schema = z.toJSONSchema(z.object({ a: z.string().optional(), b: z.tuple([z.number(), z.boolean()]), c: z.record(z.string(), z.null()) }));
    seen.collections = [[...z.map(z.string(), z.number()).parse(new Map([["a", 1]]))], [...z.set(z.number()).parse(new Set([1]))], z.instanceof(Uint8Array).safeParse(new Uint8Array(1)).success, z.date().safeParse(new Date(NaN)).success];
    const Tree = z.object({ value: z.number(), get children() { return z.array(Tree); } });
    seen.tree = Tree.parse({ value: 1, children: [{ value: 2, children: [] }] });
    return seen;
}
