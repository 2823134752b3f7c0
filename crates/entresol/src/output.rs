//! What people and programs see: tables, JSON, progress. Everything a plugin, a site or the chain wrote passes
//! through [`visible`] on its way to the terminal.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value as Json;

/// Characters that act on a terminal or on the order of a text instead of being seen: controls (C0, C1), bidi
/// marks and isolates, zero-width characters, line and paragraph separators, tags.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// `text` with every acting character written out as `\u{…}`, line breaks included.
pub(crate) fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if acts(c) { out.extend(c.escape_unicode()) } else { out.push(c) }
    }
    out
}

/// As [`visible`], of a text whose line breaks are the wallet's own.
pub(crate) fn visible_lines(text: &str) -> String {
    text.lines().map(visible).collect::<Vec<_>>().join("\n")
}

/// JSON text in which acting characters are escaped; a reader of JSON gets the same value.
pub(crate) fn visible_json(value: &Json, pretty: bool) -> String {
    let text = if pretty { format!("{value:#}") } else { value.to_string() };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Outside strings JSON holds no acting character but the line breaks of the pretty form.
        if acts(c) && c != '\n' {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Where a command's results go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
}

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }

    /// True with `--json`: one JSON value a result, nothing for people.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// One line for people; nothing with `--json`.
    pub(crate) fn line(self, text: impl AsRef<str>) {
        if !self.json {
            print_line(text.as_ref());
        }
    }

    /// One JSON value; nothing without `--json`.
    pub(crate) fn json(self, value: &impl Serialize) -> anyhow::Result<()> {
        if self.json {
            print_line(&visible_json(&serde_json::to_value(value)?, io::stdout().is_terminal()));
        }
        Ok(())
    }

    /// JSON for programs, or what `people` makes of it.
    pub(crate) fn either<T: Serialize>(self, value: &T, people: impl FnOnce(&T) -> String) -> anyhow::Result<()> {
        if self.json {
            return self.json(value);
        }
        print_line(&people(value));
        Ok(())
    }
}

/// A result on standard output. A reader who went away (`| head`) is no error of ours.
fn print_line(text: &str) {
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end());
    let _ = out.flush();
}

/// A remark on standard error, also with `--json`.
pub(crate) fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// A table; cells are made [`visible`].
pub(crate) fn table<R, C>(header: &[&str], rows: R) -> String
where
    R: IntoIterator<Item = C>,
    C: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_style(presets::UTF8_FULL_CONDENSED).set_content_arrangement(ContentArrangement::Dynamic);
    if !io::stdout().is_terminal() {
        // Nothing is cut or wrapped for a file or a pipe.
        table.set_content_arrangement(ContentArrangement::Disabled);
    }
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    let mut empty = true;
    for row in rows {
        table.add_row(row.into_iter().map(|cell| visible(&cell)).collect::<Vec<_>>());
        empty = false;
    }
    if empty { "none".to_owned() } else { table.to_string() }
}

/// A spinner on standard error; invisible when that is not a terminal, and gone when dropped.
#[derive(Debug)]
pub(crate) struct Progress(ProgressBar);

impl Progress {
    pub(crate) fn new(output: Output, message: impl Into<String>) -> Self {
        let bar = if output.is_json() { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        bar.set_message(message.into());
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    pub(crate) fn say(&self, message: impl Into<String>) {
        self.0.set_message(message.into());
    }

    /// A line above the spinner.
    pub(crate) fn above(&self, line: impl AsRef<str>) {
        self.0.suspend(|| note(line));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests;
