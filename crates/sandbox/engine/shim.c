// The engine's surface towards the host: QuickJS-ng in, a handful of exports and imports out.
//
// Everything here runs inside WebAssembly: a mistake in this file can break the guest, never the host. Pointers and
// lengths are offsets into the guest's own linear memory. Every export answers 0 when it went well and 1 when it has
// told the host about an error through `report`.
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "quickjs.h"

#define EXPORT(name) __attribute__((export_name(name)))
#define IMPORT(name) __attribute__((import_module("entresol"), import_name(name)))

IMPORT("post") extern int host_post(const char *text, size_t length);
IMPORT("log") extern void host_log(int level, const char *text, size_t length);
IMPORT("timer") extern int host_timer(uint32_t id, double milliseconds);
IMPORT("clear_timer") extern void host_clear_timer(uint32_t id);
IMPORT("random") extern int host_random(uint8_t *into, size_t length);
// Answers the length of the result, which `take` then copies, or -1 - length of the error's text.
IMPORT("call") extern int host_call(int service, const char *name, size_t name_length, const uint8_t *payload,
                                    size_t payload_length);
IMPORT("take") extern void host_take(uint8_t *into);
// The heap is full. Does not come back.
IMPORT("exhausted") extern _Noreturn void host_exhausted(void);
// fatal: the evaluation failed. Not fatal: an error that nobody caught.
IMPORT("report") extern void host_report(int fatal, const char *message, size_t message_length, const char *stack,
                                         size_t stack_length);

// The script's WebAssembly modules, which run beside the engine, in pieces of its memory (src/webassembly.rs). Numbers go
// both ways through `exchange`; whoever receives takes them out before anything else runs.
// Answers 0; CALL_THREW when an import has thrown what is now `thrown`; CALL_TOO_DEEP; or -1 - length of a trap's text.
IMPORT("wasm_call") extern int host_wasm_call(uint32_t function, uint64_t *exchange);
// exchange[0]: the function's number in its module; then, a byte each, the types of parameters and results. Answers how
// many there are of each, in the lower and the upper half.
IMPORT("wasm_signature") extern uint32_t host_wasm_signature(uint32_t function, uint64_t *exchange);
// Where the buffer of a WebAssembly.Memory lies now.
IMPORT("wasm_moved") extern void host_wasm_moved(uint32_t memory, const uint8_t *at, size_t length);

enum { LAYER_GLOBALS = 0, LAYER_PRELUDE = 1, LAYER_SCRIPT = 2 };
enum { KIND_MODULE = 0, KIND_COMMON_JS = 1 };

static JSRuntime *runtime;
static JSContext *context;
static size_t heap_limit;
static JSValue handlers = JS_UNDEFINED; // { boundary, primordials, onMessage, onTimer, seal }, made by boundary.js
static JSValue exported = JS_UNDEFINED; // what boundary.script() answers

// ---- Memory ----------------------------------------------------------------------------------------------------

// A script can deal with a buffer it did not get; nobody can deal with a heap that is full, least of all the
// interpreter, which goes on after some failures as if nothing were lost.
enum { SMALL = 65536 };

void sandbox_refused(size_t size) {
    if (size < SMALL)
        host_exhausted();
}

static void *checked(void *allocated, size_t size) {
    if (!allocated)
        sandbox_refused(size);
    return allocated;
}

static void *memory_calloc(void *opaque, size_t count, size_t size) { return checked(calloc(count, size), count * size); }
static void *memory_malloc(void *opaque, size_t size) { return checked(malloc(size), size); }

// While a script is evaluated, what is given back is zeroed first. The memory then says nothing but what is in use, and
// two evaluations can be compared (src/snapshot.rs says what for). Turns do without. The engine keeps small blocks in
// arenas of its own, and looks here when it frees one.
bool sandbox_evaluating = true;

static void wipe(void *block) {
    if (!sandbox_evaluating || !block)
        return;
    memset(block, 0, malloc_usable_size(block));
    // The compiler knows that nobody reads what is freed.
    __asm__ volatile("" : : "r"(block) : "memory");
}

static void memory_free(void *opaque, void *block) {
    wipe(block);
    free(block);
}

static void *memory_realloc(void *opaque, void *block, size_t size) {
    if (!sandbox_evaluating || !block || !size)
        return checked(realloc(block, size), size);
    // A block that moves would leave its old bytes behind.
    void *moved = checked(malloc(size), size);
    if (!moved)
        return NULL;
    size_t kept = malloc_usable_size(block);
    memcpy(moved, block, kept < size ? kept : size);
    memory_free(opaque, block);
    return moved;
}
static size_t memory_usable_size(const void *block) { return malloc_usable_size((void *)block); }

static const JSMallocFunctions memory = {memory_calloc, memory_malloc, memory_free, memory_realloc, memory_usable_size};

// ---- Errors ----------------------------------------------------------------------------------------------------

static void report(int fatal, JSValue error) {
    // Out of memory is told with the reserve between the heap's limit and the memory's cap.
    JS_SetMemoryLimit(runtime, 0);
    size_t message_length = 0, stack_length = 0;
    const char *message = JS_ToCStringLen(context, &message_length, error);
    const char *stack = NULL;
    if (!message)
        JS_FreeValue(context, JS_GetException(context));
    if (JS_IsError(error)) {
        JSValue value = JS_GetPropertyStr(context, error, "stack");
        if (JS_IsString(value))
            stack = JS_ToCStringLen(context, &stack_length, value);
        JS_FreeValue(context, value);
        if (JS_HasException(context))
            JS_FreeValue(context, JS_GetException(context));
    }
    static const char nameless[] = "an error that cannot be printed";
    host_report(fatal, message ? message : nameless, message ? message_length : sizeof nameless - 1, stack ? stack : "",
                stack ? stack_length : 0);
    if (message)
        JS_FreeCString(context, message);
    if (stack)
        JS_FreeCString(context, stack);
    JS_FreeValue(context, error);
    JS_SetMemoryLimit(runtime, heap_limit);
}

// Promises that were rejected and have no handler yet; whoever is still here when the jobs are done is reported.
typedef struct Rejection {
    struct Rejection *next;
    JSValue promise, reason;
} Rejection;
static Rejection *rejections;
static Rejection **rejections_end = &rejections;

static void forget_rejection(Rejection **link) {
    Rejection *gone = *link;
    *link = gone->next;
    if (!gone->next)
        rejections_end = link;
    JS_FreeValue(context, gone->promise);
    JS_FreeValue(context, gone->reason);
    free(gone);
}

static void on_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool is_handled, void *opaque) {
    if (!is_handled) {
        Rejection *rejection = checked(malloc(sizeof *rejection), sizeof *rejection);
        *rejection = (Rejection){NULL, JS_DupValue(ctx, promise), JS_DupValue(ctx, reason)};
        *rejections_end = rejection;
        rejections_end = &rejection->next;
        return;
    }
    for (Rejection **link = &rejections; *link; link = &(*link)->next) {
        if (JS_VALUE_GET_PTR((*link)->promise) == JS_VALUE_GET_PTR(promise)) {
            forget_rejection(link);
            return;
        }
    }
}

static void run_jobs(void) {
    JSContext *ctx;
    for (;;) {
        int outcome = JS_ExecutePendingJob(runtime, &ctx);
        if (outcome == 0)
            break;
        if (outcome < 0)
            report(0, JS_GetException(ctx));
    }
}

// The end of a turn: all jobs, then the rejections that stayed unhandled. Printing one of those may run the script's
// code and so make new jobs.
static void settle(void) {
    do {
        run_jobs();
        while (rejections) {
            JSValue reason = JS_DupValue(context, rejections->reason);
            forget_rejection(&rejections);
            report(0, reason);
        }
    } while (JS_IsJobPending(runtime));
}

// ---- WebAssembly -------------------------------------------------------------------------------------------------

enum { SERVICE_WEBASSEMBLY = 2 };
enum { CALL_THREW = 1, CALL_TOO_DEEP = 2 };
enum { MOST_VALUES = 1000 }; // parameters, and results, of a function: the standard's own limit
enum { NO_FUNCTION = -1 };

// A number and values, and behind them the types of an import that is called, a byte each.
static uint64_t exchange[MOST_VALUES + 1 + 2 * MOST_VALUES / sizeof(uint64_t)];
static JSValue thrown = JS_UNDEFINED; // by an import, on its way through the module to the script that called
static JSValue make_trap = JS_UNDEFINED; // text -> RuntimeError
static JSValue grow_memory = JS_UNDEFINED; // (memory, pages) -> pages before, or -1
static JSClassID function_class;

// A function of a module, as an object of the script; the object's own data.
typedef struct Function {
    uint32_t id;
    uint16_t params, results;
    uint8_t types[];
} Function;

// Everything here lives as long as the script: so do the modules' instances, which refer to it by number.
typedef struct { JSValue *at; uint32_t length, room; } Values;
static Values functions; // by number; undefined where nobody has asked for the object
static Values callbacks; // functions of the script that modules import
typedef struct { JSValue buffer; const uint8_t *at; size_t length; } Memory;
static Memory *memories;
static uint32_t memory_count;

static void *grown(void *old, size_t size) {
    void *block = memory_realloc(NULL, old, size);
    // Nothing that large is kept in these lists.
    if (!block)
        host_exhausted();
    return block;
}

static void set_value(Values *values, uint32_t index, JSValue value) {
    if (index >= values->room) {
        uint32_t room = index + index / 2 + 16;
        values->at = grown(values->at, room * sizeof *values->at);
        values->room = room;
    }
    while (values->length <= index)
        values->at[values->length++] = JS_UNDEFINED;
    JS_FreeValue(context, values->at[index]);
    values->at[index] = value;
}

// Tells the host where the buffers lie. A buffer that somebody has detached has no bytes: the modules may not be
// entered, and what is in one already finds nothing.
static int tell_memories(JSContext *ctx) {
    int gone = 0;
    for (uint32_t i = 0; i < memory_count; i++) {
        Memory *memory = &memories[i];
        size_t length;
        const uint8_t *at = JS_GetArrayBuffer(ctx, &length, memory->buffer);
        if (!at && JS_HasException(ctx)) {
            JS_FreeValue(ctx, JS_GetException(ctx));
            gone = 1;
        }
        if (at == memory->at && length == memory->length)
            continue;
        memory->at = at;
        memory->length = length;
        host_wasm_moved(i, at, length);
    }
    return gone;
}

static JSValue refuse_detached(JSContext *ctx) {
    return JS_ThrowTypeError(ctx, "the buffer of a WebAssembly.Memory is detached");
}

static JSValue wasm_function_call(JSContext *ctx, JSValueConst function, JSValueConst self, int argc,
                                  JSValueConst *argv, int flags);
static const JSClassDef function_class_def = {"Function", .call = wasm_function_call};

// The object of a function, the same each time.
static JSValue function_object(JSContext *ctx, uint32_t id) {
    if (id < functions.length && !JS_IsUndefined(functions.at[id]))
        return JS_DupValue(ctx, functions.at[id]);
    uint32_t counts = host_wasm_signature(id, exchange);
    uint32_t params = counts & 0xffff, results = counts >> 16;
    Function *data = js_malloc(ctx, sizeof *data + params + results);
    if (!data)
        return JS_EXCEPTION;
    data->id = id;
    data->params = params;
    data->results = results;
    memcpy(data->types, exchange + 1, params + results);
    int32_t number = (int32_t)exchange[0];
    JSValue prototype = JS_GetFunctionProto(ctx);
    JSValue object = JS_NewObjectProtoClass(ctx, prototype, function_class);
    JS_FreeValue(ctx, prototype);
    if (JS_IsException(object)) {
        js_free(ctx, data);
        return object;
    }
    JS_SetOpaque(object, data);
    // Its number in decimal, as the standard names it; none for one that no module exports.
    char digits[12], *name = digits + sizeof digits - 1;
    *name = 0;
    for (int32_t left = number; left > 0 || (left == 0 && number == 0 && !*name); left /= 10)
        *--name = '0' + left % 10;
    JS_DefinePropertyValueStr(ctx, object, "length", JS_NewInt32(ctx, params), JS_PROP_CONFIGURABLE);
    JS_DefinePropertyValueStr(ctx, object, "name", JS_NewString(ctx, name), JS_PROP_CONFIGURABLE);
    set_value(&functions, id, JS_DupValue(ctx, object));
    return object;
}

// A value of the script as a module takes it. 1 when an exception was thrown.
static int to_wasm(JSContext *ctx, uint8_t type, JSValueConst value, uint64_t *into) {
    *into = 0;
    double number;
    switch (type) {
    case 'i': {
        int32_t integer;
        if (JS_ToInt32(ctx, &integer, value))
            return 1;
        *into = (uint32_t)integer;
        return 0;
    }
    case 'l':
        return JS_ToBigInt64(ctx, (int64_t *)into, value) != 0;
    case 'f': {
        if (JS_ToFloat64(ctx, &number, value))
            return 1;
        float single = (float)number;
        memcpy(into, &single, sizeof single);
        return 0;
    }
    case 'd':
        if (JS_ToFloat64(ctx, &number, value))
            return 1;
        memcpy(into, &number, sizeof number);
        return 0;
    case 'r': {
        Function *function = JS_IsObject(value) ? JS_GetOpaque(value, function_class) : NULL;
        if (!function && !JS_IsNull(value)) {
            JS_ThrowTypeError(ctx, "only null and functions that WebAssembly has exported are references to functions");
            return 1;
        }
        *into = function ? function->id : (uint32_t)NO_FUNCTION;
        return 0;
    }
    }
    JS_ThrowTypeError(ctx, "a vector of 128 bits is no value of JavaScript");
    return 1;
}

static JSValue from_wasm(JSContext *ctx, uint8_t type, uint64_t value) {
    double number;
    float single;
    switch (type) {
    case 'i':
        return JS_NewInt32(ctx, (int32_t)value);
    case 'l':
        return JS_NewBigInt64(ctx, (int64_t)value);
    case 'f':
        memcpy(&single, &value, sizeof single);
        return JS_NewFloat64(ctx, single);
    case 'd':
        memcpy(&number, &value, sizeof number);
        return JS_NewFloat64(ctx, number);
    case 'r':
        return (int32_t)value == NO_FUNCTION ? JS_NULL : function_object(ctx, (uint32_t)value);
    }
    return JS_ThrowTypeError(ctx, "a vector of 128 bits is no value of JavaScript");
}

static bool has_vectors(const uint8_t *types, size_t count) { return memchr(types, 'v', count) != NULL; }

static JSValue trap(JSContext *ctx, size_t length) {
    char *text = js_malloc(ctx, length + 1);
    if (!text)
        return JS_EXCEPTION;
    host_take((uint8_t *)text);
    JSValue message = JS_NewStringLen(ctx, text, length);
    js_free(ctx, text);
    JSValue error = JS_Call(ctx, make_trap, JS_UNDEFINED, 1, (JSValueConst *)&message);
    JS_FreeValue(ctx, message);
    return JS_IsException(error) ? error : JS_Throw(ctx, error);
}

static JSValue throw_again(JSContext *ctx) {
    JSValue error = thrown;
    thrown = JS_UNDEFINED;
    return JS_Throw(ctx, error);
}

static JSValue wasm_function_call(JSContext *ctx, JSValueConst callee, JSValueConst self, int argc, JSValueConst *argv,
                                  int flags) {
    Function *function = JS_GetOpaque(callee, function_class);
    if (!function)
        return JS_ThrowTypeError(ctx, "not a function of WebAssembly");
    uint32_t params = function->params, results = function->results;
    uint64_t few[16], *values = few;
    uint32_t most = params > results ? params : results;
    if (has_vectors(function->types, params + results))
        return JS_ThrowTypeError(ctx, "a vector of 128 bits is no value of JavaScript");
    if (most > sizeof few / sizeof few[0] && !(values = js_malloc(ctx, most * sizeof *values)))
        return JS_EXCEPTION;
    JSValue result = JS_EXCEPTION;
    for (uint32_t i = 0; i < params; i++) {
        if (to_wasm(ctx, function->types[i], i < (uint32_t)argc ? argv[i] : JS_UNDEFINED, &values[i]))
            goto done;
    }
    if (tell_memories(ctx)) {
        refuse_detached(ctx);
        goto done;
    }
    memcpy(exchange, values, params * sizeof *values);
    int outcome = host_wasm_call(function->id, exchange);
    if (outcome < 0) {
        result = trap(ctx, (size_t)(-(outcome + 1)));
    } else if (outcome == CALL_THREW) {
        result = throw_again(ctx);
    } else if (outcome == CALL_TOO_DEEP) {
        result = JS_ThrowRangeError(ctx, "Maximum call stack size exceeded");
    } else if (results == 0) {
        result = JS_UNDEFINED;
    } else if (results == 1) {
        result = from_wasm(ctx, function->types[params], exchange[0]);
    } else {
        memcpy(values, exchange, results * sizeof *values);
        result = JS_NewArray(ctx);
        for (uint32_t i = 0; i < results && !JS_IsException(result); i++) {
            JSValue one = from_wasm(ctx, function->types[params + i], values[i]);
            if (JS_IsException(one) || JS_DefinePropertyValueUint32(ctx, result, i, one, JS_PROP_C_W_E) < 0) {
                JS_FreeValue(ctx, result);
                result = JS_EXCEPTION;
            }
        }
    }
done:
    if (values != few)
        js_free(ctx, values);
    return result;
}

// wasmSetup(makeTrap, growMemory): once.
static JSValue native_wasm_setup(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    make_trap = JS_DupValue(ctx, argv[0]);
    grow_memory = JS_DupValue(ctx, argv[1]);
    JS_NewClassID(runtime, &function_class);
    if (JS_NewClass(runtime, function_class, &function_class_def))
        return JS_EXCEPTION;
    return JS_UNDEFINED;
}

// wasmFunction(number) -> the function.
static JSValue native_wasm_function(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    uint32_t id;
    if (JS_ToUint32(ctx, &id, argv[0]))
        return JS_EXCEPTION;
    return function_object(ctx, id);
}

// wasmNumber(value) -> the number of a function of a module; NO_FUNCTION of anything else.
static JSValue native_wasm_number(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    Function *function = JS_IsObject(argv[0]) ? JS_GetOpaque(argv[0], function_class) : NULL;
    return JS_NewInt32(ctx, function ? (int32_t)function->id : NO_FUNCTION);
}

// wasmCallback(function) -> its number, by which the host calls it.
static JSValue native_wasm_callback(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    set_value(&callbacks, callbacks.length, JS_DupValue(ctx, argv[0]));
    return JS_NewUint32(ctx, callbacks.length - 1);
}

// wasmMemory(number, buffer): the buffer of a memory from now on.
static JSValue native_wasm_memory(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    uint32_t number;
    if (JS_ToUint32(ctx, &number, argv[0]))
        return JS_EXCEPTION;
    if (number > memory_count)
        return JS_ThrowRangeError(ctx, "there is no such memory");
    if (number == memory_count) {
        memories = grown(memories, (memory_count + 1) * sizeof *memories);
        memories[memory_count++] = (Memory){JS_UNDEFINED, NULL, 0};
    }
    JS_FreeValue(ctx, memories[number].buffer);
    memories[number].buffer = JS_DupValue(ctx, argv[1]);
    return JS_UNDEFINED;
}

EXPORT("wasm_exchange") uint64_t *sandbox_wasm_exchange(void) { return exchange; }

// A module calls what it imports; `types` are those of parameters and results. 1 when it threw.
EXPORT("wasm_callback") int sandbox_wasm_callback(uint32_t number, uint32_t counts, const uint8_t *types) {
    uint32_t params = counts & 0xffff, results = counts >> 16;
    if (number >= callbacks.length)
        return 1;
    JSValue few[16], *values = few, result = JS_EXCEPTION;
    uint64_t one = 0;
    uint32_t made = 0;
    // The exchange is anybody's as soon as something else runs.
    uint8_t own[params + results + 1];
    memcpy(own, types, params + results);
    if (has_vectors(own, params + results)) {
        JS_ThrowTypeError(context, "a vector of 128 bits is no value of JavaScript");
        goto done;
    }
    if (params > sizeof few / sizeof few[0] && !(values = js_malloc(context, params * sizeof *values)))
        goto done;
    for (; made < params; made++) {
        values[made] = from_wasm(context, own[made], exchange[made]);
        if (JS_IsException(values[made]))
            goto done;
    }
    result = JS_Call(context, callbacks.at[number], JS_UNDEFINED, params, (JSValueConst *)values);
    if (JS_IsException(result))
        goto done;
    if (results == 1) {
        if (to_wasm(context, own[params], result, &one)) {
            JS_FreeValue(context, result);
            result = JS_EXCEPTION;
            goto done;
        }
        exchange[0] = one;
    } else if (results > 1) {
        // The globals have made a list of it that is nobody else's and as long as it has to be.
        uint64_t *all = js_malloc(context, results * sizeof *all);
        int failed = !all;
        for (uint32_t i = 0; i < results && !failed; i++) {
            JSValue item = JS_GetPropertyUint32(context, result, i);
            failed = JS_IsException(item) || to_wasm(context, own[params + i], item, &all[i]);
            JS_FreeValue(context, item);
        }
        if (!failed)
            memcpy(exchange, all, results * sizeof *all);
        js_free(context, all);
        if (failed) {
            JS_FreeValue(context, result);
            result = JS_EXCEPTION;
        }
    }
done:
    for (uint32_t i = 0; i < made; i++)
        JS_FreeValue(context, values[i]);
    if (values != few)
        js_free(context, values);
    if (JS_IsException(result)) {
        JS_FreeValue(context, thrown);
        thrown = JS_GetException(context);
        return 1;
    }
    JS_FreeValue(context, result);
    // The module goes on: with a memory that was detached meanwhile, it finds it empty.
    tell_memories(context);
    return 0;
}

// A module's memory grows: pages before, or -1. Nothing that fails here is more than a memory that does not grow.
EXPORT("wasm_grow") int sandbox_wasm_grow(uint32_t memory, uint32_t pages) {
    JSValue arguments[2] = {JS_NewUint32(context, memory), JS_NewUint32(context, pages)};
    JSValue result = JS_Call(context, grow_memory, JS_UNDEFINED, 2, (JSValueConst *)arguments);
    int32_t before = -1;
    if (JS_IsException(result))
        JS_FreeValue(context, JS_GetException(context));
    else if (JS_IsNumber(result))
        JS_ToInt32(context, &before, result);
    JS_FreeValue(context, result);
    tell_memories(context);
    return before;
}

// wasmThrown() -> throws what an import threw within the host's last answer.
static JSValue native_wasm_thrown(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    return throw_again(ctx);
}

// ---- What the globals get ----------------------------------------------------------------------------------------

static JSValue native_post(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!text)
        return JS_EXCEPTION;
    int refused = host_post(text, length);
    JS_FreeCString(ctx, text);
    if (refused)
        return JS_ThrowRangeError(ctx, "the message of %u bytes is larger than the host takes", (unsigned)length);
    return JS_UNDEFINED;
}

static JSValue native_log(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    int32_t level;
    size_t length;
    if (JS_ToInt32(ctx, &level, argv[0]))
        return JS_EXCEPTION;
    const char *text = JS_ToCStringLen(ctx, &length, argv[1]);
    if (!text)
        return JS_EXCEPTION;
    host_log(level, text, length);
    JS_FreeCString(ctx, text);
    return JS_UNDEFINED;
}

static JSValue native_timer(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    uint32_t id;
    double milliseconds;
    if (JS_ToUint32(ctx, &id, argv[0]) || JS_ToFloat64(ctx, &milliseconds, argv[1]))
        return JS_EXCEPTION;
    if (host_timer(id, milliseconds))
        return JS_ThrowRangeError(ctx, "too many timers are waiting");
    return JS_UNDEFINED;
}

static JSValue native_clear_timer(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    uint32_t id;
    if (JS_ToUint32(ctx, &id, argv[0]))
        return JS_EXCEPTION;
    host_clear_timer(id);
    return JS_UNDEFINED;
}

// random(uint8Array): fills it.
static JSValue native_random(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    size_t length;
    uint8_t *bytes = JS_GetUint8Array(ctx, &length, argv[0]);
    if (!bytes && JS_HasException(ctx))
        return JS_EXCEPTION;
    if (length && host_random(bytes, length))
        return JS_ThrowPlainError(ctx, "the host has no randomness");
    return JS_UNDEFINED;
}

// call(service, name, string | Uint8Array): the same type back.
static JSValue native_call(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    int32_t service;
    size_t name_length, payload_length;
    if (JS_ToInt32(ctx, &service, argv[0]))
        return JS_EXCEPTION;
    if (service == SERVICE_WEBASSEMBLY && tell_memories(ctx))
        return refuse_detached(ctx);
    const char *name = JS_ToCStringLen(ctx, &name_length, argv[1]);
    if (!name)
        return JS_EXCEPTION;
    bool is_text = JS_IsString(argv[2]);
    const char *text = NULL;
    const uint8_t *payload;
    if (is_text) {
        text = JS_ToCStringLen(ctx, &payload_length, argv[2]);
        payload = (const uint8_t *)text;
    } else {
        payload = JS_GetUint8Array(ctx, &payload_length, argv[2]);
    }
    if (!payload && JS_HasException(ctx)) {
        JS_FreeCString(ctx, name);
        return JS_EXCEPTION;
    }
    int answer = host_call(service, name, name_length, payload, payload_length);
    JS_FreeCString(ctx, name);
    if (text)
        JS_FreeCString(ctx, text);
    bool failed = answer < 0;
    size_t length = failed ? (size_t)(-(answer + 1)) : (size_t)answer;
    uint8_t *buffer = js_malloc(ctx, length + 1);
    if (!buffer)
        return JS_EXCEPTION;
    host_take(buffer);
    buffer[length] = 0;
    JSValue result;
    if (failed) {
        result = JS_ThrowPlainError(ctx, "%s", (const char *)buffer);
    } else if (is_text) {
        result = JS_NewStringLen(ctx, (const char *)buffer, length);
    } else {
        result = JS_NewUint8ArrayCopy(ctx, buffer, length);
    }
    js_free(ctx, buffer);
    return result;
}

static JSValue native_script(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    return JS_DupValue(ctx, exported);
}

// encode(string) -> Uint8Array. The caller has made the string well formed.
static JSValue native_encode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, argv[0]);
    if (!text)
        return JS_EXCEPTION;
    JSValue result = JS_NewUint8ArrayCopy(ctx, (const uint8_t *)text, length);
    JS_FreeCString(ctx, text);
    return result;
}

// One step of the UTF-8 decoder of the Encoding standard: bytes taken, 0 when they are not valid (then *bad bytes
// stand for one replacement character), -1 when the input ends in the middle of a sequence that is valid so far.
static int utf8_step(const uint8_t *at, size_t left, size_t *bad) {
    uint8_t first = at[0], lower = 0x80, upper = 0xBF;
    int needed;
    if (first < 0x80)
        return 1;
    if (first >= 0xC2 && first <= 0xDF) {
        needed = 1;
    } else if (first >= 0xE0 && first <= 0xEF) {
        needed = 2;
        if (first == 0xE0)
            lower = 0xA0;
        if (first == 0xED)
            upper = 0x9F;
    } else if (first >= 0xF0 && first <= 0xF4) {
        needed = 3;
        if (first == 0xF0)
            lower = 0x90;
        if (first == 0xF4)
            upper = 0x8F;
    } else {
        *bad = 1;
        return 0;
    }
    for (int i = 1; i <= needed; i++) {
        if ((size_t)i >= left)
            return -1;
        if (at[i] < lower || at[i] > upper) {
            *bad = i;
            return 0;
        }
        lower = 0x80;
        upper = 0xBF;
    }
    return needed + 1;
}

// decode(uint8Array, fatal, stream) -> [string, bytes used] or null when fatal and not valid.
static JSValue native_decode(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    size_t length;
    const uint8_t *bytes = JS_GetUint8Array(ctx, &length, argv[0]);
    if (!bytes && JS_HasException(ctx))
        return JS_EXCEPTION;
    bool fatal = JS_ToBool(ctx, argv[1]), stream = JS_ToBool(ctx, argv[2]);
    char *clean = js_malloc(ctx, length * 3 + 1); // each byte becomes at most one replacement character
    if (!clean)
        return JS_EXCEPTION;
    size_t at = 0, out = 0;
    while (at < length) {
        size_t bad = length - at;
        int taken = utf8_step(bytes + at, length - at, &bad);
        if (taken > 0) {
            memcpy(clean + out, bytes + at, taken);
            at += taken;
            out += taken;
            continue;
        }
        if (taken < 0 && stream)
            break;
        if (fatal) {
            js_free(ctx, clean);
            return JS_NULL;
        }
        memcpy(clean + out, "\xEF\xBF\xBD", 3);
        at += bad;
        out += 3;
    }
    JSValue pair = JS_NewArray(ctx);
    // Defined and not set: the script may have put a setter for an index into Array.prototype.
    JS_DefinePropertyValueUint32(ctx, pair, 0, JS_NewStringLen(ctx, clean, out), JS_PROP_C_W_E);
    JS_DefinePropertyValueUint32(ctx, pair, 1, JS_NewUint32(ctx, (uint32_t)at), JS_PROP_C_W_E);
    js_free(ctx, clean);
    return pair;
}

static const JSCFunctionListEntry natives[] = {
    JS_CFUNC_DEF("post", 1, native_post),
    JS_CFUNC_DEF("log", 2, native_log),
    JS_CFUNC_DEF("timer", 2, native_timer),
    JS_CFUNC_DEF("clearTimer", 1, native_clear_timer),
    JS_CFUNC_DEF("random", 1, native_random),
    JS_CFUNC_DEF("call", 3, native_call),
    JS_CFUNC_DEF("script", 0, native_script),
    JS_CFUNC_DEF("encode", 1, native_encode),
    JS_CFUNC_DEF("decode", 3, native_decode),
    JS_CFUNC_DEF("wasmSetup", 2, native_wasm_setup),
    JS_CFUNC_DEF("wasmFunction", 1, native_wasm_function),
    JS_CFUNC_DEF("wasmNumber", 1, native_wasm_number),
    JS_CFUNC_DEF("wasmCallback", 1, native_wasm_callback),
    JS_CFUNC_DEF("wasmMemory", 2, native_wasm_memory),
    JS_CFUNC_DEF("wasmThrown", 0, native_wasm_thrown),
};

// ---- Evaluation ------------------------------------------------------------------------------------------------

// No import is ever resolved, not even of a module that is already loaded: otherwise a script could import the
// prelude by its name.
static char *refuse_import(JSContext *ctx, const char *from, const char *name, void *opaque) {
    JS_ThrowTypeError(ctx, "cannot import '%s': the script is one file; bundle what it needs", name);
    return NULL;
}

static JSValue refuse_require(JSContext *ctx, JSValueConst self, int argc, JSValueConst *argv) {
    const char *name = JS_ToCString(ctx, argv[0]);
    JS_ThrowTypeError(ctx, "cannot require '%s': the script is one file; bundle what it needs", name ? name : "?");
    if (name)
        JS_FreeCString(ctx, name);
    return JS_EXCEPTION;
}

// Evaluates (function (parameters) { source }) and gives the function; line numbers stay those of the source.
static JSValue wrapped(const char *parameters, const char *source, size_t length, const char *name) {
    size_t head = strlen("(function (") + strlen(parameters) + strlen(") {");
    char *text = js_malloc(context, head + length + 4);
    if (!text)
        return JS_EXCEPTION;
    strcpy(text, "(function (");
    strcat(text, parameters);
    strcat(text, ") {");
    memcpy(text + head, source, length);
    memcpy(text + head + length, "\n})", 4);
    JSValue function = JS_Eval(context, text, head + length + 3, name, JS_EVAL_TYPE_GLOBAL);
    js_free(context, text);
    return function;
}

static JSValue evaluate_globals(const char *source, size_t length, const char *name) {
    JSValue function = wrapped("native", source, length, name);
    if (JS_IsException(function))
        return function;
    JSValue native = JS_NewObjectProto(context, JS_NULL);
    JS_SetPropertyFunctionList(context, native, natives, sizeof natives / sizeof natives[0]);
    JSValue result = JS_Call(context, function, JS_UNDEFINED, 1, (JSValueConst *)&native);
    JS_FreeValue(context, native);
    JS_FreeValue(context, function);
    return result;
}

static JSValue evaluate_common_js(const char *source, size_t length, const char *name, int layer) {
    static const char *const parameters[] = {"", "exports, require, module, boundary, primordials",
                                             "exports, require, module"};
    JSValue function = wrapped(parameters[layer], source, length, name);
    if (JS_IsException(function))
        return function;
    JSValue module = JS_NewObject(context), exports = JS_NewObject(context);
    JS_SetPropertyStr(context, module, "exports", JS_DupValue(context, exports));
    JSValue arguments[5] = {exports, JS_NewCFunction(context, refuse_require, "require", 1), module,
                            JS_GetPropertyStr(context, handlers, "boundary"),
                            JS_GetPropertyStr(context, handlers, "primordials")};
    JSValue result = JS_Call(context, function, exports, layer == LAYER_PRELUDE ? 5 : 3, (JSValueConst *)arguments);
    JS_FreeValue(context, function);
    if (!JS_IsException(result)) {
        JS_FreeValue(context, result);
        result = JS_GetPropertyStr(context, module, "exports");
    }
    for (int i = 0; i < 5; i++)
        JS_FreeValue(context, arguments[i]);
    return result;
}

static JSValue evaluate_module(const char *source, size_t length, const char *name) {
    JSValue compiled = JS_Eval(context, source, length, name, JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY);
    if (JS_IsException(compiled))
        return compiled;
    JSModuleDef *module = JS_VALUE_GET_PTR(compiled);
    JSValue done = JS_EvalFunction(context, compiled); // takes `compiled`; the context keeps the module alive
    if (JS_IsException(done))
        return done;
    JS_PromiseMarkAsHandled(context, done);
    run_jobs();
    JSPromiseStateEnum state = JS_PromiseState(context, done);
    JSValue result;
    if (state == JS_PROMISE_FULFILLED)
        result = JS_GetModuleNamespace(context, module);
    else if (state == JS_PROMISE_REJECTED)
        result = JS_Throw(context, JS_PromiseResult(context, done));
    else
        result = JS_ThrowTypeError(context, "a top-level await waits for something outside; do that in a function");
    JS_FreeValue(context, done);
    return result;
}

// The default export where there is one: of a module's namespace, or of CommonJS that a bundler made from a module.
static JSValue default_of(JSValue exports, int kind) {
    if (!JS_IsObject(exports))
        return exports;
    if (kind == KIND_COMMON_JS) {
        JSValue marked = JS_GetPropertyStr(context, exports, "__esModule");
        if (JS_IsException(marked)) {
            JS_FreeValue(context, exports);
            return marked;
        }
        int is_marked = JS_ToBool(context, marked);
        JS_FreeValue(context, marked);
        if (!is_marked)
            return exports;
    }
    JSValue chosen = JS_GetPropertyStr(context, exports, "default");
    if (JS_IsUndefined(chosen))
        return exports;
    JS_FreeValue(context, exports);
    return chosen;
}

static void set_global(const char *name, const char *handler) {
    JSValue global = JS_GetGlobalObject(context);
    if (handler) {
        JS_DefinePropertyValueStr(context, global, name, JS_GetPropertyStr(context, handlers, handler),
                                  JS_PROP_CONFIGURABLE);
    } else {
        JSAtom atom = JS_NewAtom(context, name);
        JS_DeleteProperty(context, global, atom, 0);
        JS_FreeAtom(context, atom);
    }
    JS_FreeValue(context, global);
}

// ---- Exports ---------------------------------------------------------------------------------------------------

EXPORT("allocate") void *sandbox_allocate(size_t length) { return malloc(length); }

EXPORT("start") int sandbox_start(size_t heap, size_t stack) {
    runtime = JS_NewRuntime2(&memory, NULL);
    if (!runtime)
        return 1;
    heap_limit = heap;
    JS_SetMemoryLimit(runtime, heap);
    JS_SetMaxStackSize(runtime, stack);
    JS_SetHostPromiseRejectionTracker(runtime, on_rejection, NULL);
    JS_SetModuleLoaderFunc(runtime, refuse_import, NULL, NULL);
    context = JS_NewContext(runtime);
    return context ? 0 : 1;
}

// Takes the three strings, which `allocate` made and which end in a zero byte that does not count.
EXPORT("evaluate") int sandbox_evaluate(int layer, int kind, char *name, char *source, size_t length) {
    JSValue result;
    bool lend = layer == LAYER_PRELUDE && kind == KIND_MODULE;
    if (lend) {
        set_global("boundary", "boundary");
        set_global("primordials", "primordials");
    }
    if (layer == LAYER_SCRIPT) {
        JSValue seal = JS_GetPropertyStr(context, handlers, "seal");
        JS_FreeValue(context, JS_Call(context, seal, JS_UNDEFINED, 0, NULL));
        JS_FreeValue(context, seal);
    }
    if (layer == LAYER_GLOBALS)
        result = evaluate_globals(source, length, name);
    else if (kind == KIND_MODULE)
        result = evaluate_module(source, length, name);
    else
        result = evaluate_common_js(source, length, name, layer);
    if (lend) {
        set_global("boundary", NULL);
        set_global("primordials", NULL);
    }
    free(name);
    free(source);
    if (layer == LAYER_SCRIPT && !JS_IsException(result))
        result = default_of(result, kind);
    if (JS_IsException(result)) {
        report(1, JS_GetException(context));
        return 1;
    }
    if (layer == LAYER_GLOBALS)
        handlers = result;
    else if (layer == LAYER_SCRIPT)
        exported = result;
    else
        JS_FreeValue(context, result);
    settle();
    return 0;
}

// Everything is evaluated. What nobody can reach goes before the memory is looked at.
EXPORT("settled") void sandbox_settled(void) {
    JS_RunGC(runtime);
    sandbox_evaluating = false;
}

static void call_handler(const char *name, JSValue argument) {
    JSValue handler = JS_GetPropertyStr(context, handlers, name);
    JSValue result = JS_IsException(argument)
                         ? JS_EXCEPTION
                         : JS_Call(context, handler, JS_UNDEFINED, 1, (JSValueConst *)&argument);
    JS_FreeValue(context, handler);
    JS_FreeValue(context, argument);
    if (JS_IsException(result))
        report(0, JS_GetException(context));
    else
        JS_FreeValue(context, result);
    settle();
}

// Takes the text.
EXPORT("deliver") void sandbox_deliver(char *text, size_t length) {
    JSValue message = JS_NewStringLen(context, text, length);
    free(text);
    call_handler("onMessage", message);
}

EXPORT("fire") void sandbox_fire(uint32_t id) { call_handler("onTimer", JS_NewUint32(context, id)); }
