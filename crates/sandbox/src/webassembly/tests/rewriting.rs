//! Every access at every edge; whole ranges; growth; data; what is refused.

use super::*;

/// An access: its name, its width, what it takes above the address and gives.
const LOADS: [(&str, u64, &str); 27] = [
    ("i32.load", 4, "i32"),
    ("i64.load", 8, "i64"),
    ("f32.load", 4, "f32"),
    ("f64.load", 8, "f64"),
    ("i32.load8_s", 1, "i32"),
    ("i32.load8_u", 1, "i32"),
    ("i32.load16_s", 2, "i32"),
    ("i32.load16_u", 2, "i32"),
    ("i64.load8_s", 1, "i64"),
    ("i64.load8_u", 1, "i64"),
    ("i64.load16_s", 2, "i64"),
    ("i64.load16_u", 2, "i64"),
    ("i64.load32_s", 4, "i64"),
    ("i64.load32_u", 4, "i64"),
    ("v128.load", 16, "v128"),
    ("v128.load8x8_s", 8, "v128"),
    ("v128.load8x8_u", 8, "v128"),
    ("v128.load16x4_s", 8, "v128"),
    ("v128.load16x4_u", 8, "v128"),
    ("v128.load32x2_s", 8, "v128"),
    ("v128.load32x2_u", 8, "v128"),
    ("v128.load8_splat", 1, "v128"),
    ("v128.load16_splat", 2, "v128"),
    ("v128.load32_splat", 4, "v128"),
    ("v128.load64_splat", 8, "v128"),
    ("v128.load32_zero", 4, "v128"),
    ("v128.load64_zero", 8, "v128"),
];

const STORES: [(&str, u64, &str); 10] = [
    ("i32.store", 4, "i32"),
    ("i32.store8", 1, "i32"),
    ("i32.store16", 2, "i32"),
    ("i64.store", 8, "i64"),
    ("i64.store8", 1, "i64"),
    ("i64.store16", 2, "i64"),
    ("i64.store32", 4, "i64"),
    ("f32.store", 4, "f32"),
    ("f64.store", 8, "f64"),
    ("v128.store", 16, "v128"),
];

const LANES: [(&str, u64); 4] = [("8", 1), ("16", 2), ("32", 4), ("64", 8)];

/// Constant offsets: none, small, as large as the memory, at the ends of signed and of unsigned numbers.
const OFFSETS: [u64; 8] = [0, 1, 7, 65_535, 65_536, 0x7fff_ffff, 0xffff_fff0, 0xffff_ffff];

/// Addresses around every edge that an access of this width at this offset has.
fn addresses(width: u64, offset: u64) -> Vec<i32> {
    let mut all = Vec::new();
    for edge in [0, 65_536u64, 0x8000_0000, 0x1_0000_0000] {
        for reach in [0, offset, offset + width] {
            for step in -2i64..=2 {
                let address = (edge as i64).wrapping_sub(reach as i64).wrapping_add(step);
                all.push(address as i32);
            }
        }
    }
    all.sort_unstable();
    all.dedup();
    all
}

fn sample(ty: &str) -> Val {
    match ty {
        "i32" => Val::I32(0x1122_3344),
        "i64" => Val::I64(0x1122_3344_5566_7788),
        "f32" => Val::F32(0x4049_0fdb),
        "f64" => Val::F64(0x4009_21fb_5444_2d18),
        _ => Val::V128(0x1122_3344_5566_7788_99aa_bbcc_ddee_ff01_u128.into()),
    }
}

/// The module with one access for each offset, and a memory of one page with other bytes at each end.
fn module(functions: &str) -> Vec<u8> {
    wasm(&format!(
        "(module (memory (export \"memory\") 1) {functions}
            (data (i32.const 0) \"abcdefghijklmnopqrstuvwxyz\") (data (i32.const 65510) \"ABCDEFGHIJKLMNOPQRSTUVWXYZ\"))"
    ))
}

/// The same calls in both: the same answers, the same traps, the same memory, and nothing around it.
fn compare(functions: &str, calls: &[(String, Vec<Val>)]) {
    let wasm = module(functions);
    let mut plain = Plain::new(&wasm).expect("it is instantiated");
    let mut piece = Piece::new(&wasm, 65_536, 65_536);
    piece.begin().expect("its data fit");
    let mut inside = 0;
    for (name, arguments) in calls {
        let expected = plain.call(name, arguments);
        let found = piece.call(name, arguments);
        inside += usize::from(expected.is_ok());
        assert_eq!(found.map(|found| bits(&found)), expected.map(|it| bits(&it)), "{name} {arguments:?}");
    }
    assert!(inside > 0 && inside < calls.len(), "{inside} of {} are inside", calls.len());
    assert_eq!(piece.bytes(), plain.bytes());
    assert!(piece.around_is_whole());
}

#[test]
fn every_load_at_every_edge_answers_and_traps_as_in_a_memory_of_its_own() {
    let mut functions = String::new();
    let mut calls = Vec::new();
    for (load, width, ty) in LOADS {
        for offset in OFFSETS {
            let name = format!("{load}+{offset}");
            functions += &format!(
                "(func (export \"{name}\") (param i32) (result {ty}) ({load} offset={offset} (local.get 0)))\n"
            );
            calls.extend(addresses(width, offset).into_iter().map(|at| (name.clone(), vec![Val::I32(at)])));
        }
    }
    compare(&functions, &calls);
}

#[test]
fn every_store_at_every_edge_writes_and_traps_as_in_a_memory_of_its_own() {
    let mut functions = String::new();
    let mut calls = Vec::new();
    for (store, width, ty) in STORES {
        for offset in OFFSETS {
            let name = format!("{store}+{offset}");
            functions += &format!(
                "(func (export \"{name}\") (param i32 {ty}) ({store} offset={offset} (local.get 0) (local.get 1)))\n"
            );
            calls.extend(addresses(width, offset).into_iter().map(|at| (name.clone(), vec![Val::I32(at), sample(ty)])));
        }
    }
    compare(&functions, &calls);
}

#[test]
fn lanes_of_vectors_are_loaded_and_stored_at_every_edge() {
    let mut functions = String::new();
    let mut calls = Vec::new();
    for (bits, width) in LANES {
        for offset in OFFSETS {
            let (load, store) = (format!("load{bits}+{offset}"), format!("store{bits}+{offset}"));
            functions += &format!(
                "(func (export \"{load}\") (param i32 v128) (result v128)
                    (v128.load{bits}_lane offset={offset} 1 (local.get 0) (local.get 1)))
                 (func (export \"{store}\") (param i32 v128)
                    (v128.store{bits}_lane offset={offset} 1 (local.get 0) (local.get 1)))\n"
            );
            for at in addresses(width, offset) {
                calls.push((load.clone(), vec![Val::I32(at), sample("v128")]));
                calls.push((store.clone(), vec![Val::I32(at), sample("v128")]));
            }
        }
    }
    compare(&functions, &calls);
}

#[test]
fn whole_ranges_are_copied_filled_and_initialized_within_the_piece_only() {
    let functions = "
        (data $passive \"0123456789\")
        (func (export \"copy\") (param i32 i32 i32) (memory.copy (local.get 0) (local.get 1) (local.get 2)))
        (func (export \"fill\") (param i32 i32 i32) (memory.fill (local.get 0) (local.get 1) (local.get 2)))
        (func (export \"init\") (param i32 i32 i32) (memory.init $passive (local.get 0) (local.get 1) (local.get 2)))
        (func (export \"drop\") (data.drop $passive))";
    let edges = &[0, 1, 5, 10, 11, 26, 65_510, 65_526, 65_535, 65_536, 65_537, 0x7fff_ffff, i32::MIN, -65_536, -1];
    let mut calls = Vec::new();
    let triples = || edges.iter().flat_map(|a| edges.iter().flat_map(move |b| edges.iter().map(move |c| [*a, *b, *c])));
    for name in ["init", "copy", "fill"] {
        calls.extend(triples().map(|three| (name.to_owned(), three.map(Val::I32).to_vec())));
    }
    calls.push(("drop".to_owned(), Vec::new()));
    calls.extend(triples().map(|three| ("init".to_owned(), three.map(Val::I32).to_vec())));
    compare(functions, &calls);
}

#[test]
fn a_memory_that_grows_is_as_large_as_it_says_and_no_larger() {
    let text = "(module (memory (export \"memory\") 1 4)
        (func (export \"size\") (result i32) memory.size)
        (func (export \"grow\") (param i32) (result i32) (memory.grow (local.get 0)))
        (func (export \"load\") (param i32) (result i32) (i32.load8_u (local.get 0)))
        (func (export \"both\") (param i32) (result i32)
            (drop (memory.grow (i32.const 1))) (i32.store8 (local.get 0) (i32.const 9)) (i32.load8_u (local.get 0))))";
    let wasm = wasm(text);
    let mut plain = Plain::new(&wasm).expect("it is instantiated");
    let mut piece = Piece::new(&wasm, 65_536, 4 * 65_536);
    for (name, argument) in [
        ("size", None),
        ("load", Some(65_535)),
        ("load", Some(65_536)),
        ("grow", Some(0)),
        ("grow", Some(1)),
        ("size", None),
        ("load", Some(65_536)),
        ("load", Some(131_071)),
        ("load", Some(131_072)),
        ("both", Some(131_072)),
        ("both", Some(262_144)),
        ("grow", Some(1)),
        ("grow", Some(-1)),
        ("grow", Some(65_536)),
        ("size", None),
        ("load", Some(262_143)),
        ("load", Some(262_144)),
        ("load", Some(-1)),
    ] {
        let arguments: Vec<Val> = argument.into_iter().map(Val::I32).collect();
        let expected = plain.call(name, &arguments).map(|it| bits(&it));
        assert_eq!(piece.call(name, &arguments).map(|it| bits(&it)), expected, "{name} {argument:?}");
    }
    assert_eq!(piece.bytes(), plain.bytes());
    assert!(piece.around_is_whole());
}

#[test]
fn data_and_start_come_in_the_order_of_the_standard() {
    let fits = wasm(
        "(module (memory (export \"memory\") 1) (func $start (i32.store8 (i32.const 2) (i32.load8_u (i32.const 0)))) (start $start)
            (data (i32.const 0) \"abc\") (data (offset (i32.add (i32.const 0) (i32.const 1))) \"xy\"))",
    );
    let mut piece = Piece::new(&fits, 65_536, 65_536);
    piece.begin().expect("it starts");
    assert_eq!(piece.bytes(), Plain::new(&fits).expect("it starts").bytes());
    assert_eq!(piece.bytes()[..3], *b"axa");

    let outside =
        wasm("(module (memory (export \"memory\") 1) (data (i32.const 0) \"first\") (data (i32.const 65534) \"out\"))");
    let mut piece = Piece::new(&outside, 65_536, 65_536);
    assert!(piece.begin().is_err());
    assert_eq!(piece.bytes()[..5], *b"first");
    assert!(piece.around_is_whole());
    assert!(Plain::new(&outside).is_err());
}

#[test]
fn functions_are_called_by_their_own_numbers_though_one_more_is_imported() {
    let text = "(module (memory (export \"memory\") 1) (table 4 funcref)
        (type $number (func (result i32)))
        (global $kept funcref (ref.func $three))
        (func $one (result i32) (i32.const 1)) (func $two (result i32) (i32.const 2)) (func $three (result i32) (i32.const 3))
        (elem (i32.const 0) $three $two) (elem $more funcref (ref.func $one) (ref.null func))
        (func (export \"direct\") (result i32) (i32.sub (call $three) (call $one)))
        (func (export \"tail\") (result i32) (return_call $two))
        (func (export \"indirect\") (param i32) (result i32) (call_indirect (type $number) (local.get 0)))
        (func (export \"more\") (table.init $more (i32.const 2) (i32.const 0) (i32.const 2)))
        (func (export \"kept\") (result i32) (table.set (i32.const 3) (global.get $kept)) (call_indirect (type $number) (i32.const 3))))";
    let wasm = wasm(text);
    let mut plain = Plain::new(&wasm).expect("it is instantiated");
    let mut piece = Piece::new(&wasm, 65_536, 65_536);
    let call = |name, argument: Option<i32>| (name, argument.into_iter().map(Val::I32).collect::<Vec<_>>());
    let mut calls = vec![call("direct", None), call("tail", None)];
    calls.extend((0..5).map(|at| call("indirect", Some(at))));
    calls.push(call("more", None));
    calls.extend((0..5).map(|at| call("indirect", Some(at))));
    calls.push(call("kept", None));
    for (name, arguments) in calls {
        let expected = plain.call(name, &arguments).map(|it| bits(&it));
        assert_eq!(piece.call(name, &arguments).map(|it| bits(&it)), expected, "{name} {arguments:?}");
    }
}

#[test]
fn the_committed_asset_computes_the_same_in_a_piece_of_another_memory() {
    let wasm = include_bytes!("../../../assets/work.wasm");
    check::valid(wasm).expect("it is valid");
    let rewritten = rewrite::rewrite(wasm).expect("it is rewritten");
    check::before_compiling(&rewritten.wasm).expect("it is small");
    Module::new(&engine(), &rewritten.wasm).expect("it is valid again");
}

#[test]
fn what_is_not_taken_is_refused_by_name() {
    for (text, expected) in [
        ("(module (memory 1 1 shared))", "threads"),
        ("(module (memory i64 1))", "memory64"),
        ("(module (memory 1) (memory 1))", "multi"),
        ("(module (func (param externref)))", "externref"),
        ("(module (tag))", "exceptions"),
        ("(module (type (struct)))", "gc"),
        ("(module (memory 1) (func (drop (i32.atomic.load (i32.const 0)))))", "threads"),
        (
            "(module (func (param v128 v128 v128) (result v128) (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2))))",
            "relaxed",
        ),
    ] {
        let error = check::valid(&wasm(text)).expect_err(text);
        assert!(error.to_lowercase().contains(expected), "{text}: {error}");
        assert!(error.contains("are not supported here"), "{text}: {error}");
    }
    let broken = check::valid(b"\0asm\x01\0\0\0\x01").expect_err("it is cut off");
    assert!(!broken.contains("are not supported"), "{broken}");
}
