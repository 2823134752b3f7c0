// An asset for tests and measurements: what honest assets do, and what hostile ones try.
//
// Built by `cargo xtask engine` with the compiler of the engine, without a C library. It is also the shortest example
// of the ABI (docs/plugins/compute.md): export `memory`, `allocate`, and functions (pointer, length) that answer
// pointer and length in one number.
#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("entresol"), import_name(name)))

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;

IMPORT("progress") void host_progress(double done, double total);
IMPORT("fail") _Noreturn void host_fail(const char *text, u32 length);

extern u8 __heap_base;
static u32 top;

static u64 packed(const void *at, u32 length) { return (u64)(u32)at << 32 | length; }

EXPORT("allocate") void *allocate(u32 size) {
    if (!top)
        top = (u32)&__heap_base;
    u32 at = (top + 15) & ~15u, end = at + size;
    if (end < at)
        return 0;
    u32 have = __builtin_wasm_memory_size(0) * 65536u;
    if (end > have && __builtin_wasm_memory_grow(0, (end - have + 65535) / 65536) == (u32)-1)
        return 0;
    top = end;
    return (void *)at;
}

// ---- Honest ----------------------------------------------------------------------------------------------------

static const u32 K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc,
    0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static u32 turned(u32 x, int by) { return x >> by | x << (32 - by); }

static void block(u32 h[8], const u8 *p) {
    u32 w[64], s[8];
    for (int i = 0; i < 16; i++)
        w[i] = (u32)p[4 * i] << 24 | p[4 * i + 1] << 16 | p[4 * i + 2] << 8 | p[4 * i + 3];
    for (int i = 16; i < 64; i++) {
        u32 a = turned(w[i - 15], 7) ^ turned(w[i - 15], 18) ^ w[i - 15] >> 3;
        u32 b = turned(w[i - 2], 17) ^ turned(w[i - 2], 19) ^ w[i - 2] >> 10;
        w[i] = w[i - 16] + a + w[i - 7] + b;
    }
    for (int i = 0; i < 8; i++)
        s[i] = h[i];
    for (int i = 0; i < 64; i++) {
        u32 a = s[7] + (turned(s[4], 6) ^ turned(s[4], 11) ^ turned(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
        u32 b = (turned(s[0], 2) ^ turned(s[0], 13) ^ turned(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
        for (int j = 7; j > 0; j--)
            s[j] = s[j - 1];
        s[4] += a;
        s[0] = a + b;
    }
    for (int i = 0; i < 8; i++)
        h[i] += s[i];
}

static void digest(const u8 *data, u32 length, u8 out[32]) {
    u32 h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    u32 at = 0;
    for (; length - at >= 64; at += 64)
        block(h, data + at);
    u8 last[128] = {0};
    u32 rest = length - at, room = rest < 56 ? 64 : 128;
    for (u32 i = 0; i < rest; i++)
        last[i] = data[at + i];
    last[rest] = 0x80;
    u64 bits = (u64)length * 8;
    for (int i = 0; i < 8; i++)
        last[room - 1 - i] = (u8)(bits >> 8 * i);
    block(h, last);
    if (room == 128)
        block(h, last + 64);
    for (int i = 0; i < 32; i++)
        out[i] = (u8)(h[i / 4] >> (24 - 8 * (i % 4)));
}

static u8 result[32];

EXPORT("sha256") u64 sha256(const u8 *input, u32 length) {
    digest(input, length, result);
    return packed(result, 32);
}

// The digest of the digest of … : the input is the number of rounds, little endian. Tells how far it is.
EXPORT("chain") u64 chain(const u8 *input, u32 length) {
    u32 rounds = 0;
    for (u32 i = 0; i < length && i < 4; i++)
        rounds |= (u32)input[i] << 8 * i;
    for (int i = 0; i < 32; i++)
        result[i] = 0;
    for (u32 i = 0; i < rounds; i++) {
        if (i % 4096 == 0)
            host_progress(i, rounds);
        digest(result, 32, result);
    }
    host_progress(rounds, rounds);
    return packed(result, 32);
}

EXPORT("echo") u64 echo(const u8 *input, u32 length) { return packed(input, length); }

// ---- Not honest ------------------------------------------------------------------------------------------------

EXPORT("spin") u64 spin(const u8 *input, u32 length) {
    host_progress(1, 2);
    for (volatile u32 i = 0;; i++) {}
}

static u32 deeper(volatile u32 *n) {
    volatile u32 mine = *n + 1;
    return deeper(&mine) + mine;
}

EXPORT("recurse") u64 recurse(const u8 *input, u32 length) {
    volatile u32 n = 0;
    return deeper(&n);
}

EXPORT("hoard") u64 hoard(const u8 *input, u32 length) {
    for (;;) {
        u8 *more = allocate(1 << 20);
        if (!more)
            __builtin_trap();
        *more = 1;
    }
}

EXPORT("crash") u64 crash(const u8 *input, u32 length) { __builtin_trap(); }

EXPORT("refuse") u64 refuse(const u8 *input, u32 length) { host_fail((const char *)input, length); }

EXPORT("refuse_outside") u64 refuse_outside(const u8 *input, u32 length) { host_fail((const char *)-8, 4096); }

// More than there is: all of memory, and beyond.
EXPORT("huge") u64 huge(const u8 *input, u32 length) { return packed(0, 0x7fffffff); }

EXPORT("outside") u64 outside(const u8 *input, u32 length) { return packed((void *)0xfffffff0, 64); }

EXPORT("odd_progress") u64 odd_progress(const u8 *input, u32 length) {
    host_progress(-1, __builtin_nan(""));
    host_progress(__builtin_inf(), -__builtin_inf());
    return 0;
}

EXPORT("wrong_type") u32 wrong_type(u32 n) { return n; }
