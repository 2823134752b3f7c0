//! Words, amounts and times for people. maud escapes HTML; this makes visible what HTML would hide.

use maud::{Markup, html};

/// Longest value shown whole. Nothing the host makes comes near it; what is cut says so.
const LONGEST: usize = 20_000;
/// Longest piece of foreign words: titles and descriptions.
const LONGEST_FOREIGN: usize = 300;

/// A value of the wallet or the chain: complete, invisible characters made visible, isolated from the text around it.
pub(crate) fn shown(text: &str) -> Markup {
    pieces(text, LONGEST, false)
}

/// Words of a plugin or another stranger: quoted, capped, invisible characters made visible.
pub(crate) fn foreign(text: &str) -> Markup {
    html! { span.foreign { "“" (pieces(text, LONGEST_FOREIGN, false)) "”" } }
}

/// A JSON document in lines.
pub(crate) fn document(value: &serde_json::Value) -> Markup {
    html! { pre { (pieces(&format!("{value:#}"), LONGEST, true)) } }
}

/// Words for a script to show as plain text: complete up to a limit, invisible characters made visible.
pub(crate) fn plain(text: &str) -> String {
    visible(text, false)
}

/// A JSON document in lines, as plain text.
pub(crate) fn lines(value: &serde_json::Value) -> String {
    visible(&format!("{value:#}"), true)
}

fn visible(text: &str, lines: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            out.push_str(" … and more");
            break;
        }
        if (c.is_control() || is_invisible(c)) && !(lines && c == '\n') {
            out.push_str(&format!("⟨U+{:04X}⟩", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    out
}

fn pieces(text: &str, longest: usize, lines: bool) -> Markup {
    let acts = |c: char| (c.is_control() || is_invisible(c)) && !(lines && c == '\n');
    let end = text.char_indices().nth(longest).map_or(text.len(), |(index, _)| index);
    let (kept, cut) = text.split_at(end);
    html! {
        bdi {
            @for piece in kept.split_inclusive(acts) {
                @match piece.chars().next_back().filter(|c| acts(*c)) {
                    Some(c) => {
                        (piece.get(..piece.len() - c.len_utf8()).unwrap_or_default())
                        code.char { (format!("U+{:04X}", u32::from(c))) }
                    }
                    None => (piece),
                }
            }
            @if !cut.is_empty() { em { " … and " (cut.chars().count()) " more characters" } }
        }
    }
}

/// Characters that change how others are read, or that nobody sees: bidirectional controls, joiners, fillers, tags,
/// variation selectors.
fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}'
    )
}

/// `1.5 ETH`, exact; what is no decimal number stays as it is.
pub(crate) fn ether(wei: &str) -> String {
    const DECIMALS: usize = 18;
    if wei.is_empty() || !wei.bytes().all(|b| b.is_ascii_digit()) {
        return wei.to_owned();
    }
    let padded = format!("{wei:0>width$}", width = DECIMALS + 1);
    let (whole, fraction) = padded.split_at(padded.len() - DECIMALS);
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    match fraction.trim_end_matches('0') {
        "" => format!("{whole} ETH"),
        fraction => format!("{whole}.{fraction} ETH"),
    }
}

/// `2026-11-22 13:30:05 UTC` from Unix milliseconds.
pub(crate) fn time(milliseconds: i64) -> String {
    let seconds = milliseconds.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days to a date: Howard Hinnant, "chrono-compatible low-level date algorithms", civil_from_days.
    let z = days.saturating_add(719_468);
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

/// The same for a narrow column: it breaks between date and time only.
pub(crate) fn when(milliseconds: i64) -> Markup {
    let text = time(milliseconds);
    html! { span.when { @for (at, part) in text.splitn(2, ' ').enumerate() { @if at > 0 { " " } span { (part) } } } }
}

#[cfg(test)]
mod tests;
