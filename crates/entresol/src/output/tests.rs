use serde_json::json;

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(visible(text), expected);
}

#[test]
fn what_acts_is_made_visible() {
    check("Zahlungen 支払い ñ 🦊", "Zahlungen 支払い ñ 🦊");
    check("\u{1b}[2Jgone", "\\u{1b}[2Jgone");
    check("a\u{9b}31m", "a\\u{9b}31m");
    check("pay \u{202e}001\u{2066}", "pay \\u{202e}001\\u{2066}");
    check("in\u{200b}visible\u{feff}", "in\\u{200b}visible\\u{feff}");
    check("two\nlines\r\t", "two\\u{a}lines\\u{d}\\u{9}");
    check("\u{e0041}", "\\u{e0041}");
}

#[test]
fn json_stays_the_same_value() {
    let value = json!({ "a\u{202e}": ["\u{9b}x", "\u{1b}", "\u{e0041}", "plain"], "n": 1 });
    for pretty in [false, true] {
        let text = visible_json(&value, pretty);
        assert!(text.chars().all(|c| c == '\n' || !acts(c)), "{text}");
        assert_eq!(serde_json::from_str::<Json>(&text).expect("JSON"), value);
    }
}

#[test]
fn an_empty_table_says_so() {
    assert_eq!(table(&["A"], Vec::<Vec<String>>::new()), "none");
    assert!(table(&["A"], [[String::from("\u{1b}")]]).contains("\\u{1b}"));
}
