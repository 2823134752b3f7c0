//! Words and amounts for people.

use crate::messages::Row;
use alloy::primitives::U256;
use alloy::primitives::utils::format_ether;

/// A row of an approval.
pub(crate) fn row(label: impl Into<String>, value: impl Into<String>) -> Row {
    Row { label: label.into(), value: value.into() }
}

/// An amount in units of `10^decimals`, exact, without trailing zeros: `1.5`.
pub(crate) fn units(amount: U256, decimals: u8) -> String {
    let digits = amount.to_string();
    let decimals = usize::from(decimals);
    if decimals == 0 {
        return digits;
    }
    let padded = format!("{digits:0>width$}", width = decimals + 1);
    let (whole, fraction) = padded.split_at(padded.len() - decimals);
    let fraction = fraction.trim_end_matches('0');
    if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
}

/// `1.5 ETH (1500000000000000000 wei)`: never rounded.
pub(crate) fn ether(wei: U256) -> String {
    let text = format_ether(wei);
    let short = text.trim_end_matches('0').trim_end_matches('.');
    format!("{short} ETH ({wei} wei)")
}

/// A time as people and machines read it, `Sun, 06 Nov 1994 08:49:37 GMT`.
pub(crate) fn date(unix_ms: u64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + std::time::Duration::from_millis(unix_ms.min(MAX_DATE_MS)))
}

/// The last day of the year 9999: later ones have no spelling.
const MAX_DATE_MS: u64 = 253_402_300_799_000;

/// Foreign words: quoted, capped, control and bidirectional characters made visible.
pub(crate) fn quoted(text: &str) -> String {
    format!("“{}”", clean(text, LONGEST_QUOTE))
}

/// As [`quoted`], up to `longest` characters whole; of a longer text the beginning, its length and its digest: what is
/// not shown can at least be compared.
pub(crate) fn quoted_whole(text: &str, longest: usize) -> String {
    let length = text.chars().count();
    if length <= longest {
        return format!("“{}”", clean(text, longest));
    }
    format!("“{}” ({length} characters, keccak256 {})", clean(text, longest), alloy::primitives::keccak256(text))
}

/// Longest foreign text in a quote, in characters.
const LONGEST_QUOTE: usize = 300;

/// Foreign words without quotes: at most `longest` characters, control and bidirectional ones made visible.
pub(crate) fn clean(text: &str, longest: usize) -> String {
    let mut shown = String::with_capacity(text.len().min(longest * 4) + 2);
    for (count, c) in text.chars().enumerate() {
        if count == longest {
            shown.push('…');
            break;
        }
        if c.is_control() || is_invisible(c) {
            shown.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Characters that change how others are read, or that nobody sees.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_exact() {
        assert_eq!(ether(U256::from(1_500_000_000_000_000_000_u64)), "1.5 ETH (1500000000000000000 wei)");
        assert_eq!(ether(U256::ZERO), "0 ETH (0 wei)");
        assert_eq!(ether(U256::from(1)), "0.000000000000000001 ETH (1 wei)");
    }

    #[test]
    fn units_are_exact() {
        let cases = [("1500000", 6, "1.5"), ("1", 6, "0.000001"), ("0", 18, "0"), ("42", 0, "42"), ("1000000", 6, "1")];
        for (amount, decimals, expect) in cases {
            assert_eq!(units(amount.parse().unwrap(), decimals), expect);
        }
    }

    #[test]
    fn row_22_hostile_text_is_made_visible() {
        assert_eq!(quoted("a\u{202e}b\u{1b}[31m\n"), "“a⟨U+202E⟩b⟨U+001B⟩[31m⟨U+000A⟩”");
        assert_eq!(quoted(&"x".repeat(1000)).chars().count(), 303);
    }
}
