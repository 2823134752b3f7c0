//! Files that a plugin's computations run: WebAssembly beside the script.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{ByteSize, ManifestError, PackagePath, values};

/// Largest asset. The sandbox takes no larger one: a compiler needs seconds for each megabyte.
pub const ASSET_LIMIT: u64 = 16 << 20;

/// Most bytes of all assets of a package. Those with a URL are fetched before the user has decided, so this is also what
/// a proposal can make the wallet fetch and keep.
pub const ASSETS_LIMIT: u64 = 64 << 20;

/// Longest name of an asset.
const NAME_LIMIT: usize = 48;

/// Least and most memory of one computation.
const MEMORY: std::ops::RangeInclusive<u64> = (1 << 20)..=(1 << 30);

/// Least and most processor time of one computation, in seconds.
const SECONDS: std::ops::RangeInclusive<u32> = 1..=600;

/// One entry of `"assets"`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Asset {
    /// What the script calls it.
    pub name: String,
    /// A file of the package; or `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PackagePath>,
    /// Where the wallet fetches it, once, when the solution is added; or `path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Digest of its bytes.
    pub sha256: AssetDigest,
    /// Its length in bytes, exactly.
    pub size: u64,
}

/// SHA-256 of an asset, 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AssetDigest([u8; 32]);

impl TryFrom<String> for AssetDigest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut digest = [0; 32];
        let lower = !text.bytes().any(|byte| byte.is_ascii_uppercase());
        match hex::decode_to_slice(&text, &mut digest) {
            Ok(()) if lower => Ok(Self(digest)),
            _ => Err("is no SHA-256: 64 lower-case hexadecimal digits, as sha256sum prints them".to_owned()),
        }
    }
}

impl From<AssetDigest> for String {
    fn from(digest: AssetDigest) -> Self {
        digest.to_string()
    }
}

impl std::fmt::Display for AssetDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Use of WebAssembly assets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Compute {
    /// Most memory of one computation.
    pub memory: ByteSize,
    /// Most processor time of one computation.
    pub seconds: u32,
}

impl Asset {
    /// Compares bytes with what the manifest says of them.
    ///
    /// # Errors
    /// [`ManifestError`] names the field that does not fit, and what would.
    pub fn check(&self, bytes: &[u8]) -> Result<(), ManifestError> {
        let field = |name: &str| format!("layer2.assets.{}.{name}", self.name);
        if bytes.len() as u64 != self.size {
            let problem = format!("is {}, but the file has {} bytes", self.size, bytes.len());
            return Err(ManifestError::new(field("size"), problem));
        }
        let found = AssetDigest(Sha256::digest(bytes).into());
        if found != self.sha256 {
            let problem = format!("is {}, but the file's is {found}", self.sha256);
            return Err(ManifestError::new(field("sha256"), problem));
        }
        Ok(())
    }

    fn validate(&self, field: &str) -> Result<(), ManifestError> {
        values::check_text(&format!("{field}.name"), &self.name, 1, NAME_LIMIT)?;
        if !(1..=ASSET_LIMIT).contains(&self.size) {
            let problem = format!("{} is not between 1 and {ASSET_LIMIT} bytes", self.size);
            return Err(ManifestError::new(format!("{field}.size"), problem));
        }
        match (&self.path, &self.url) {
            (Some(_), None) => Ok(()),
            (None, Some(url)) => {
                let field = format!("{field}.url");
                values::check_url(&field, url)?;
                if url.starts_with("ws") {
                    return Err(ManifestError::new(field, format!("{url:?} is not an http or https URL")));
                }
                Ok(())
            }
            _ => Err(ManifestError::new(field, "needs either a path or a url")),
        }
    }
}

impl Compute {
    pub(super) fn validate(&self, field: &str) -> Result<(), ManifestError> {
        if !MEMORY.contains(&self.memory.bytes()) {
            let (least, most) = (ByteSize::new(*MEMORY.start()), ByteSize::new(*MEMORY.end()));
            let problem = format!("{} is not between {least} and {most}", self.memory);
            return Err(ManifestError::new(format!("{field}.memory"), problem));
        }
        if !SECONDS.contains(&self.seconds) {
            let problem = format!("{} is not between {} and {}", self.seconds, SECONDS.start(), SECONDS.end());
            return Err(ManifestError::new(format!("{field}.seconds"), problem));
        }
        Ok(())
    }
}

/// The whole list; `compute` says whether anything may run them.
pub(super) fn validate(assets: &[Asset], compute: Option<Compute>) -> Result<(), ManifestError> {
    values::check_count("layer2.assets", assets.len())?;
    for (index, asset) in assets.iter().enumerate() {
        let field = format!("layer2.assets[{index}]");
        asset.validate(&field)?;
        if assets[..index].iter().any(|other| other.name == asset.name) {
            return Err(ManifestError::new(format!("{field}.name"), format!("{:?} stands twice", asset.name)));
        }
    }
    let all: u64 = assets.iter().map(|asset| asset.size).sum();
    if all > ASSETS_LIMIT {
        let problem = format!("have {all} bytes together; the most is {ASSETS_LIMIT}");
        return Err(ManifestError::new("layer2.assets", problem));
    }
    match (assets.is_empty(), compute) {
        (false, None) => Err(ManifestError::new("layer2.assets", "are of no use without layer2.permissions.compute")),
        (true, Some(_)) => Err(ManifestError::new("layer2.permissions.compute", "is of no use without layer2.assets")),
        _ => Ok(()),
    }
}
