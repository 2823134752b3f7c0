use super::*;
use crate::token::Token;
use alloy::primitives::address;

const TOKEN: Address = address!("A0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48");
const ME: Address = address!("f39Fd6e51aad88F6F4ce6aB8827279cffFb92266");
const OTHER: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

fn encode(signature: &str, args: &[DynSolValue]) -> Vec<u8> {
    signature::parse(signature).unwrap().abi_encode_input(args).unwrap()
}

fn uint(value: u64) -> DynSolValue {
    DynSolValue::Uint(U256::from(value), 256)
}

fn tokens() -> Tokens {
    Tokens::from([(TOKEN, Token { symbol: Some("USDC".into()), decimals: Some(6) })])
}

fn decoded(input: &[u8], abi: &[&str], descriptors: &Descriptors) -> Decoded {
    let abi: Vec<Function> = abi.iter().map(|text| signature::parse(text).unwrap()).collect();
    let tokens = tokens();
    let call = Call { chain_id: 1, from: ME, to: TOKEN, value: U256::ZERO, input };
    decode(&call, &Known { abi: &abi, descriptors, tokens: &tokens })
}

fn check(input: &[u8], source: Source, title: &str, warning: &str) -> Decoded {
    let decoded = decoded(input, &[], &Descriptors::default());
    assert_eq!(decoded.source, source, "{decoded:?}");
    assert!(decoded.title.contains(title), "{:?} says nothing of {title:?}", decoded.title);
    let warned = decoded.warnings.iter().any(|text| text.contains(warning));
    assert!(warned && !warning.is_empty() || warning.is_empty() && decoded.warnings.is_empty(), "{decoded:?}");
    decoded
}

#[test]
fn every_function_of_the_tables_parses() {
    for text in HINTS {
        assert!(signature::parse(text).is_some(), "{text}");
    }
    assert_eq!(HINT_FUNCTIONS.len(), HINTS.len());
    assert_eq!(standard::table_sizes(), standard::table_lengths());
}

#[test]
fn standard_functions_are_told_in_words() {
    let to_other = [DynSolValue::Address(OTHER), uint(1_500_000)];
    let sent = check(&encode("transfer(address,uint256)", &to_other), Source::Standard, "Send 1.5 “USDC”", "");
    assert_eq!((sent.recipients, sent.token_amount), (vec![OTHER], Some((TOKEN, U256::from(1_500_000)))));
    assert!(sent.moves_tokens);
    check(&encode("approve(address,uint256)", &to_other), Source::Standard, "take up to 1.5 “USDC”", "without asking");
    let all = [DynSolValue::Address(OTHER), DynSolValue::Uint(U256::MAX, 256)];
    let unlimited = check(&encode("approve(address,uint256)", &all), Source::Standard, "UNLIMITED", "UNLIMITED");
    assert_eq!(unlimited.token_amount, Some((TOKEN, U256::MAX)));
    let none = [DynSolValue::Address(OTHER), uint(0)];
    check(&encode("approve(address,uint256)", &none), Source::Standard, "Take back", "");
    let every = [DynSolValue::Address(OTHER), DynSolValue::Bool(true)];
    check(&encode("setApprovalForAll(address,bool)", &every), Source::Standard, "EVERYTHING", "ALL that you own");
    let permit2 = [
        DynSolValue::Address(TOKEN),
        DynSolValue::Address(OTHER),
        DynSolValue::Uint(U256::from(1) << 159, 160),
        DynSolValue::Uint(U256::ZERO, 48),
    ];
    check(&encode("approve(address,address,uint160,uint48)", &permit2), Source::Standard, "Permit2", "UNLIMITED")
        .token_amount
        .expect("bounded by the token");
}

impl Decoded {
    fn says(&self, label: &str, value: &str) {
        let found = self.rows.iter().any(|row| row.label == label && row.value.contains(value));
        assert!(found, "no row {label:?} with {value:?} in {:#?}", self.rows);
    }
}

#[test]
fn the_callers_abi_comes_first_and_does_not_hide_what_the_standard_says() {
    // Row 23: a hostile ABI gives transfer's selector harmless names.
    let input = encode("transfer(address,uint256)", &[DynSolValue::Address(OTHER), uint(7)]);
    let shown = decoded(&input, &["function transfer(address refundTo, uint256 nonce)"], &Descriptors::default());
    assert_eq!(shown.source, Source::Abi);
    shown.says("Does", "Send 0.000007 “USDC”");
    shown.says("refundTo (address)", &OTHER.to_checksum(None));
    assert!(shown.moves_tokens);
    assert_eq!(shown.recipients, [OTHER]);
    let nested = "function place((address maker, uint256[] prices)[] orders, string note)";
    let order = DynSolValue::Tuple(vec![DynSolValue::Address(OTHER), DynSolValue::Array(vec![uint(1), uint(2)])]);
    let values = [DynSolValue::Array(vec![order]), DynSolValue::String("a\u{202e}b".into())];
    let shown = decoded(&encode(nested, &values), &[nested], &Descriptors::default());
    shown.says("orders[0].maker (address)", &OTHER.to_checksum(None));
    shown.says("orders[0].prices[1] (uint256)", "2");
    shown.says("note (string)", "“a⟨U+202E⟩b”");
}

#[test]
fn row_08_what_nobody_knows_is_a_loud_warning() {
    check(&[0xde, 0xad, 0xbe, 0xef, 1], Source::Unknown, "0xdeadbeef, 5 bytes", "cannot say what this does");
    check(&[1, 2], Source::Unknown, "0x0102, 2 bytes", "cannot say");
    let stake = encode("stake(uint256)", &[uint(5)]);
    check(&stake, Source::Hint, "Perhaps stake(uint256)", "only a guess").says("amount (uint256)", "5");
    // With bytes behind the arguments the guess is none.
    check(&[stake, vec![0; 32]].concat(), Source::Unknown, "unknown function", "cannot say");
    // transfer's selector with arguments that are not transfer's.
    let input = encode("transfer(address,uint256)", &[DynSolValue::Address(OTHER), uint(1)]);
    check(&input[..40], Source::Standard, "0xa9059cbb", "do not fit");
}

#[test]
fn calls_within_calls_are_told_one_by_one() {
    let inner = encode("transfer(address,uint256)", &[DynSolValue::Address(OTHER), uint(1_000_000)]);
    let harmless = encode("stake(uint256)", &[uint(5)]);
    let list =
        |calls: &[&Vec<u8>]| DynSolValue::Array(calls.iter().map(|call| DynSolValue::Bytes(call.to_vec())).collect());
    let input = encode("multicall(bytes[])", &[list(&[&inner, &harmless])]);
    let shown = check(&input, Source::Standard, "2 calls in one", "Call 2: stake(uint256) is only a guess");
    shown.says("Call 1", "Send 1 “USDC”");
    assert!(shown.moves_tokens && shown.recipients.contains(&OTHER));
    assert!(!input_moves_tokens(&encode("multicall(bytes[])", &[list(&[&harmless])])));
    // Too deep to be read counts as moving.
    let mut deep = harmless;
    for _ in 0..6 {
        deep = encode("multicall(bytes[])", &[list(&[&deep])]);
    }
    assert!(input_moves_tokens(&deep));
}

#[test]
fn row_23_selectors_that_move_tokens_are_known_by_name() {
    let cases = [
        ("transfer(address,uint256)", "a9059cbb"),
        ("transferFrom(address,address,uint256)", "23b872dd"),
        ("approve(address,uint256)", "095ea7b3"),
        ("increaseAllowance(address,uint256)", "39509351"),
        ("setApprovalForAll(address,bool)", "a22cb465"),
        ("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)", "d505accf"),
        ("safeTransferFrom(address,address,uint256)", "42842e0e"),
        ("safeBatchTransferFrom(address,address,uint256[],uint256[],bytes)", "2eb2c2d6"),
        ("approve(address,address,uint160,uint48)", "87517c45"),
    ];
    for (signature, selector) in cases {
        let bytes: [u8; 4] = hex::decode(selector).unwrap().try_into().unwrap();
        assert_eq!(signature::parse(signature).unwrap().selector(), bytes);
        assert!(moves_tokens(bytes), "{signature}");
    }
    for harmless in ["requestExit()", "deposit(address)", "claim()", "stake(uint256)"] {
        assert!(!moves_tokens(signature::parse(harmless).unwrap().selector().0), "{harmless}");
    }
}

const DESCRIPTOR: &str = r##"{
  "$schema": "erc7730-v1.schema.json",
  "context": { "$id": "Vault", "contract": { "deployments": [
    { "chainId": 1, "address": "0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48" } ] } },
  "metadata": { "owner": "Vault" },
  "display": {
    "definitions": { "who": { "label": "Recipient", "format": "addressName" } },
    "formats": {
      "lock(address who,uint256 amount,(uint256 until,address asset) terms,bytes32 hidden)": {
        "intent": "Lock tokens",
        "fields": [
          { "path": "who", "$ref": "$.display.definitions.who" },
          { "path": "#.amount", "label": "Amount", "format": "tokenAmount", "params": { "tokenPath": "terms.asset" } },
          { "path": "terms.until", "label": "Until", "format": "date", "params": { "encoding": "timestamp" } },
          { "path": "@.value", "label": "Paid", "format": "amount" }
        ] } } } }"##;

#[test]
fn a_descriptor_gives_words_and_hides_nothing() {
    let mut descriptors = Descriptors::default();
    descriptors.add("vault.json", DESCRIPTOR).expect("read");
    let signature = "lock(address who,uint256 amount,(uint256 until,address asset) terms,bytes32 hidden)";
    let input = encode(
        signature,
        &[
            DynSolValue::Address(OTHER),
            uint(2_500_000),
            DynSolValue::Tuple(vec![uint(1_700_000_000), DynSolValue::Address(TOKEN)]),
            DynSolValue::FixedBytes([7; 32].into(), 32),
        ],
    );
    let shown = decoded(&input, &[], &descriptors);
    assert_eq!(shown.source, Source::Erc7730);
    assert!(shown.title.contains("“Lock tokens”") && shown.title.contains("vault.json"), "{}", shown.title);
    shown.says("Recipient", &OTHER.to_checksum(None));
    shown.says("Amount", "2.5 “USDC”");
    shown.says("Until", "2023-11-14T22:13:20Z");
    shown.says("Paid", "0 ETH");
    // What the descriptor leaves out is there all the same.
    shown.says("hidden (bytes32)", &"07".repeat(32));
    shown.says("terms.asset (address)", &TOKEN.to_checksum(None));
    let call = Call { chain_id: 1, from: ME, to: TOKEN, value: U256::ZERO, input: &input };
    assert_eq!(descriptors.tokens_of(&call), [TOKEN]);
    // Of another chain it says nothing.
    let call = Call { chain_id: 5, ..call };
    let known = Known { abi: &[], descriptors: &descriptors, tokens: &Tokens::new() };
    assert_eq!(decode(&call, &known).source, Source::Unknown);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "files of the test's own")]
fn descriptors_are_read_from_the_users_folder_and_wrong_ones_named() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("descriptors");
    assert!(Descriptors::load(&folder).0.is_empty());
    std::fs::create_dir_all(folder.join("vault")).unwrap();
    std::fs::write(folder.join("vault/vault.json"), DESCRIPTOR).unwrap();
    std::fs::write(folder.join("broken.json"), "{").unwrap();
    std::fs::write(folder.join("half.json"), DESCRIPTOR.replace("\"path\": \"who\"", "\"where\": \"who\"")).unwrap();
    std::fs::write(folder.join("note.txt"), "no descriptor").unwrap();
    let (descriptors, problems) = Descriptors::load(&folder);
    assert!(!descriptors.is_empty());
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(problems[0].starts_with("descriptor broken.json"), "{problems:?}");
    assert!(problems[1].contains("fields[0]: `path` is missing"), "{problems:?}");
}
