//! Secrets come from a prompt, or from a file that is named; never from the command line or the environment itself,
//! which other processes and shell histories can read.

use std::io::IsTerminal;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, bail};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroize;

/// A shorter passphrase is guessed offline in spite of Argon2id once somebody has the keystore file.
const SHORTEST_PASSPHRASE: usize = 8;

/// Longest secret file: a phrase of 24 words is about 220 bytes.
const LONGEST: u64 = 4096;

/// Where a passphrase comes from when nobody can be asked.
pub(crate) const PASSPHRASE_OPTION: &str = "--passphrase-file FILE, or name the file in ENTRESOL_PASSPHRASE_FILE";

/// Reads a secret from a file, without its last line break.
pub(crate) fn from_file(path: &Path) -> anyhow::Result<SecretString> {
    let shown = path.display();
    let metadata = std::fs::metadata(path).with_context(|| format!("cannot read {shown}; check the path"))?;
    let mode = metadata.permissions().mode() & 0o777;
    // A pipe (`<(pass show wallet)`) is read by its owner alone whatever its mode says.
    if metadata.is_file() && mode & 0o077 != 0 {
        bail!("{shown} can be read by other users (mode {mode:o}); run `chmod 600 {shown}`");
    }
    if metadata.len() > LONGEST {
        bail!("{shown} is too long for a passphrase or phrase; name the right file");
    }
    let mut text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown} as text"))?;
    let secret = SecretString::from(text.strip_suffix('\n').unwrap_or(&text).trim_end_matches('\r'));
    text.zeroize();
    if secret.expose_secret().is_empty() {
        bail!("{shown} is empty; write the secret into its first line");
    }
    Ok(secret)
}

/// The passphrase: from `file`, else asked for on the terminal.
pub(crate) fn passphrase(file: Option<&Path>, question: &str) -> anyhow::Result<SecretString> {
    match file {
        Some(file) => from_file(file),
        None => prompt(question, PASSPHRASE_OPTION),
    }
}

/// A new passphrase: asked for twice, and not too short. `instead` is what to give where nobody can be asked.
pub(crate) fn new_passphrase(file: Option<&Path>, instead: &str) -> anyhow::Result<SecretString> {
    let passphrase = match file {
        Some(file) => from_file(file)?,
        None => prompt("New passphrase: ", instead)?,
    };
    if passphrase.expose_secret().chars().count() < SHORTEST_PASSPHRASE {
        bail!("the passphrase is too short; use at least {SHORTEST_PASSPHRASE} characters");
    }
    if file.is_none() {
        let again = prompt("The same again: ", instead)?;
        if again.expose_secret() != passphrase.expose_secret() {
            bail!("the two passphrases differ; try again");
        }
    }
    Ok(passphrase)
}

/// Asks on the terminal without showing what is typed; `instead` is what to give where there is none.
pub(crate) fn prompt(question: &str, instead: &str) -> anyhow::Result<SecretString> {
    if !std::io::stdin().is_terminal() {
        bail!("a secret is needed and there is no terminal to ask on; give {instead}");
    }
    let text = rpassword::prompt_password(question).context("cannot read the secret from the terminal")?;
    Ok(SecretString::from(text))
}

#[cfg(test)]
mod tests;
