use super::*;

fn sum(parts: &[&str]) -> String {
    let mut amount = Amount::default();
    parts.iter().for_each(|part| amount.add(part).expect("a number"));
    amount.to_string()
}

#[test]
fn sums_of_any_length() {
    assert_eq!(sum(&[]), "0");
    assert_eq!(sum(&["0", "00"]), "0");
    assert_eq!(sum(&["1", "999", "0"]), "1000");
    assert_eq!(sum(&["999", "1"]), "1000");
    let most = "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    assert_eq!(sum(&[most, most]), "231584178474632390847141970017375815706539969331281128078915168015826259279870");
}

#[test]
fn small_sums_are_those_of_the_machine() {
    for (a, b, c) in [(0_u128, 0, 1), (99, 1, 100), (u128::from(u64::MAX), 17, 5), (u128::MAX / 4, u128::MAX / 4, 9)] {
        assert_eq!(sum(&[&a.to_string(), &b.to_string(), &c.to_string()]), (a + b + c).to_string());
    }
}

#[test]
fn what_is_no_number_is_refused() {
    for text in ["", "-1", "1.5", "0x10", " 1", "1e3", "١", &"9".repeat(79)] {
        assert!(matches!(Amount::default().add(text), Err(StoreError::BadAmount { .. })), "{text:?}");
    }
}
