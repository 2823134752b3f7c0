//! `entresol bridge install`: the manifest by which a browser finds the relay, and the script that it starts. Manifests
//! have no arguments, so the script says which wallet it is.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use entresol_api::site::EXTENSION_ID;
use entresol_durable::{create_private_dir, write_file_atomically, write_point};
use serde_json::{Value as Json, json};

use super::{FIREFOX_ID, NATIVE_HOST};
use crate::cli::{Browser, Install};
use crate::context::{Context, NoWallet};

/// The script's name in the wallet's home.
const SCRIPT: &str = "bridge.sh";

pub(super) fn install(context: &Context, args: &Install) -> anyhow::Result<()> {
    let home = context.home.path();
    if !context.home.keystore().exists() {
        bail!(NoWallet(home.to_owned()));
    }
    let folder = match &args.user_data_dir {
        Some(_) if args.browser == Browser::Firefox => {
            bail!("Firefox looks in one place only, whatever profile it runs; leave --user-data-dir out")
        }
        Some(dir) => std::path::absolute(dir)?.join("NativeMessagingHosts"),
        None => folder(args.browser, |name| std::env::var_os(name).map(PathBuf::from), cfg!(target_os = "macos"))
            .context("there is no place for browsers' settings: HOME is not set")?,
    };
    let program = std::env::current_exe().context("cannot find where this program is")?;
    let script = home.join(SCRIPT);
    let text = script_text(&program, home);
    write_point!("entresol.bridge_script.write", write_file_atomically(&script, &text, true))
        .with_context(|| format!("cannot write {}", script.display()))?;
    create_private_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{NATIVE_HOST}.json"));
    let text = format!("{:#}\n", manifest(args.browser, &script)?);
    write_point!("entresol.bridge_manifest.write", write_file_atomically(&path, text.as_bytes(), false))
        .with_context(|| format!("cannot write {}", path.display()))?;
    context.out.either(&json!({ "manifest": path, "script": script }), |_| {
        format!(
            "Installed: {}\nIt starts {}, which names this program: install again when the program has moved.\nNow load \
             the extension in the browser, open its window, and confirm the code it shows: `entresol bridge pair CODE`.",
            path.display(),
            script.display()
        )
    })
}

/// Where a browser looks for native messaging hosts of this user.
fn folder(browser: Browser, variable: impl Fn(&str) -> Option<PathBuf>, mac: bool) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let home = absolute("HOME")?;
    if mac {
        let place = match browser {
            Browser::Chromium => "Chromium/NativeMessagingHosts",
            Browser::Chrome => "Google/Chrome/NativeMessagingHosts",
            Browser::Brave => "BraveSoftware/Brave-Browser/NativeMessagingHosts",
            Browser::Edge => "Microsoft Edge/NativeMessagingHosts",
            Browser::Firefox => "Mozilla/NativeMessagingHosts",
        };
        return Some(home.join("Library/Application Support").join(place));
    }
    let place = match browser {
        Browser::Chromium => "chromium",
        Browser::Chrome => "google-chrome",
        Browser::Brave => "BraveSoftware/Brave-Browser",
        Browser::Edge => "microsoft-edge",
        Browser::Firefox => return Some(home.join(".mozilla/native-messaging-hosts")),
    };
    let config = absolute("XDG_CONFIG_HOME").unwrap_or_else(|| home.join(".config"));
    Some(config.join(place).join("NativeMessagingHosts"))
}

fn manifest(browser: Browser, script: &Path) -> anyhow::Result<Json> {
    let path = script.to_str().context("the wallet's home has a name that is no text; choose another --home")?;
    let mut manifest = json!({
        "name": NATIVE_HOST,
        "description": "Entresol: between the browser extension and the wallet",
        "path": path,
        "type": "stdio",
    });
    let (field, who) = match browser {
        Browser::Firefox => ("allowed_extensions", FIREFOX_ID.to_owned()),
        _ => ("allowed_origins", format!("chrome-extension://{EXTENSION_ID}/")),
    };
    manifest[field] = json!([who]);
    Ok(manifest)
}

fn script_text(program: &Path, home: &Path) -> Vec<u8> {
    let mut text =
        b"#!/bin/sh\n# Made by `entresol bridge install`: a browser's manifest has no arguments.\nexec ".to_vec();
    quote(program, &mut text);
    text.extend(b" --home ");
    quote(home, &mut text);
    text.extend(b" bridge \"$@\"\n");
    text
}

/// One word for the shell, whatever is in it.
fn quote(path: &Path, text: &mut Vec<u8>) {
    text.push(b'\'');
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'\'' => text.extend(b"'\\''"),
            other => text.push(*other),
        }
    }
    text.push(b'\'');
}

#[cfg(test)]
mod tests;
