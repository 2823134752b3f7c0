//! The compiled engine, kept on disk between runs. The one place of this workspace with `unsafe`.
//!
//! **Why.** Compiling the engine takes Cranelift about two seconds, loading the compiled image a fraction of a
//! millisecond. wasmtime offers the second only as `unsafe fn Module::deserialize`: the image is machine code that will
//! run in this process, and nothing in it is checked beyond its header.
//!
//! **Why it is sound here.** The image must be one that wasmtime itself made, and nobody else can have changed it:
//!
//! - It lies in a directory that belongs to this user with mode 0700; one that is a link, another user's, or open to
//!   anybody else is refused. Whoever can write there is this user, who can replace this very program as well.
//! - The file is read into memory once, its digest is checked over those bytes, and those bytes are loaded: a torn or
//!   rotten file is recompiled, and there is no moment between check and use.
//! - Its header names the engine's digest and wasmtime's own hash of version, settings and processor features; an image
//!   of another build is recompiled. wasmtime checks its part of this again.
//! - No script, package or message can name a file here: the only input is the directory of the daemon's own setting.
//!   A compiled asset's file is named by the digest of its WebAssembly, which the daemon computes, and its header names
//!   that digest again; what is loaded was made by this program's own Cranelift, never taken from a package.
//!
//! The digest has no key on purpose: a key would lie beside the file, readable by everybody who can write it.

use std::hash::{Hash, Hasher};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use entresol_durable::{create_private_dir, write_file_atomically, write_point};
use sha2::{Digest, Sha256};
use wasmtime::Module;

use crate::compute::ComputeError;
use crate::error::HostFault;

/// The engine, built by `cargo xtask engine` from sources named in `engine/README.md`.
pub(crate) const ENGINE: &[u8] = include_bytes!("../engine/engine.wasm");

const FILE: &str = "engine.cwasm";
const DIGEST: usize = 32;

/// Loads the compiled engine from `dir`, or compiles `code`, which is the engine without its memory, and puts it there.
pub(crate) fn load_or_compile(engine: &wasmtime::Engine, code: &[u8], dir: Option<&Path>) -> Result<Module, HostFault> {
    let Some(dir) = dir else {
        return compile(engine, code);
    };
    check_directory(dir)?;
    let path = dir.join(FILE);
    let key = key(engine);
    match load(engine, &path, &key) {
        Ok(module) => return Ok(module),
        Err(reason) => tracing::debug!(reason, "compiling the JavaScript engine"),
    }
    let module = compile(engine, code)?;
    store(&module, &path, &key)?;
    Ok(module)
}

fn compile(engine: &wasmtime::Engine, code: &[u8]) -> Result<Module, HostFault> {
    Module::from_binary(engine, code).map_err(|error| HostFault::Engine(format!("{error:#}")))
}

/// How many compiled assets are kept; the one that was compiled longest ago goes first. An asset is a few megabytes
/// of machine code, and a wallet has few plugins that bring one.
const MOST_ASSETS: usize = 32;
const ASSET_FILE: &str = "asset-";
const MODULE_FILE: &str = "module-";

/// Loads the compiled code of an asset (`compute.rs`) from `dir`, or compiles it and puts it there. What wasmtime does
/// not take as WebAssembly is the asset's mistake.
pub(crate) fn load_or_compile_asset(
    engine: &wasmtime::Engine,
    wasm: &[u8],
    sha256: &[u8; DIGEST],
    dir: Option<&Path>,
) -> Result<Module, ComputeError> {
    load_or_compile_kept(engine, wasm, sha256, dir, ASSET_FILE)
}

/// [`load_or_compile_asset`] for a module of a script (`webassembly.rs`), as it was rewritten. They are counted apart, so
/// that a script that compiles many takes no asset's place.
pub(crate) fn load_or_compile_module(
    engine: &wasmtime::Engine,
    wasm: &[u8],
    sha256: &[u8; DIGEST],
    dir: Option<&Path>,
) -> Result<Module, ComputeError> {
    load_or_compile_kept(engine, wasm, sha256, dir, MODULE_FILE)
}

fn load_or_compile_kept(
    engine: &wasmtime::Engine,
    wasm: &[u8],
    sha256: &[u8; DIGEST],
    dir: Option<&Path>,
    kind: &str,
) -> Result<Module, ComputeError> {
    let compile = || Module::from_binary(engine, wasm).map_err(|error| ComputeError::Refused(format!("{error:#}")));
    let Some(dir) = dir else {
        return compile();
    };
    check_directory(dir)?;
    let path = dir.join(format!("{kind}{}.cwasm", hex::encode(sha256)));
    let key = asset_key(engine, sha256);
    match load(engine, &path, &key) {
        Ok(module) => return Ok(module),
        Err(reason) => tracing::debug!(reason, kind, "compiling WebAssembly"),
    }
    let module = compile()?;
    store(&module, &path, &key)?;
    drop_oldest(dir, kind);
    Ok(module)
}

/// Keeps the number of compiled files of a kind bounded. What cannot be removed stays: it costs space, nothing else.
fn drop_oldest(dir: &Path, kind: &str) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    let mut assets: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(kind))
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    assets.sort();
    let surplus = assets.len().saturating_sub(MOST_ASSETS);
    for (_, path) in assets.into_iter().take(surplus) {
        #[allow(clippy::disallowed_methods, reason = "a cache: what is missing is compiled again")]
        let _ = std::fs::remove_file(path);
    }
}

fn store(module: &Module, path: &Path, key: &[u8; DIGEST]) -> Result<(), HostFault> {
    let image = module.serialize().map_err(|error| HostFault::Engine(format!("{error:#}")))?;
    let mut file = Vec::with_capacity(2 * DIGEST + image.len());
    file.extend_from_slice(key);
    file.extend_from_slice(&digest(key, &image));
    file.extend_from_slice(&image);
    match write_point!("sandbox.cache.write", write_file_atomically(path, &file, false)) {
        // The directory was there a moment ago: another thread of this process has put its own image in place, by the
        // same temporary name. If the two were mixed up, the digest says so at the next start.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        written => written.map_err(|error| HostFault::Cache { path: path.to_owned(), source: Arc::new(error) }),
    }
}

/// Refuses a directory that anybody but this user could have written to.
fn check_directory(dir: &Path) -> Result<(), HostFault> {
    let fault = |source| HostFault::Cache { path: PathBuf::from(dir), source: Arc::new(source) };
    create_private_dir(dir).map_err(fault)?;
    let found = std::fs::symlink_metadata(dir).map_err(fault)?;
    let refused = if !found.is_dir() {
        Some("it is not a directory")
    } else if found.uid() != rustix::process::geteuid().as_raw() {
        Some("it belongs to another user")
    } else if found.permissions().mode() & 0o077 != 0 {
        Some("others may use it: chmod 700")
    } else {
        None
    };
    refused.map_or(Ok(()), |reason| Err(fault(std::io::Error::other(reason))))
}

#[allow(unsafe_code, reason = "Module::deserialize; the reasons stand at the top of this file")]
fn load(engine: &wasmtime::Engine, path: &Path, key: &[u8; DIGEST]) -> Result<Module, String> {
    let file = std::fs::read(path).map_err(|error| error.to_string())?;
    let (found_key, rest) = file.split_at_checked(DIGEST).ok_or("the file is too short")?;
    let (found_digest, image) = rest.split_at_checked(DIGEST).ok_or("the file is too short")?;
    if found_key != key {
        return Err("it was compiled from another engine or for another build".to_owned());
    }
    if found_digest != digest(key, image) {
        return Err("the file is damaged".to_owned());
    }
    // SAFETY: the bytes came from `Module::serialize` of this build of wasmtime with these settings (key and digest
    // match) and lie in a directory that only this user can write to; see the top of the file.
    unsafe { Module::deserialize(engine, image) }.map_err(|error| format!("{error:#}"))
}

/// Which engine, compiled how. Another key means: compile again.
fn key(engine: &wasmtime::Engine) -> [u8; DIGEST] {
    let mut settings = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    let mut hasher = Sha256::new();
    hasher.update(b"entresol engine image 2");
    hasher.update(Sha256::digest(ENGINE));
    hasher.update(settings.finish().to_be_bytes());
    hasher.finalize().into()
}

/// Which asset, compiled how.
fn asset_key(engine: &wasmtime::Engine, sha256: &[u8; DIGEST]) -> [u8; DIGEST] {
    let mut settings = std::hash::DefaultHasher::new();
    engine.precompile_compatibility_hash().hash(&mut settings);
    let mut hasher = Sha256::new();
    hasher.update(b"entresol asset image 1");
    hasher.update(sha256);
    hasher.update(settings.finish().to_be_bytes());
    hasher.finalize().into()
}

fn digest(key: &[u8; DIGEST], image: &[u8]) -> [u8; DIGEST] {
    Sha256::new().chain_update(key).chain_update(image).finalize().into()
}

#[cfg(test)]
mod tests;
