use super::*;

#[test]
fn codes_are_two_groups_of_letters_that_are_not_taken_for_one_another() {
    let codes: std::collections::HashSet<_> = (0..200).map(|_| new_code().expect("random")).collect();
    assert_eq!(codes.len(), 200);
    for code in &codes {
        let (left, right) = code.split_once('-').expect("two groups");
        assert_eq!((left.len(), right.len()), (4, 4), "{code}");
        assert!(code.bytes().all(|b| b == b'-' || ALPHABET.contains(&b)), "{code}");
        assert!(!code.contains(['0', 'O', '1', 'I', '8']), "{code}");
        assert_eq!(normal(&code.to_lowercase().replace('-', " ")), normal(code));
    }
}

#[test]
fn names_are_made_of_any_text() {
    let check = |text: &str, expect: &str| {
        assert_eq!(plain_name(text), expect, "{text:?}");
        check_name("profile name", &plain_name(text)).expect("a name");
        check_name("profile name", &format!("{}-99", plain_name(text))).expect("with a number");
    };
    check("Chromium", "chromium");
    check("Firefox (work)", "firefox-work");
    check("  ", "browser");
    check("42 Brave: x", "brave-x");
    check("\u{202e}evil:site", "evil-site");
    check(&"long ".repeat(40), "long-long-long-long-long");
}
