use super::*;
use proptest::prelude::*;

#[test]
fn a_caller_has_one_spelling() {
    let good = [
        "site:firefox:https://shop.example",
        "site:firefox:https://shop.example:8443",
        "site:p:http://localhost:3000",
        "app:bot-1",
        "solution:7",
    ];
    for text in good {
        assert_eq!(Caller::parse(text).expect(text).key(), text);
    }
    let bad = [
        "",
        "user",
        "site:",
        "site::https://shop.example",
        "site:p:https://shop.example/",
        "site:p:https://SHOP.example",
        "site:p:https://shop.example:443",
        "site:p:https://shop.example/path",
        "site:p:https://a@shop.example",
        "site:p:null",
        "site:p:file:///etc",
        "site:p:data:text/html,x",
        "site:p:https://shop.example ",
        "site:p\u{202e}:https://shop.example",
        "site:p p:https://shop.example",
        "site:https://shop.example",
        "app:",
        "app:Bot",
        "app:a b",
        "app:a:b",
        "solution:",
        "solution:x",
        "plugin:1",
        "confirmation",
        "solution:1 ",
    ];
    for text in bad {
        let parsed = Caller::parse(text);
        assert!(parsed.is_err(), "{text:?} was read as {parsed:?}");
    }
    let long = format!("site:p:https://{}.example", "x".repeat(300));
    assert!(Caller::parse(&long).is_err());
    assert_eq!(Caller::parse("solution:007").expect("a number").key(), "solution:7");
}

proptest! {
    /// Whatever is read is written the same, so that no two callers share a key.
    #[test]
    fn keys_are_canonical(text in "(site|app|solution):[a-z0-9:/.@-]{0,40}") {
        if let Ok(caller) = Caller::parse(&text) {
            prop_assert_eq!(Caller::parse(&caller.key()).expect("read again"), caller);
        }
    }

    /// A profile that pretends to hold an origin is no caller at all.
    #[test]
    fn made_up_parts_do_not_pass_for_another_caller(profile in "[a-z:/.]{0,20}", origin in "https://[a-z]{1,8}\\.example(:[0-9]{1,4})?") {
        let made = Caller::Site { profile, origin };
        if let Ok(read) = Caller::parse(&made.key())
            && read == made
        {
            let Caller::Site { profile, .. } = read else { unreachable!() };
            prop_assert!(!profile.contains(':'));
        }
    }
}
