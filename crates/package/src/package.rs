//! A plugin package in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use entresol_durable::{create_private_dir, write_file_atomically, write_point};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha512};

use crate::manifest::{ASSET_LIMIT, Manifest, ManifestError, PackagePath};
use crate::registry::{Registry, RegistryError, is_exact_version, is_valid_name};
use crate::tarball::{self, Limits, TarballError};
use crate::{Integrity, IntegrityError};

/// Largest tarball of a plugin, packed.
const TARBALL_LIMIT: u64 = 16 << 20;

/// Largest main file: it must fit into the sandbox's memory several times over.
const MAIN_LIMIT: u64 = 8 << 20;

/// Largest `package.json` and icon.
const SMALL_FILE_LIMIT: u64 = 1 << 20;

/// Scripts that npm runs when a package is installed. Nothing of a plugin may want to run on the bare machine.
const INSTALL_SCRIPTS: [&str; 6] =
    ["preinstall", "install", "postinstall", "preuninstall", "uninstall", "postuninstall"];

/// Fields of `package.json` that would need other packages at run time.
const DEPENDENCIES: [&str; 5] =
    ["dependencies", "optionalDependencies", "peerDependencies", "bundledDependencies", "bundleDependencies"];

/// How the main file is to be evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ModuleKind {
    /// `import`/`export`: `.mjs`, or `.js` with `"type": "module"`.
    EsModule,
    /// `module.exports`: `.cjs`, or `.js` otherwise.
    CommonJs,
}

/// A plugin package that has passed every check: valid manifest, no install scripts, no dependencies, main file there.
#[derive(Clone, Debug)]
pub struct Package {
    /// npm name.
    pub name: String,
    /// Exact version.
    pub version: String,
    /// The `"layer2"` block.
    pub manifest: Manifest,
    /// Text of the main file.
    pub main: String,
    /// Its path, for stack traces.
    pub main_path: PackagePath,
    /// How to evaluate it.
    pub kind: ModuleKind,
    /// Digest of [`files`](Self::files): what an installation pins. The same for a folder and for the tarball made of
    /// it, whatever else lies in them.
    pub sha512: Integrity,
    /// The npm tarball's own digest, when it came as one.
    pub tarball: Option<Integrity>,
    /// The files that are kept: `package.json`, the main file, the icon, assets with a path. Nothing else of a package is ever read.
    pub files: BTreeMap<PackagePath, Vec<u8>>,
}

/// A package that is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// `package.json` asks for something that is not granted to anybody, or is malformed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The archive is hostile or damaged.
    #[error(transparent)]
    Tarball(#[from] TarballError),
    /// It cannot be fetched.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Other bytes than pinned.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
    /// A file that should be there is not.
    #[error("the package has no {0}")]
    Missing(PackagePath),
    /// A link or device in a folder.
    #[error("{path} is no plain file (a link, perhaps); packages hold plain files only", path = .0.display())]
    NotAFile(PathBuf),
    /// A file larger than a plugin's may be.
    #[error("{file} is larger than {limit} bytes")]
    TooLarge {
        /// Which.
        file: PackagePath,
        /// The limit.
        limit: u64,
    },
    /// Text that is none.
    #[error("{0} is not UTF-8 text")]
    NotText(PackagePath),
    /// Neither a folder nor a tarball.
    #[error("{path} is neither a folder with a package.json nor a .tgz file", path = .0.display())]
    NotAPackage(PathBuf),
    /// The file system refused.
    #[error("{path} cannot be read or written", path = .path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// The fields of `package.json` that are read; others are the publisher's own business.
struct PackageJson {
    name: String,
    version: String,
    main: PackagePath,
    kind: ModuleKind,
    manifest: Manifest,
}

impl Package {
    /// Reads a folder or a `.tgz` file, whichever `path` is.
    ///
    /// # Errors
    /// [`PackageError`] names the field or file.
    pub fn load(path: &Path) -> Result<Self, PackageError> {
        let metadata = fs::metadata(path).map_err(|source| PackageError::Io { path: path.to_owned(), source })?;
        if metadata.is_dir() {
            return Self::load_folder(path);
        }
        if metadata.is_file() && metadata.len() <= TARBALL_LIMIT {
            let bytes = fs::read(path).map_err(|source| PackageError::Io { path: path.to_owned(), source })?;
            return Self::load_tarball(&bytes);
        }
        Err(PackageError::NotAPackage(path.to_owned()))
    }

    /// Reads a folder. Only the files that the manifest names are opened, and none through a link.
    ///
    /// # Errors
    /// [`PackageError`] names the field or file.
    pub fn load_folder(folder: &Path) -> Result<Self, PackageError> {
        if !folder.join("package.json").exists() {
            return Err(PackageError::NotAPackage(folder.to_owned()));
        }
        Self::assemble(None, |path, limit| read_plain_file(folder, path, limit))
    }

    /// Reads a `.tgz` archive as `npm pack` makes it.
    ///
    /// # Errors
    /// [`PackageError`]; see [`tarball::read`] for what is refused in an archive.
    pub fn load_tarball(archive: &[u8]) -> Result<Self, PackageError> {
        let mut files = tarball::read(archive, Limits::PLUGIN)?;
        Self::assemble(Some(Integrity::of(archive)), |path, limit| {
            let bytes = files.remove(path).ok_or_else(|| PackageError::Missing(path.clone()))?;
            if bytes.len() as u64 > limit {
                return Err(PackageError::TooLarge { file: path.clone(), limit });
            }
            Ok(bytes)
        })
    }

    /// Fetches one exact version from the registry and reads it; name and version inside must be the ones asked for.
    ///
    /// # Errors
    /// [`PackageError`].
    pub async fn fetch(
        registry: &Registry,
        name: &str,
        version: &str,
        pinned: Option<&Integrity>,
    ) -> Result<Self, PackageError> {
        let fetched = registry.fetch(name, version, pinned, TARBALL_LIMIT, |_, _| {}).await?;
        let package = Self::load_tarball(&fetched.bytes)?;
        for (field, asked, found) in [("name", name, &package.name), ("version", version, &package.version)] {
            if asked != found {
                let problem = format!("is {found:?}, but {asked:?} was asked for");
                return Err(ManifestError::new(field, problem).into());
            }
        }
        Ok(package)
    }

    /// Keeps a copy of what was approved below `directory`, in a folder named by its digest, and gives that folder.
    /// `package.json` is written last: a folder without it is an unfinished copy and is written again.
    ///
    /// # Errors
    /// [`PackageError::Io`].
    pub fn store_into(&self, directory: &Path) -> Result<PathBuf, PackageError> {
        // 128 bits of the digest: enough to name it; the whole digest is checked when it is read.
        let folder = directory.join(&self.sha512.to_hex()[..32]);
        if Self::load_stored(&folder, &self.sha512).is_ok() {
            return Ok(folder);
        }
        let (last, first): (Vec<_>, Vec<_>) = self.files.iter().partition(|(path, _)| is_package_json(path));
        for (path, bytes) in first.into_iter().chain(last) {
            let target = folder.join(path.as_str());
            let write = || {
                target.parent().map_or(Ok(()), create_private_dir)?;
                write_point!("package.tarball.write", write_file_atomically(&target, bytes, false))
            };
            write().map_err(|source| PackageError::Io { path: target.clone(), source })?;
        }
        Ok(folder)
    }

    /// Reads a copy that [`store_into`](Self::store_into) made, checking it against the pinned digest.
    ///
    /// # Errors
    /// [`PackageError::Integrity`] when a byte has changed since.
    pub fn load_stored(folder: &Path, pinned: &Integrity) -> Result<Self, PackageError> {
        let package = Self::load_folder(folder)?;
        if package.sha512 != *pinned {
            let what = format!("the stored copy of {} {}", package.name, package.version);
            let (expected, found) = (Box::new(pinned.clone()), Box::new(package.sha512));
            return Err(IntegrityError::Mismatch { what, expected, found }.into());
        }
        Ok(package)
    }

    fn assemble(
        tarball: Option<Integrity>,
        mut read: impl FnMut(&PackagePath, u64) -> Result<Vec<u8>, PackageError>,
    ) -> Result<Self, PackageError> {
        let own_path = package_json_path()?;
        let json = read(&own_path, SMALL_FILE_LIMIT)?;
        let read_json = PackageJson::parse(&json)?;
        let main_bytes = read(&read_json.main, MAIN_LIMIT)?;
        let main = String::from_utf8(main_bytes.clone()).map_err(|_| PackageError::NotText(read_json.main.clone()))?;
        let mut files = BTreeMap::from([(own_path, json), (read_json.main.clone(), main_bytes)]);
        if let Some(icon) = &read_json.manifest.icon
            && !files.contains_key(icon)
        {
            files.insert(icon.clone(), read(icon, SMALL_FILE_LIMIT)?);
        }
        for asset in &read_json.manifest.assets {
            let Some(path) = &asset.path else { continue };
            if !files.contains_key(path) {
                files.insert(path.clone(), read(path, ASSET_LIMIT)?);
            }
            asset.check(&files[path])?;
        }
        Ok(Self {
            name: read_json.name,
            version: read_json.version,
            manifest: read_json.manifest,
            main,
            main_path: read_json.main,
            kind: read_json.kind,
            sha512: digest(&files),
            tarball,
            files,
        })
    }
}

impl PackageJson {
    fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let json: Value = serde_json::from_slice(bytes)
            .map_err(|error| ManifestError::new("the file", format!("is no JSON: {error}")))?;
        let Value::Object(fields) = &json else {
            return Err(ManifestError::new("the file", "is no JSON object"));
        };
        let text = |field: &str| match fields.get(field) {
            Some(Value::String(text)) => Ok(text.as_str()),
            Some(_) => Err(ManifestError::new(field, "is no text")),
            None => Err(ManifestError::new(field, "is missing")),
        };
        let name = text("name")?;
        if !is_valid_name(name) {
            return Err(ManifestError::new("name", format!("{name:?} is no npm package name")));
        }
        let version = text("version")?;
        if !is_exact_version(version) {
            return Err(ManifestError::new("version", format!("{version:?} is no version such as 1.2.3")));
        }
        for script in INSTALL_SCRIPTS {
            if fields.get("scripts").and_then(|scripts| scripts.get(script)).is_some() {
                let problem = "install scripts are refused: a plugin only runs in the sandbox";
                return Err(ManifestError::new(format!("scripts.{script}"), problem));
            }
        }
        if fields.get("gypfile").is_some_and(|flag| *flag != Value::Bool(false)) {
            return Err(ManifestError::new("gypfile", "native code is refused: a plugin only runs in the sandbox"));
        }
        for field in DEPENDENCIES {
            let empty = match fields.get(field) {
                None | Some(Value::Null | Value::Bool(false)) => true,
                Some(Value::Object(entries)) => entries.is_empty(),
                Some(Value::Array(entries)) => entries.is_empty(),
                Some(_) => false,
            };
            if !empty {
                let problem = "packages needed at run time are refused: bundle them into the main file";
                return Err(ManifestError::new(field, problem));
            }
        }
        let main: PackagePath = if fields.contains_key("main") { text("main")? } else { "index.js" }
            .parse()
            .map_err(|problem: String| ManifestError::new("main", problem))?;
        let is_module = match fields.get("type") {
            None => false,
            Some(Value::String(kind)) if kind == "module" => true,
            Some(Value::String(kind)) if kind == "commonjs" => false,
            Some(_) => return Err(ManifestError::new("type", "is neither \"module\" nor \"commonjs\"")),
        };
        let kind = match main.as_str().rsplit_once('.').map(|(_, extension)| extension) {
            Some("mjs") => ModuleKind::EsModule,
            Some("cjs") => ModuleKind::CommonJs,
            Some("js") if is_module => ModuleKind::EsModule,
            Some("js") => ModuleKind::CommonJs,
            _ => return Err(ManifestError::new("main", format!("{main} is no .js, .mjs or .cjs file"))),
        };
        let block = fields.get("layer2").ok_or_else(|| {
            ManifestError::new("layer2", "is missing: this package is no plugin (see \"The package\" in the docs)")
        })?;
        let manifest = Manifest::from_json(block)?;
        Ok(Self { name: name.to_owned(), version: version.to_owned(), main, kind, manifest })
    }
}

/// Digest of the kept files, each with its path and both with their lengths, so that no two sets collide.
fn digest(files: &BTreeMap<PackagePath, Vec<u8>>) -> Integrity {
    let mut hasher = Sha512::new();
    hasher.update(b"entresol package v1\n");
    for (path, bytes) in files {
        for part in [path.as_str().as_bytes(), bytes] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
    }
    Integrity::from_digest(hasher.finalize().into())
}

fn package_json_path() -> Result<PackagePath, ManifestError> {
    "package.json".parse().map_err(|problem: String| ManifestError::new("package.json", problem))
}

fn is_package_json(path: &PackagePath) -> bool {
    path.as_str() == "package.json"
}

/// Reads `path` below `folder`, following no link on the way.
fn read_plain_file(folder: &Path, path: &PackagePath, limit: u64) -> Result<Vec<u8>, PackageError> {
    let mut full = folder.to_owned();
    for part in path.as_str().split('/') {
        full.push(part);
        match fs::symlink_metadata(&full) {
            Ok(metadata) if metadata.is_symlink() => return Err(PackageError::NotAFile(full)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(PackageError::Missing(path.clone())),
            Err(source) => return Err(PackageError::Io { path: full, source }),
        }
    }
    let io = |source| PackageError::Io { path: full.clone(), source };
    let file = fs::File::open(&full).map_err(io)?;
    if !file.metadata().map_err(io)?.is_file() {
        return Err(PackageError::NotAFile(full));
    }
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(PackageError::TooLarge { file: path.clone(), limit });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
