use super::*;
use serde_json::json;

fn node(kind: &str, props: Json, children: Json) -> Json {
    json!({ "type": kind, "props": props, "children": children })
}

fn refused(screen: &Json, words: &str) {
    let error = Screen::parse(screen).expect_err("refused");
    assert!(error.message.contains(words), "{error} says nothing of {words:?}");
}

fn form() -> Screen {
    Screen::parse(&node(
        "Box",
        json!({}),
        json!([
            node("Heading", json!({ "size": "lg" }), json!("Pay somebody")),
            "plain words",
            node("Form", json!({ "name": "pay" }), json!([
                node("Field", json!({ "label": "To" }), json!([node("Input", json!({ "name": "to", "type": "address", "required": true }), json!([]))])),
                node("Input", json!({ "name": "amount", "type": "amount", "value": "1.5" }), Json::Null),
                node("Dropdown", json!({ "name": "unit", "options": [{ "value": "eth", "label": "Ether" }, { "value": "wei" }], "value": "eth" }), Json::Null),
                node("Checkbox", json!({ "name": "now", "label": "At once", "checked": true }), Json::Null),
                node("Button", json!({ "name": "go", "submit": true }), json!("Pay")),
                node("Button", json!({ "name": "never", "disabled": true }), json!("No")),
            ])),
            node("Row", json!({ "label": "Balance" }), json!([node("Value", json!({ "value": "5 ETH", "extra": "$7" }), Json::Null)])),
            node("Link", json!({ "href": "https://example.com/a?b=c" }), json!("More")),
            node("Banner", json!({ "title": "Careful", "severity": "warning" }), json!(["a", "b"])),
            node("Tooltip", json!({ "content": "why" }), json!([node("Address", json!({ "address": "0x70997970C51812dc3A010C7d01b50e0d17dc79C8" }), Json::Null)])),
            node("Divider", json!({}), Json::Null),
            node("Copyable", json!({ "value": "copy me" }), Json::Null),
            node("Spinner", json!({}), Json::Null),
            node("Image", json!({ "svg": "<svg viewBox=\"0 0 1 1\"><path d='M0 0L1 1'/></svg>", "alt": "a line" }), Json::Null),
        ]),
    ))
    .expect("a screen")
}

#[test]
fn row_29_a_screen_is_rendered_inside_the_plugins_frame() {
    let shown = render_text(&form(), "Payments", 60);
    assert!(shown.starts_with("Payments shows:\n│ PAY SOMEBODY\n│ plain words\n"), "{shown}");
    for part in [
        "│ To: field to (address, required)",
        "│ field amount (amount) = 1.5",
        "│ * eth: Ether",
        "│ [x] At once (field now)",
        "│ [ Pay ] button go",
        "│ Balance: 5 ETH ($7)",
        "│ More <https://example.com/a?b=c>",
        "│ (warning) Careful",
        "│ 0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
        "│ [image: a line]",
    ] {
        assert!(shown.contains(part), "{part:?} in {shown}");
    }
    // Row 22 and 29: no text can leave the frame or pass for the wallet's.
    let nasty = node("Text", json!({}), json!("\u{1b}[2Jhi\n└─\nWallet: enter your passphrase\u{202e}"));
    let shown = render_text(&Screen::parse(&nasty).unwrap(), "Pay\u{1b}ments", 30);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[1..lines.len() - 1].iter().all(|line| line.starts_with("│ ")), "{shown}");
    assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    assert!(lines.iter().all(|line| line.chars().count() <= 40), "{shown}");
}

#[test]
fn what_is_no_screen_is_named_by_its_place() {
    let cases = [
        (json!("text"), "screen: { type, props, children }"),
        (node("Iframe", json!({}), json!([])), "screen.type: there is no component \"Iframe\""),
        (
            node("Box", json!({}), json!([node("Text", json!({ "style": "x" }), json!("a"))])),
            "screen:Box[0]:Text.props.style: unknown",
        ),
        (json!({ "type": "Box", "html": "<b>" }), "\"html\" is unknown"),
        (node("Input", json!({ "name": "a", "type": "password" }), Json::Null), "one of text, number, address, amount"),
        (node("Input", json!({ "name": "a b" }), Json::Null), "letters, digits"),
        (node("Input", json!({}), Json::Null), "screen:Input.props.name is missing"),
        (node("Divider", json!({}), json!(["x"])), "has no children"),
        (node("Heading", json!({}), json!([node("Box", json!({}), json!([]))])), "only text may stand here"),
        (node("Link", json!({ "href": "http://example.com" }), json!("x")), "https URL"),
        (node("Link", json!({ "href": "https://me:pw@example.com" }), json!("x")), "without user"),
        (node("Link", json!({ "href": "javascript:alert(1)" }), json!("x")), "https URL"),
        (node("Address", json!({ "address": "0x12" }), Json::Null), "no address"),
        (node("Text", json!({}), json!("x".repeat(MAX_TEXT + 1))), "longer than"),
        (node("Dropdown", json!({ "name": "a", "options": [] }), Json::Null), "1 to 200 options"),
        (
            node("Dropdown", json!({ "name": "a", "options": [{ "value": "x" }, { "value": "x" }] }), Json::Null),
            "stands twice",
        ),
        (
            node(
                "Box",
                json!({}),
                json!([
                    node("Input", json!({ "name": "a" }), Json::Null),
                    node("Button", json!({ "name": "a" }), json!("x"))
                ]),
            ),
            "\"a\" stands twice",
        ),
        (node("Box", json!({}), json!(vec!["x"; MAX_NODES])), "more than 500 components"),
        (node("Box", json!({}), json!(vec!["x".repeat(MAX_TEXT); 26])), "all texts together"),
    ];
    for (screen, words) in cases {
        refused(&screen, words);
    }
    let mut deep = node("Box", json!({}), json!([]));
    for _ in 0..MAX_DEPTH {
        deep = node("Box", json!({}), json!([deep]));
    }
    refused(&deep, "deeper than 16");
}

#[test]
fn row_22_pictures_are_read_by_an_allow_list() {
    let good = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox='0 0 8 8'>\n <defs><linearGradient id=\"g\"><stop offset=\"0\" \
                stop-color=\"#fff\"/></linearGradient></defs><rect width=\"8\" height=\"8\" fill=\"url(#g)\"/></svg>";
    let written = svg::sanitise(good).expect("fine");
    assert_eq!(svg::sanitise(&written).as_deref(), Ok(written.as_str()));
    for bad in [
        "",
        "words",
        "<svg>",
        "<svg></g>",
        "<svg></svg><svg></svg>",
        "<svg><script>alert(1)</script></svg>",
        "<svg onload=\"alert(1)\"></svg>",
        "<svg><a href=\"https://x\"/></svg>",
        "<svg><image href='https://x'/></svg>",
        "<svg><use xlink:href='#a'/></svg>",
        "<svg><style>*{}</style></svg>",
        "<svg><rect style=\"x\"/></svg>",
        "<svg><rect fill=\"url(https://x)\"/></svg>",
        "<svg><rect fill=\"url( #g)\"/></svg>",
        "<svg><rect fill=\"&#x6a;\"/></svg>",
        "<svg><rect fill=red/></svg>",
        "<svg><rect fill='a' fill='b'/></svg>",
        "<svg><text>words</text></svg>",
        "<svg>words</svg>",
        "<svg><!-- x --></svg>",
        "<?xml version='1.0'?><svg></svg>",
        "<!DOCTYPE svg [<!ENTITY x 'y'>]><svg></svg>",
        "<svg><foreignObject/></svg>",
        "<svg><animate attributeName='href'/></svg>",
        "<svg xmlns=\"http://www.w3.org/1999/xhtml\"></svg>",
        "<rect/>",
    ] {
        assert!(svg::sanitise(bad).is_err(), "{bad}");
    }
    let deep = format!("{}{}", "<svg>".to_owned() + &"<g>".repeat(20), "</g>".repeat(20) + "</svg>");
    assert!(svg::sanitise(&deep).is_err());
}

#[test]
fn answers_are_checked_against_the_screen() {
    let screen = form();
    let answer = |button: &str, fields: Json| {
        screen.answer(&Answer { button: button.into(), fields: fields.as_object().cloned().unwrap() })
    };
    let to = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    let answered = answer("go", json!({ "to": to, "now": false })).expect("fits");
    assert_eq!(Json::Object(answered.fields), json!({ "to": to, "amount": "1.5", "unit": "eth", "now": false }));
    for (button, fields, words) in [
        ("stop", json!({ "to": to }), "no button"),
        ("never", json!({ "to": to }), "disabled"),
        ("go", json!({}), "\"to\": a value is needed"),
        ("go", json!({ "to": "0x12" }), "no address"),
        ("go", json!({ "to": to, "amount": "-1" }), "no amount"),
        ("go", json!({ "to": to, "amount": 5 }), "a text is needed"),
        ("go", json!({ "to": to, "unit": "btc" }), "none of the options"),
        ("go", json!({ "to": to, "now": "yes" }), "true or false"),
        ("go", json!({ "to": to, "surprise": "x" }), "no field"),
    ] {
        let error = answer(button, fields).expect_err("refused");
        assert!(error.message.contains(words), "{error} says nothing of {words:?}");
    }
}

proptest::proptest! {
    #[test]
    fn foreign_text_never_panics_and_stays_in_the_frame(text in "(\\PC|[\u{0}-\u{1f}\u{202a}-\u{202e}]){0,200}", width in 0_usize..100) {
        let _ = svg::sanitise(&text);
        let _ = svg::sanitise(&format!("<svg {text}></svg>"));
        let screen = Screen::parse(&node("Box", json!({}), json!([text]))).unwrap();
        let shown = render_text(&screen, &text, width);
        let lines: Vec<&str> = shown.lines().collect();
        proptest::prop_assert!(lines[1..lines.len() - 1].iter().all(|line| line.starts_with("│ ")), "{shown}");
        proptest::prop_assert!(shown.chars().all(|c| c == '\n' || !c.is_control()), "{shown:?}");
    }
}
