//! Plugin packages: what is in them, where they come from, and that they are what was approved.
//!
//! - [`manifest`]: the `"layer2"` block of a plugin's `package.json`, typed and validated.
//! - [`Package`]: a plugin read from a folder, a tarball or the registry. Only the files that the manifest names are
//!   kept; their digest is what an installation pins.
//! - [`tarball`]: archives read entry by entry, never unpacked by somebody else's rules.
//! - [`registry`]: an npm registry client that finds its address, credentials, certificates and proxies where npm does.
//! - [`anvil`]: the layer-1 node for development, fetched with a pinned hash.
//!
//! Nothing in a package runs here: install scripts are refused and the main file is only read.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests write files of their own"))]

pub mod anvil;
mod cache;
mod integrity;
pub mod manifest;
mod package;
pub mod registry;
pub mod tarball;

pub use cache::default_cache_dir;
pub use integrity::{Integrity, IntegrityError};
pub use manifest::{Manifest, ManifestError, Permission};
pub use package::{ModuleKind, Package, PackageError};
pub use registry::{Registry, RegistryError};
