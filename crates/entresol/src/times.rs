//! Times as people write them: a distance (`7d`, `12 hours`) or a date (`2026-12-31`, `2026-12-31T18:00`). Dates are
//! UTC, so that the same words mean the same moment on every machine; what is printed says so.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, bail};

const SECOND: u64 = 1000;
const DAY: u64 = 86_400 * SECOND;

/// The last day of the year 9999 in Unix milliseconds: later ones have no four-digit spelling.
const LAST: u64 = 253_402_300_799_000;

const UNITS: &[(&[&str], u64)] = &[
    (&["s", "sec", "second", "seconds"], SECOND),
    (&["min", "minute", "minutes"], 60 * SECOND),
    (&["h", "hour", "hours"], 3600 * SECOND),
    (&["d", "day", "days"], DAY),
    (&["w", "week", "weeks"], 7 * DAY),
];

/// Unix milliseconds.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}

/// A moment that has passed: a distance counts back from now.
pub(crate) fn past(text: &str) -> anyhow::Result<u64> {
    moment(text, |distance| now().saturating_sub(distance))
}

/// A moment to come: a distance counts from now.
pub(crate) fn future(text: &str) -> anyhow::Result<u64> {
    let at = moment(text, |distance| now().saturating_add(distance))?;
    if at <= now() {
        bail!("`{text}` has passed already; write how long from now, such as `30d`, or a later date");
    }
    Ok(at)
}

fn moment(text: &str, of: impl FnOnce(u64) -> u64) -> anyhow::Result<u64> {
    let text = text.trim();
    if let Some(distance) = length(text) {
        return Ok(of(distance));
    }
    date(text).with_context(|| {
        format!("`{text}` is no time; write a distance such as `7d`, `12h` or `30min`, or a date such as `2026-12-31`")
    })
}

/// `7d`, `12 hours`: milliseconds.
pub(crate) fn length(text: &str) -> Option<u64> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(split);
    let unit = unit.trim().to_ascii_lowercase();
    let (_, scale) = UNITS.iter().find(|(names, _)| names.contains(&unit.as_str()))?;
    number.parse::<u64>().ok()?.checked_mul(*scale)
}

/// `2026-12-31`, `2026-12-31T18:00`, `2026-12-31 18:00:30Z`, in UTC.
fn date(text: &str) -> Option<u64> {
    let (day, clock) = text.split_once(['T', ' ']).unwrap_or((text, "00:00"));
    let clock = clock.strip_suffix('Z').unwrap_or(clock);
    let number = |text: &str, digits: usize| {
        let plain = text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
        if plain { text.parse::<u64>().ok() } else { None }
    };
    let mut fields = day.split('-');
    let (year, month, day) = (number(fields.next()?, 4)?, number(fields.next()?, 2)?, number(fields.next()?, 2)?);
    let mut clock = clock.split(':');
    let (hour, minute) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    let second = clock.next().map_or(Some(0), |text| number(text, 2))?;
    if fields.next().is_some() || clock.next().is_some() || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    if year < 1970 || !(1..=12).contains(&month) {
        return None;
    }
    let days = days_before(year, month) + day.checked_sub(1)?;
    // A day that the month does not have comes out as another one.
    if civil(days) != (year, month, day) {
        return None;
    }
    Some(days * DAY + (hour * 3600 + minute * 60 + second) * SECOND)
}

/// Days from 1970-01-01 to the first of a month.
fn days_before(year: u64, month: u64) -> u64 {
    let leaps = |year: u64| year / 4 - year / 100 + year / 400;
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let month_days = usize::try_from(month - 1).ok().and_then(|at| before.get(at)).copied().unwrap_or(0);
    let leap_day = u64::from(month > 2 && leaps(year) != leaps(year - 1));
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969) + month_days + leap_day
}

/// Year, month and day of a number of days since 1970-01-01.
fn civil(days: u64) -> (u64, u64, u64) {
    // The mean year is a little longer than 365 days, so the guess is never too small by more than one.
    let mut year = 1970 + days / 366;
    while days_before(year + 1, 1) <= days {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| days_before(year, *month) <= days).unwrap_or(1);
    (year, month, days - days_before(year, month) + 1)
}

/// `2026-12-31T18:00:00Z` (ISO 8601).
pub(crate) fn iso(at_ms: u64) -> String {
    let at = at_ms.min(LAST);
    let (year, month, day) = civil(at / DAY);
    let seconds = at % DAY / SECOND;
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `2026-12-31 18:00 UTC`, for people.
pub(crate) fn utc(at_ms: u64) -> String {
    let text = iso(at_ms);
    format!("{} {} UTC", text.get(..10).unwrap_or_default(), text.get(11..16).unwrap_or_default())
}

/// Unix milliseconds as a distance from now: `3 min ago`, `in 12 s`. People compare it with a clock they have.
pub(crate) fn distance(at_ms: i64) -> String {
    between(at_ms, i64::try_from(now()).unwrap_or(i64::MAX))
}

fn between(at_ms: i64, now_ms: i64) -> String {
    let seconds = at_ms.saturating_sub(now_ms) / 1000;
    let (number, unit) = match seconds.unsigned_abs() {
        s @ 0..=89 => (s, "s"),
        s @ 90..=5399 => (s / 60, "min"),
        s @ 5400..=129_599 => (s / 3600, "h"),
        s => (s / 86_400, "days"),
    };
    match seconds {
        0 => "now".to_owned(),
        1.. => format!("in {number} {unit}"),
        _ => format!("{number} {unit} ago"),
    }
}

#[cfg(test)]
mod tests;
