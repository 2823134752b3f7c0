use super::*;

#[test]
fn row_22_hostile_text_is_escaped_and_made_visible() {
    let text = shown("<script>a\u{202e}b\u{1b}[31m\n</script>").into_string();
    assert_eq!(
        text,
        "<bdi>&lt;script&gt;a<code class=\"char\">U+202E</code>b<code class=\"char\">U+001B</code>[31m\
         <code class=\"char\">U+000A</code>&lt;/script&gt;</bdi>"
    );
}

#[test]
fn row_22_every_hidden_character_is_shown() {
    for c in "\u{0}\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{200e}\u{2066}\u{2069}\u{feff}\u{fe0f}\u{3164}\u{e0041}".chars()
    {
        let text = shown(&c.to_string()).into_string();
        assert!(!text.contains(c) && text.contains("U+"), "{:?}: {text}", c);
    }
}

#[test]
fn foreign_words_are_quoted_and_capped() {
    let text = foreign(&"x".repeat(1_000)).into_string();
    assert!(text.contains("“<bdi>xxx") && text.contains("and 700 more characters") && text.contains('”'), "{text}");
}

#[test]
fn documents_keep_their_lines_only() {
    let text = document(&serde_json::json!({ "a": "\u{202e}\n" })).into_string();
    assert_eq!(text, "<pre><bdi>{\n  &quot;a&quot;: &quot;<code class=\"char\">U+202E</code>\\n&quot;\n}</bdi></pre>");
}

#[test]
fn amounts_are_exact() {
    for (wei, expect) in [
        ("0", "0 ETH"),
        ("1", "0.000000000000000001 ETH"),
        ("1500000000000000000", "1.5 ETH"),
        ("10000000000000000000000", "10000 ETH"),
        ("", ""),
        ("12x", "12x"),
    ] {
        assert_eq!(ether(wei), expect);
    }
}

#[test]
fn times_are_right_also_at_the_edges() {
    for (milliseconds, expect) in [
        (0, "1970-01-01 00:00:00 UTC"),
        (951_782_400_000, "2000-02-29 00:00:00 UTC"),
        (1_795_354_205_999, "2026-11-22 13:30:05 UTC"),
        (-1, "1969-12-31 23:59:59 UTC"),
    ] {
        assert_eq!(time(milliseconds), expect);
    }
    let _ = (time(i64::MAX), time(i64::MIN));
}

#[test]
fn row_22_words_for_the_script_are_visible_too() {
    assert_eq!(plain("a\u{202e}b\n\u{1b}"), "a⟨U+202E⟩b⟨U+000A⟩⟨U+001B⟩");
    assert_eq!(lines(&serde_json::json!({ "a": "\u{200b}" })), "{\n  \"a\": \"⟨U+200B⟩\"\n}");
}
