//! Where assets lie: those with a path in the approved package, those with a URL beside the packages, once for all
//! solutions, named by their digest. Neither counts against a database quota.

use super::connections::{client_for, down};
use crate::backup::PACKAGES;
use crate::error::HostError;
use entresol_durable::{create_private_dir, write_file_atomically, write_point};
use entresol_package::manifest::Asset;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use url::Url;

/// Folder below that of the packages; no package's folder, which are named by 32 digits, can have this name.
const ASSETS: &str = "assets";

/// Longest wait for a whole asset: 16 MiB over a slow line.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Fetches every asset with a URL that is not there yet, and checks it. `own_hand`: private addresses may be used.
pub(crate) async fn fetch_assets(home: &Path, assets: &[Asset], own_hand: bool) -> Result<(), HostError> {
    for asset in assets {
        let Some(url) = &asset.url else { continue };
        let path = shared_path(home, asset);
        if read(&path, asset).is_ok() {
            continue;
        }
        let url: Url = url.parse().map_err(|e| HostError::invalid(format!("asset {:?}: {e}", asset.name)))?;
        let bytes = download(&url, asset.size, own_hand).await?;
        asset.check(&bytes).map_err(|e| HostError::invalid(e.to_string()))?;
        let write = || {
            path.parent().map_or(Ok(()), create_private_dir)?;
            write_point!("host.asset.write", write_file_atomically(&path, &bytes, false))
        };
        write().map_err(|e| HostError::internal(format!("asset {:?} cannot be kept: {e}", asset.name)))?;
    }
    Ok(())
}

/// The bytes of an asset, checked again.
pub(crate) fn read_asset(home: &Path, package: &Path, asset: &Asset) -> Result<Vec<u8>, HostError> {
    let path = asset.path.as_ref().map_or_else(|| shared_path(home, asset), |path| package.join(path.as_str()));
    read(&path, asset).map_err(|why| {
        HostError::internal(format!("asset {:?} is not what was approved: {why}; add the solution again", asset.name))
    })
}

fn shared_path(home: &Path, asset: &Asset) -> PathBuf {
    home.join(PACKAGES).join(ASSETS).join(asset.sha256.to_string())
}

fn read(path: &Path, asset: &Asset) -> Result<Vec<u8>, String> {
    let file = std::fs::File::open(path).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    file.take(asset.size + 1).read_to_end(&mut bytes).map_err(|e| e.to_string())?;
    asset.check(&bytes).map_err(|e| e.to_string())?;
    Ok(bytes)
}

/// At most `size` bytes and one more. No redirect is followed: the manifest names where the file is.
async fn download(url: &Url, size: u64, own_hand: bool) -> Result<Vec<u8>, HostError> {
    let client = client_for(url, own_hand, TIMEOUT).await?;
    let sent = client.get(url.clone()).send().await;
    let mut response = sent.map_err(|e| down(url.as_str())(crate::error::chain(&e.without_url())))?;
    if !response.status().is_success() {
        return Err(HostError::invalid(format!("{url} answers {}, and no file", response.status().as_u16())));
    }
    let mut bytes = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| down(url.as_str())(e.without_url()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() as u64 > size {
            return Err(HostError::invalid(format!("{url} answers with more than the {size} bytes of the manifest")));
        }
    }
    Ok(bytes)
}
