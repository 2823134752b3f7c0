//! EIP-4361, Sign-In with Ethereum: the message read by its whole grammar, and the checks that keep a sign-in for one
//! site from being signed for another. Pure: the time comes in.

use crate::error::HostError;
use crate::messages::Row;
use crate::text::{clean, quoted, row};
use alloy::primitives::Address;
use serde::{Deserialize, Serialize};

/// Words of every sign-in message.
const WORDS: &str = " wants you to sign in with your Ethereum account:";
/// Most resources that are read.
const MAX_RESOURCES: usize = 64;
/// Longest message that is read, in bytes; those of sites have less than one KiB.
const MAX_MESSAGE: usize = 16 << 10;
/// A message issued further in the future than this is noted: clocks differ by less.
const CLOCK_SKEW_MS: u64 = 5 * 60 * 1000;

/// A sign-in message, every field as it stands there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Message {
    /// `https`, where stated.
    pub scheme: Option<String>,
    /// RFC 3986 authority that asks: host, and port where stated.
    pub domain: String,
    /// Who signs in.
    pub address: Address,
    /// The site's words.
    pub statement: Option<String>,
    /// RFC 3986 URI that is signed in to.
    pub uri: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// At least eight letters and digits.
    pub nonce: String,
    /// Unix milliseconds.
    pub issued_at: u64,
    /// Unix milliseconds.
    pub expiration_time: Option<u64>,
    /// Unix milliseconds.
    pub not_before: Option<u64>,
    /// The site's own id.
    pub request_id: Option<String>,
    /// URIs that belong to it.
    pub resources: Vec<String>,
}

/// Who asks, and for which account: what a sign-in must agree with.
#[derive(Clone, Debug)]
pub struct Expected<'a> {
    /// The caller's origin, such as `https://app.example:8443`; never what the page says of itself.
    pub origin: &'a str,
    /// The account that would sign.
    pub address: Address,
    /// The chain the caller is connected to.
    pub chain_id: u64,
    /// Unix milliseconds.
    pub now: u64,
}

/// True for a text that a person, or a careless server, could take for a sign-in. What is that and does not
/// [parse](Message::parse) is refused for callers.
#[must_use]
pub fn looks_like_siwe(text: &str) -> bool {
    let plain: String =
        text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).take(MAX_MESSAGE).collect();
    plain.contains("wantsyoutosigninwithyour") || plain.contains("signinwithyourethereumaccount")
}

impl Message {
    /// Reads a message by the grammar of EIP-4361.
    ///
    /// # Errors
    /// Names the line that does not fit.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        read(text).map_err(|why| HostError::invalid(format!("this is no sign-in message of EIP-4361: {why}")))
    }

    /// Checks the message against who asks.
    ///
    /// # Errors
    /// Another domain, scheme, account or chain than the caller's, or outside of its time: never signed (4100).
    pub fn check(&self, expected: &Expected<'_>) -> Result<Vec<String>, HostError> {
        let refuse = |why: String| Err(HostError::unauthorized(format!("sign-in refused: {why}")));
        let Some((scheme, domain)) = expected.origin.split_once("://") else {
            return refuse(format!("{} is no website's origin", quoted(expected.origin)));
        };
        if !self.domain.eq_ignore_ascii_case(domain) {
            return refuse(format!(
                "the message is for {}, but {} asks: somebody could sign in there as you",
                quoted(&self.domain),
                quoted(domain)
            ));
        }
        if let Some(stated) = &self.scheme
            && !stated.eq_ignore_ascii_case(scheme)
        {
            return refuse(format!("the message is for {stated}://, the site is {scheme}://"));
        }
        if self.address != expected.address {
            let (for_whom, signer) = (self.address.to_checksum(None), expected.address.to_checksum(None));
            return refuse(format!("the message is for the account {for_whom}, not for {signer}"));
        }
        if self.chain_id != expected.chain_id {
            return refuse(format!("the message is for chain {}, not for {}", self.chain_id, expected.chain_id));
        }
        if self.expiration_time.is_some_and(|end| end <= expected.now) {
            return refuse("the message has expired".to_owned());
        }
        if self.not_before.is_some_and(|start| start > expected.now) {
            return refuse("the message is not valid yet".to_owned());
        }
        Ok(self.warnings(expected))
    }

    fn warnings(&self, expected: &Expected<'_>) -> Vec<String> {
        let mut warnings = Vec::new();
        let host = url::Url::parse(&self.uri).ok().and_then(|url| url.host_str().map(str::to_ascii_lowercase));
        let own = self.domain.rsplit_once(':').map_or(self.domain.as_str(), |(host, _)| host).to_ascii_lowercase();
        if host.as_deref() != Some(own.as_str()) {
            warnings.push(format!("The sign-in is to {}, which is not the site that asks.", quoted(&self.uri)));
        }
        if self.issued_at > expected.now.saturating_add(CLOCK_SKEW_MS) {
            warnings.push("The message says that it was issued in the future.".to_owned());
        }
        if self.expiration_time.is_none() {
            warnings.push("The message never expires: who has the signature can use it until the site says no.".into());
        }
        if self.resources.iter().any(|uri| uri.to_ascii_lowercase().starts_with("urn:recap:")) {
            warnings.push(
                "The sign-in also grants capabilities (ERC-5573, in the resources): who has it can act for you.".into(),
            );
        }
        warnings
    }

    /// Every field for the approval.
    #[must_use]
    pub fn rows(&self) -> Vec<Row> {
        let scheme = self.scheme.as_ref().map(|scheme| format!("{scheme}://")).unwrap_or_default();
        let mut rows = vec![
            row("Signs in to", format!("{scheme}{}", clean(&self.domain, 255))),
            row("Account", self.address.to_checksum(None)),
            row("Chain", self.chain_id.to_string()),
            row("URI", clean(&self.uri, 2048)),
        ];
        if let Some(statement) = &self.statement {
            rows.push(row("The site says", quoted(statement)));
        }
        rows.push(row("Nonce", self.nonce.clone()));
        rows.push(row("Issued", time_text(self.issued_at)));
        rows.extend(self.not_before.map(|at| row("Valid from", time_text(at))));
        rows.push(row("Valid until", self.expiration_time.map_or_else(|| "for ever".to_owned(), time_text)));
        rows.extend(self.request_id.as_ref().map(|id| row("Request id", clean(id, 255))));
        rows.extend(self.resources.iter().map(|uri| row("Resource", clean(uri, 2048))));
        rows
    }
}

/// The lines of a message, one after the other.
struct Lines<'a> {
    rest: Option<&'a str>,
}

impl<'a> Lines<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest?;
        match rest.split_once('\n') {
            Some((line, after)) => {
                self.rest = Some(after);
                Some(line)
            }
            None => {
                self.rest = None;
                Some(rest)
            }
        }
    }

    fn peek(&self) -> Option<&'a str> {
        self.rest.map(|rest| rest.split('\n').next().unwrap_or_default())
    }

    fn field(&mut self, name: &str) -> Result<&'a str, String> {
        self.optional(name).ok_or_else(|| format!("the line {name:?} is missing, or not in its place"))
    }

    fn optional(&mut self, name: &str) -> Option<&'a str> {
        let value = self.peek()?.strip_prefix(name)?.strip_prefix(": ")?;
        self.next();
        Some(value)
    }
}

fn read(text: &str) -> Result<Message, String> {
    if text.len() > MAX_MESSAGE {
        return Err(format!("longer than {MAX_MESSAGE} bytes"));
    }
    let mut lines = Lines { rest: Some(text) };
    let first = lines.next().unwrap_or_default();
    let asker = first.strip_suffix(WORDS).ok_or("the first line is not the one of a sign-in")?;
    let (scheme, domain) = match asker.split_once("://") {
        Some((scheme, domain)) => (Some(scheme), domain),
        None => (None, asker),
    };
    if scheme.is_some_and(|scheme| !is_scheme(scheme)) {
        return Err(format!("the scheme {:?} is none", scheme.unwrap_or_default()));
    }
    if !is_authority(domain) {
        return Err(format!("the domain {domain:?} is no host with an optional port"));
    }
    let address = lines.next().unwrap_or_default();
    let address = Address::parse_checksummed(address, None)
        .map_err(|_| format!("the account {address:?} is no address with an EIP-55 checksum"))?;
    if lines.next() != Some("") {
        return Err("an empty line must follow the account".to_owned());
    }
    let statement = match lines.next() {
        Some("") => None,
        Some(statement) if statement.bytes().all(is_statement) => {
            if lines.next() != Some("") {
                return Err("an empty line must follow the statement, which is one line".to_owned());
            }
            Some(statement.to_owned())
        }
        _ => return Err("the statement has characters that it may not have".to_owned()),
    };
    let uri = lines.field("URI")?;
    if !is_uri(uri) {
        return Err(format!("URI: {uri:?} is none"));
    }
    if lines.field("Version")? != "1" {
        return Err("Version: only 1 is known".to_owned());
    }
    let chain = lines.field("Chain ID")?;
    let digits = !chain.is_empty() && chain.bytes().all(|b| b.is_ascii_digit());
    let chain_id = chain.parse().ok().filter(|_| digits).ok_or_else(|| format!("Chain ID: {chain:?} is no number"))?;
    let nonce = lines.field("Nonce")?;
    if nonce.len() < 8 || !nonce.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Err("Nonce: at least eight letters and digits".to_owned());
    }
    let time = |name: &str, text: &str| read_time(text).ok_or_else(|| format!("{name}: {text:?} is no RFC 3339 time"));
    let issued_at = time("Issued At", lines.field("Issued At")?)?;
    let mut optional_time = |name: &str| lines.optional(name).map(|text| time(name, text)).transpose();
    let expiration_time = optional_time("Expiration Time")?;
    let not_before = optional_time("Not Before")?;
    let request_id = lines.optional("Request ID").map(str::to_owned);
    if request_id.as_deref().is_some_and(|id| !id.bytes().all(is_pchar)) {
        return Err("Request ID: characters that it may not have".to_owned());
    }
    let mut resources = Vec::new();
    if lines.peek() == Some("Resources:") {
        lines.next();
        while let Some(line) = lines.next() {
            match line.strip_prefix("- ").filter(|uri| is_uri(uri)) {
                Some(uri) if resources.len() < MAX_RESOURCES => resources.push(uri.to_owned()),
                Some(_) => return Err(format!("Resources: more than {MAX_RESOURCES}")),
                None => return Err(format!("Resources: {line:?} is no `- ` with a URI")),
            }
        }
    }
    if let Some(line) = lines.next() {
        return Err(format!("{line:?} stands where nothing more may stand"));
    }
    Ok(Message {
        scheme: scheme.map(str::to_owned),
        domain: domain.to_owned(),
        address,
        statement,
        uri: uri.to_owned(),
        chain_id,
        nonce: nonce.to_owned(),
        issued_at,
        expiration_time,
        not_before,
        request_id,
        resources,
    })
}

/// RFC 3986 `scheme`.
fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

/// RFC 3986 `authority` without user information, which would let `a@b` pass for `a`.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match address {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(|b| is_unreserved(b) || is_sub_delim(b) || b == b'%'),
    };
    host_fits && port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()))
}

/// RFC 3986 `URI`: a scheme and after it only characters that a URI has.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    is_scheme(scheme)
        && !rest.is_empty()
        && rest.bytes().all(|b| is_unreserved(b) || is_reserved(b) || b == b'%')
        && percent_fits(rest)
}

fn percent_fits(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

const fn is_unreserved(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~')
}

const fn is_sub_delim(b: u8) -> bool {
    matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

const fn is_reserved(b: u8) -> bool {
    is_sub_delim(b) || matches!(b, b':' | b'/' | b'?' | b'#' | b'[' | b']' | b'@')
}

const fn is_statement(b: u8) -> bool {
    is_unreserved(b) || is_reserved(b) || b == b' '
}

const fn is_pchar(b: u8) -> bool {
    is_unreserved(b) || is_sub_delim(b) || matches!(b, b':' | b'@' | b'%')
}

/// An RFC 3339 `date-time` as Unix milliseconds; none for what is none, or before 1970.
#[must_use]
pub fn read_time(text: &str) -> Option<u64> {
    let bytes = text.as_bytes();
    if !text.is_ascii() || bytes.len() < 20 {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<i64>().ok())?
    };
    let marks = bytes[4] == b'-' && bytes[7] == b'-' && bytes[13] == b':' && bytes[16] == b':';
    if !marks || !matches!(bytes[10], b'T' | b't') {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    // 60 is a leap second.
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut millis = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let three: String = fraction.chars().take(length).chain("000".chars()).take(3).collect();
        millis = three.parse::<i64>().ok().filter(|_| length > 0)?;
        rest = fraction.get(length..)?;
    }
    let offset = match rest.as_bytes() {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let digits = |from: usize| rest.get(from..from + 2).filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
            let (hours, minutes) = (digits(1)?.parse::<i64>().ok()?, digits(4)?.parse::<i64>().ok()?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
        }
        _ => return None,
    };
    let seconds = days_from_civil(year, month, day) * 86_400 + hour * 3600 + (minute - offset) * 60 + second;
    u64::try_from(seconds * 1000 + millis).ok()
}

/// Unix milliseconds as RFC 3339 in UTC, to the second.
#[must_use]
pub fn time_text(millis: u64) -> String {
    let seconds = i64::try_from(millis / 1000).unwrap_or(i64::MAX);
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // Inverse of `days_from_civil` (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms").
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn days_in(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a Gregorian date (H. Hinnant, as above).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let shifted = (month + 9) % 12;
    let day_of_year = (153 * shifted + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests;
