//! The globals do what the web's do, as far as they go.

use super::*;

#[test]
fn text_is_encoded_and_decoded_as_utf8() {
    check("[...new TextEncoder().encode('aé☂𝄞\\ud800')]", "[97,195,169,226,152,130,240,157,132,158,239,191,189]");
    check(
        "new TextDecoder().decode(new Uint8Array([97, 195, 169, 255, 226, 152, 98, 240, 157]))",
        "\"aé\u{fffd}\u{fffd}b\u{fffd}\"",
    );
    check("new TextDecoder().decode(new Uint8Array([0xef, 0xbb, 0xbf, 97]).buffer)", "\"a\"");
    check(
        "(() => { const d = new TextDecoder();
            return [d.decode(new Uint8Array([226, 152]), { stream: true }), d.decode(new Uint8Array([130]))]; })()",
        "[\"\",\"☂\"]",
    );
    check(
        "(() => { try { new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([255])); } catch (e) { return e.name; } })()",
        "\"TypeError\"",
    );
    check(
        "(() => { const t = new Uint8Array(4); return [new TextEncoder().encodeInto('a☂☂', t), [...t]]; })()",
        "[{\"read\":2,\"written\":4},[97,226,152,130]]",
    );
    check("[atob('aGk='), btoa('hi')]", "[\"hi\",\"aGk=\"]");
}

#[test]
fn urls_follow_the_standard() {
    check(
        "new URL('../c?x=1#h', 'HTTPS://user:pw@EXAMPLE.com:443/a/b/').href",
        "\"https://user:pw@example.com/a/c?x=1#h\"",
    );
    check(
        "(() => { const u = new URL('wss://a.b:99/p?q=1');
            return [u.protocol, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, u.origin]; })()",
        "[\"wss:\",\"a.b:99\",\"a.b\",\"99\",\"/p\",\"?q=1\",\"\",\"wss://a.b:99\"]",
    );
    check(
        "(() => { const u = new URL('http://a/'); u.pathname = 'x y'; u.searchParams.append('k', 'v&w'); u.hash = 'z'; u.port = 'no';
            return [`${u}`, JSON.stringify(u)]; })()",
        "[\"http://a/x%20y?k=v%26w#z\",\"\\\"http://a/x%20y?k=v%26w#z\\\"\"]",
    );
    check(
        "(() => { const u = new URL('http://a/?a=1&b=2'); const p = u.searchParams; u.search = '?c=3'; return [[...p], p === u.searchParams]; })()",
        "[[[\"c\",\"3\"]],true]",
    );
    check("[URL.canParse('no'), URL.canParse('/x', 'http://a')]", "[false,true]");
    check("(() => { try { new URL('no'); } catch (e) { return e.name; } })()", "\"TypeError\"");
    check(
        "(() => { const p = new URLSearchParams('?b=2&a=1&a=%E2%98%82+x'); p.sort(); p.set('b', '3'); p.delete('a', '1');
            return [`${p}`, p.get('a'), p.has('zz'), p.size]; })()",
        "[\"a=%E2%98%82+x&b=3\",\"☂ x\",false,2]",
    );
    check(
        "[`${new URLSearchParams({ x: 1, y: 'z' })}`, `${new URLSearchParams([['k', 'v']])}`]",
        "[\"x=1&y=z\",\"k=v\"]",
    );
}

#[test]
fn structured_clone_copies_data_with_its_cycles_and_refuses_code() {
    check(
        "(() => {
            const a = { n: 1n, d: new Date(5), r: /x/gi, m: new Map([[{ k: 1 }, new Set([1])]]), b: new Uint16Array([1, 2]).subarray(1), e: new RangeError('e'), l: [, 1] };
            a.self = a;
            const c = structuredClone(a);
            return [c !== a, c.self === c, c.n === 1n, c.d.getTime(), `${c.r}`, [...c.m][0][0].k, [...c.m][0][1].has(1), c.b[0], c.b.buffer !== a.b.buffer, c.e instanceof RangeError, 0 in c.l, c.l.length];
        })()",
        "[true,true,true,5,\"/x/gi\",1,true,2,true,true,false,2]",
    );
    check(
        "(() => { try { structuredClone({ f() {} }); } catch (e) { return [e.name, e instanceof DOMException]; } })()",
        "[\"DataCloneError\",true]",
    );
}

#[test]
fn promises_microtasks_and_timers_keep_their_order() {
    check(
        "await new Promise((done) => {
            const seen = [];
            setTimeout(() => { seen.push('timeout'); done(seen); }, 1);
            Promise.resolve().then(() => seen.push('promise'));
            queueMicrotask(() => seen.push('microtask'));
            seen.push('now');
        })",
        "[\"now\",\"promise\",\"microtask\",\"timeout\"]",
    );
}

#[test]
fn aborting_reaches_listeners_once() {
    check(
        "await (async () => {
            const controller = new AbortController();
            const seen = [];
            controller.signal.addEventListener('abort', (event) => seen.push(event.type));
            controller.signal.onabort = () => seen.push('on');
            const any = AbortSignal.any([controller.signal]);
            controller.abort(); controller.abort('again');
            const late = AbortSignal.timeout(5);
            await new Promise((done) => late.addEventListener('abort', done));
            let thrown; try { controller.signal.throwIfAborted(); } catch (e) { thrown = e.name; }
            return [seen, any.aborted, thrown, late.reason.name, AbortSignal.abort(3).reason];
        })()",
        "[[\"abort\",\"on\"],true,\"AbortError\",\"TimeoutError\",3]",
    );
}

#[test]
fn randomness_comes_from_the_host() {
    check("crypto.randomUUID()", "\"0b30557a-9fc4-490e-b358-7da2c7ec1136\"");
    check("[...crypto.getRandomValues(new Uint16Array(2))]", "[12299,31317]");
    check("(() => { const r = Math.random(); return [r >= 0 && r < 1, r !== Math.random()]; })()", "[true,true]");
    check(
        "(() => { try { crypto.getRandomValues(new Float64Array(1)); } catch (e) { return e.name; } })()",
        "\"TypeMismatchError\"",
    );
    check(
        "(() => { try { crypto.getRandomValues(new Uint8Array(65537)); } catch (e) { return e.name; } })()",
        "\"QuotaExceededError\"",
    );
}

#[test]
fn the_clock_is_the_hosts_and_coarse() {
    check("[Date.now(), new Date().getTimezoneOffset(), typeof performance]", "[1700000000120,0,\"undefined\"]");
}

#[test]
fn the_console_prints_anything_without_running_into_it() {
    let mut instance = start(
        "export default { run() {
            const loop = { a: [1, 'x', null, undefined, 2n], f() {} }; loop.loop = loop;
            console.log('text', 1, loop, new Map([[1, { b: 2 }]]), new Set(['s']), new Uint8Array([1, 2]), Symbol('s'));
            console.error({ get bad() { throw 1; } }, new Proxy({}, { ownKeys() { throw 2; } }));
            console.warn('bad \\ud800'); console.debug(); console.assert(1 > 2, 'why');
        } };",
    );
    let line = |one| match one {
        Outgoing::Log { level, text } => Some((level, text)),
        _ => None,
    };
    let lines: Vec<_> = ask(&mut instance, "run", "null").expect("well").into_iter().filter_map(line).collect();
    let expected = [
        (
            LogLevel::Info,
            "text 1 { a: [ 1, \"x\", null, undefined, 2n ], f: [function], loop: [circular] } Map(1) { 1 => { b: 2 } } \
             Set(1) { \"s\" } Uint8Array(2) [ 1, 2 ] Symbol(s)",
        ),
        (LogLevel::Error, "[unreadable] [unreadable]"),
        (LogLevel::Warn, "bad \u{fffd}"),
        (LogLevel::Debug, ""),
        (LogLevel::Error, "Assertion failed: why"),
    ];
    assert_eq!(lines, expected.map(|(level, text)| (level, text.to_owned())));
}

#[test]
fn the_language_is_a_modern_one() {
    check(
        "[1n << 200n > 0n, Object.groupBy([1, 2, 3], (x) => x % 2 ? 'odd' : 'even').odd.length, [3, 1, 2].toSorted().at(-1), 'a-b'.replaceAll('-', '+')]",
        "[true,2,3,\"a+b\"]",
    );
    check(
        "await (async () => { const out = []; for await (const x of (async function* () { yield 1; yield 2; })()) out.push(x); return out; })()",
        "[1,2]",
    );
}
