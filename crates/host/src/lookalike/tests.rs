use super::*;
use alloy::primitives::address;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

const FRIEND: Address = address!("70997970C51812dc3A010C7d01b50e0d17dc79C8");

fn known() -> Known {
    Known {
        own: BTreeMap::from([(Address::repeat_byte(0x11), "account 0".into())]),
        recipients: BTreeMap::from([(FRIEND, "an earlier recipient".into())]),
        contracts: BTreeMap::from([(Address::repeat_byte(0x22), "the gateway of payments".into())]),
    }
}

fn check(recipient: Address, words: Option<&str>) {
    let warnings = warnings(recipient, &known());
    match words {
        None => assert_eq!(warnings, Vec::<String>::new()),
        Some(words) => assert!(warnings.iter().any(|text| text.contains(words)), "{warnings:?} without {words:?}"),
    }
}

#[test]
fn row_10_recipients_are_told_apart() {
    check(FRIEND, None);
    check(Address::ZERO, Some("zero address"));
    check(Address::with_last_byte(1), Some("almost the zero address"));
    check(Address::repeat_byte(0x11), Some("your own account"));
    check(Address::repeat_byte(0x22), Some("the gateway of payments"));
    check(Address::repeat_byte(0x33), Some("not sent anything"));
    // The same first four and last four digits, all between them different.
    check(address!("7099eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee79C8"), Some("LOOK-ALIKE"));
    // Two and six.
    check(address!("70eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeedc79C8"), Some("LOOK-ALIKE"));
    // One digit left out, another put in.
    check(address!("0997970C51812dc3A010C7d01b50e0d17dc79C85"), Some("LOOK-ALIKE"));
    check(address!("1111eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee1111"), Some("(account 0)"));
}

/// Runs `test` with the fixed seeds, or with `ENTRESOL_SEED`; says how many cases.
fn run<S: Strategy>(name: &str, strategy: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let seeds = match std::env::var("ENTRESOL_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => vec![seed],
        None => vec![1_u64, 2, 3],
    };
    let config = Config { failure_persistence: None, ..Config::default() };
    for seed in &seeds {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(config.clone(), rng);
        if let Err(error) = runner.run(strategy, &test) {
            panic!("{name}, seed {seed}: {error}");
        }
    }
    println!("{name}: {} cases with each of the seeds {seeds:?}", config.cases);
}

fn any_address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::from)
}

#[test]
fn addresses_of_chance_resemble_nobody_and_made_ones_do() {
    run("two addresses of chance", &(any_address(), any_address()), |(one, other)| {
        prop_assert!(!resembles(one, other), "{one} {other}");
        prop_assert!(!resembles(one, one));
        Ok(())
    });
    let ground = (any_address(), any_address(), 4..=38_usize, 4..=38_usize);
    run("the same first and last four digits or more", &ground, |(victim, chance, first, last)| {
        let (victim_hex, mut made) = (hex::encode(victim), hex::encode(chance));
        made.replace_range(..first, &victim_hex[..first]);
        made.replace_range(40 - last.min(40 - first).., &victim_hex[40 - last.min(40 - first)..]);
        let made: Address = made.parse().unwrap();
        prop_assert!(made == victim || (last.min(40 - first) < 4) || resembles(made, victim), "{victim} {made}");
        prop_assert_eq!(resembles(made, victim), resembles(victim, made));
        Ok(())
    });
    let slips = (any_address(), prop::collection::vec((0..40_usize, 0..16_u32), 1..=SLIPS));
    run("some digits changed", &slips, |(victim, edits)| {
        let mut digits: Vec<char> = hex::encode(victim).chars().collect();
        for (place, digit) in edits {
            digits[place] = char::from_digit(digit, 16).unwrap();
        }
        let slip: Address = digits.into_iter().collect::<String>().parse().unwrap();
        prop_assert!(slip == victim || resembles(slip, victim), "{victim} {slip}");
        Ok(())
    });
}
