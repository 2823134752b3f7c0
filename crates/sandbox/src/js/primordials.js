// The globals of the sandbox, part 1 of 8: the built-ins as they are before anybody could change them.
//
// primordials.js, basics.js, text.js, events.js, url.js, clone.js, webassembly.js (for scripts that may have it) and
// boundary.js are joined and evaluated first, as the body of one `function (native)`: no script has run yet, and everything they need later is taken into constants now. Nothing of
// `native` may be reachable from the global object, other than through the functions written here.
"use strict";

const { apply, ownKeys, defineProperty, getOwnPropertyDescriptor, getPrototypeOf, setPrototypeOf } = Reflect;
const { freeze, create, isFrozen, keys, entries, fromEntries, assign, hasOwn } = Object;
const { stringify, parse } = JSON;
const { isArray, from: arrayFrom } = Array;
const { bind, call } = Function.prototype;

/** `uncurry(Array.prototype.push)(array, value)`: a method as a function that looks nothing up when it is called. */
const uncurry = apply(bind, bind, [call]);

const primordials = { __proto__: null };
const take = (prefix, object, names, wrap) => {
    for (const name of names) {
        primordials[prefix + name[0].toUpperCase() + name.slice(1)] = wrap(object[name]);
    }
};
const asIs = (value) => value;
take("Reflect", Reflect, ["apply", "construct", "ownKeys", "get", "has", "getPrototypeOf"], asIs);
take("Object", Object, ["create", "freeze", "keys", "entries", "fromEntries", "assign", "defineProperty", "hasOwn", "getOwnPropertyDescriptor", "getPrototypeOf", "setPrototypeOf", "isFrozen"], asIs);
take("JSON", JSON, ["parse", "stringify"], asIs);
take("Array", Array, ["isArray"], asIs);
take("Number", Number, ["isInteger", "isSafeInteger", "isFinite"], asIs);
take("String", String, ["fromCharCode"], asIs);
take("ArrayPrototype", Array.prototype, ["push", "pop", "shift", "join", "map", "filter", "forEach", "includes", "indexOf", "slice", "some", "every"], uncurry);
take("StringPrototype", String.prototype, ["charCodeAt", "slice", "startsWith", "endsWith", "indexOf", "includes", "split", "padStart", "toLowerCase", "trim", "toWellFormed"], uncurry);
take("RegExpPrototype", RegExp.prototype, ["exec"], uncurry);
take("NumberPrototype", Number.prototype, ["toString"], uncurry);
take("BigIntPrototype", BigInt.prototype, ["toString"], uncurry);
take("ObjectPrototype", Object.prototype, ["toString"], uncurry);
take("FunctionPrototype", Function.prototype, ["bind", "call", "apply"], uncurry);
take("MapPrototype", Map.prototype, ["get", "set", "has", "delete", "forEach", "clear"], uncurry);
take("SetPrototype", Set.prototype, ["add", "has", "delete", "forEach", "clear"], uncurry);
take("WeakMapPrototype", WeakMap.prototype, ["get", "set", "has", "delete"], uncurry);
take("PromisePrototype", Promise.prototype, ["then", "catch", "finally"], uncurry);
take("Uint8ArrayPrototype", Uint8Array.prototype, ["set", "subarray", "slice", "fill"], uncurry);
for (const name of ["Array", "ArrayBuffer", "BigInt", "Boolean", "Date", "Error", "Map", "Number", "Object", "Promise", "Proxy", "RangeError", "Set", "String", "Symbol", "SyntaxError", "TypeError", "Uint8Array", "WeakMap", "WeakSet"]) {
    primordials[name] = globalThis[name];
}
primordials.uncurryThis = uncurry;
primordials.PromiseResolve = apply(bind, Promise.resolve, [Promise]);
primordials.PromiseReject = apply(bind, Promise.reject, [Promise]);
primordials.PromiseWithResolvers = apply(bind, Promise.withResolvers, [Promise]);
const getterOf = (prototype, key) => uncurry(getOwnPropertyDescriptor(prototype, key).get);
const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
primordials.TypedArrayGetTag = getterOf(TypedArrayPrototype, Symbol.toStringTag);
primordials.TypedArrayGetLength = getterOf(TypedArrayPrototype, "length");

const {
    ArrayPrototypePush: push, ArrayPrototypeJoin: join, ArrayPrototypeSlice: sliceArray, ArrayPrototypeMap: map,
    StringPrototypeSlice: slice, StringPrototypeSplit: split, StringPrototypeIndexOf: indexOf, StringPrototypeToWellFormed: wellFormed,
    StringPrototypeToLowerCase: lowerCase, StringPrototypeTrim: trim, StringPrototypePadStart: padStart, StringPrototypeCharCodeAt: charCodeAt,
    MapPrototypeGet: mapGet, MapPrototypeSet: mapSet, MapPrototypeHas: mapHas, MapPrototypeDelete: mapDelete, MapPrototypeForEach: mapForEach,
    SetPrototypeAdd: setAdd, SetPrototypeForEach: setForEach, SetPrototypeHas: setHas, SetPrototypeDelete: setDelete,
    TypedArrayGetTag: typedArrayTag, TypedArrayGetLength: typedArrayLength, PromisePrototypeThen: then,
    Uint8ArrayPrototypeSubarray: subarray, Uint8ArrayPrototypeSet: setBytes, NumberPrototypeToString: numberToString,
    FunctionPrototypeApply: applyFunction, RegExpPrototypeExec: exec,
} = primordials;
const indexOfItem = primordials.ArrayPrototypeIndexOf;
const { SetPrototypeClear: setClear, WeakMapPrototypeHas: weakMapHas, PromiseReject: reject } = primordials;
const weakSetHas = uncurry(WeakSet.prototype.has);
const weakRefDeref = uncurry(WeakRef.prototype.deref);
const numberValue = uncurry(Number.prototype.valueOf);
const stringValue = uncurry(String.prototype.valueOf);
const booleanValue = uncurry(Boolean.prototype.valueOf);
const bigIntValue = uncurry(BigInt.prototype.valueOf);
const symbolValue = uncurry(Symbol.prototype.valueOf);
const RegExpPrototype = RegExp.prototype;
const errorToString = uncurry(Error.prototype.toString);
const dateToISO = uncurry(Date.prototype.toISOString);
const dateTime = uncurry(Date.prototype.getTime);
const regExpToString = uncurry(RegExp.prototype.toString);
const symbolToString = uncurry(Symbol.prototype.toString);
const objectToString = uncurry(Object.prototype.toString);
const bigIntToString = uncurry(BigInt.prototype.toString);
const sort = uncurry(Array.prototype.sort);
const functionBind = uncurry(bind);
const bufferOf = getterOf(TypedArrayPrototype, "buffer");
const byteOffsetOf = getterOf(TypedArrayPrototype, "byteOffset");
const byteLengthOf = getterOf(TypedArrayPrototype, "byteLength");
const viewBufferOf = getterOf(DataView.prototype, "buffer");
const viewOffsetOf = getterOf(DataView.prototype, "byteOffset");
const viewLengthOf = getterOf(DataView.prototype, "byteLength");
const arrayBufferLength = getterOf(ArrayBuffer.prototype, "byteLength");
const arrayBufferSlice = uncurry(ArrayBuffer.prototype.slice);
const bufferResizable = getterOf(ArrayBuffer.prototype, "resizable");
const bufferMost = getterOf(ArrayBuffer.prototype, "maxByteLength");
const bufferDetached = getterOf(ArrayBuffer.prototype, "detached");
const transferBuffer = uncurry(ArrayBuffer.prototype.transfer);
const exceptionName = getterOf(DOMException.prototype, "name");
const exceptionMessage = getterOf(DOMException.prototype, "message");
const regExpSource = getterOf(RegExp.prototype, "source");
const regExpFlags = getterOf(RegExp.prototype, "flags");
const mapSize = getterOf(Map.prototype, "size");
const setSize = getterOf(Set.prototype, "size");
/** A list that inherits nothing: no setter and no species of the script's is ever asked. */
const bareList = () => {
    const list = [];
    setPrototypeOf(list, null);
    return list;
};
const copyList = (from, start = 0) => {
    const list = bareList();
    for (let i = start; i < from.length; i++) push(list, from[i]);
    return list;
};
const toFloat = parseFloat;
const toInt = parseInt;
const globalThisC = globalThis;
const { now: dateNow } = Date;
const { floor, trunc, min, max } = Math;
const { isError } = Error;
const { isView } = ArrayBuffer;
const fromCharCode = String.fromCharCode;
const isNaN = Number.isNaN;
const {
    Array: ArrayC, ArrayBuffer: ArrayBufferC, Date: DateC, DataView: DataViewC, DOMException: DOMExceptionC, Error: ErrorC,
    Map: MapC, Object: ObjectC, Promise: PromiseC, RangeError: RangeErrorC, RegExp: RegExpC, Set: SetC, String: StringC,
    Number: NumberC, Boolean: BooleanC, BigInt: BigIntC, TypeError: TypeErrorC, Uint8Array: Uint8ArrayC, Function: FunctionC, EvalError: EvalErrorC,
    Symbol: { iterator: SymbolIterator, toStringTag: SymbolToStringTag },
} = globalThis;
const typedArrays = { __proto__: null };
for (const name of ["Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array", "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array", "Float16Array", "Float32Array", "Float64Array"]) {
    if (globalThis[name]) typedArrays[name] = globalThis[name];
}
const errorTypes = { __proto__: null };
for (const name of ["Error", "EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"]) {
    errorTypes[name] = globalThis[name];
}
