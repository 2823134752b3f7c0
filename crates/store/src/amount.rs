//! Sums of decimal amounts. The store does no other arithmetic with them, so it needs no big-number library.

use crate::StoreError;

/// Digits of the greatest 256-bit number.
const MAX_DIGITS: usize = 78;

/// Refuses what is not a decimal number of at most 78 digits.
pub(crate) fn check(text: &str) -> Result<(), StoreError> {
    let fits = (1..=MAX_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    if fits { Ok(()) } else { Err(StoreError::BadAmount { amount: text.to_owned() }) }
}

/// A sum, least significant digit first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Amount {
    digits: Vec<u8>,
}

impl Amount {
    /// Adds a decimal number.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), StoreError> {
        check(text)?;
        let mut carry = 0;
        let mut position = 0;
        let mut rest = text.bytes().rev();
        loop {
            let digit = rest.next();
            if digit.is_none() && carry == 0 {
                return Ok(());
            }
            if position == self.digits.len() {
                self.digits.push(0);
            }
            let sum = self.digits[position] + digit.map_or(0, |digit| digit - b'0') + carry;
            self.digits[position] = sum % 10;
            carry = sum / 10;
            position += 1;
        }
    }
}

impl std::fmt::Display for Amount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let digits: String = self.digits.iter().rev().map(|digit| char::from(digit + b'0')).collect();
        let digits = digits.trim_start_matches('0');
        f.write_str(if digits.is_empty() { "0" } else { digits })
    }
}

#[cfg(test)]
mod tests;
