//! Requests to the registry.

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Certificate, Client, NoProxy, Proxy};
use serde::Deserialize;
use url::Url;

use super::{ConfigError, NpmConfig, is_exact_version, is_valid_name};
use crate::{Integrity, IntegrityError};

/// Time without a single byte after which a request has failed; a slow line is fine, a dead one is not.
const READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Time for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// Largest answer that describes a package: the biggest packages on public registries are below 20 MiB.
const METADATA_LIMIT: u64 = 32 << 20;

/// A registry client.
#[derive(Clone, Debug)]
pub struct Registry {
    config: NpmConfig,
    client: Client,
}

/// A tarball whose SHA-512 was checked.
#[derive(Debug)]
pub struct Fetched {
    /// The `.tgz` file.
    pub bytes: Vec<u8>,
    /// Its digest: pin it.
    pub integrity: Integrity,
}

/// A request to the registry that failed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The configuration names no registry.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The HTTP client cannot be made.
    #[error("the registry client cannot start: {problem}")]
    Client {
        /// What is wrong with which setting.
        problem: String,
    },
    /// No npm package has this name.
    #[error("{0:?} is no npm package name")]
    Name(String),
    /// A range or a tag where one version is needed.
    #[error("{0:?} is no exact version such as 1.2.3; ranges and tags are not accepted")]
    Version(String),
    /// No answer.
    #[error("{url} cannot be reached; check the network and npm's settings registry, proxy, cafile")]
    Unreachable {
        /// Where the request went.
        url: Url,
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// An answer that is no success.
    #[error("{url} answered {status}: {hint}")]
    Status {
        /// Where the request went.
        url: Url,
        /// The HTTP status.
        status: u16,
        /// What it means here.
        hint: &'static str,
    },
    /// An answer that cannot be understood.
    #[error("{url} answered something else than an npm registry does: {problem}")]
    Answer {
        /// Where the request went.
        url: Url,
        /// What is wrong.
        problem: String,
    },
    /// More bytes than allowed.
    #[error("{url} sends more than {limit} bytes")]
    TooLarge {
        /// Where the request went.
        url: Url,
        /// The limit.
        limit: u64,
    },
    /// The version is not there.
    #[error("the registry has no version {version} of {name}")]
    NoVersion {
        /// Package.
        name: String,
        /// Version.
        version: String,
    },
    /// Without a pin from elsewhere, plain HTTP gives anybody on the line the choice of what is installed.
    #[error("{url} is not encrypted: use an https registry, or pin the package's SHA-512")]
    PlainHttp {
        /// The registry.
        url: Url,
    },
    /// Other bytes than pinned, or no SHA-512 from the registry.
    #[error(transparent)]
    Integrity(#[from] IntegrityError),
}

/// The part of a registry's answer that is read.
#[derive(Deserialize)]
struct Packument {
    #[serde(default)]
    versions: std::collections::BTreeMap<String, Version>,
}

#[derive(Deserialize)]
struct Version {
    dist: Dist,
}

#[derive(Deserialize)]
struct Dist {
    tarball: String,
    integrity: Option<String>,
}

impl Registry {
    /// A client configured from this process's environment. Whether a registry is set shows at the first fetch.
    ///
    /// # Errors
    /// [`RegistryError::Client`] when a certificate or a proxy of the configuration cannot be used.
    pub fn from_environment() -> Result<Self, RegistryError> {
        Self::with_config(NpmConfig::from_environment())
    }

    /// A client with this configuration.
    ///
    /// # Errors
    /// As [`Registry::from_environment`].
    pub fn with_config(config: NpmConfig) -> Result<Self, RegistryError> {
        // Fails when one is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("entresol/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT);
        let extra = extra_certificates(&config)?;
        if !extra.is_empty() {
            builder = builder.tls_certs_merge(extra);
        }
        // Proxies of the environment are the client's default; npm's own settings come on top.
        let exceptions = config.get("noproxy").and_then(NoProxy::from_string);
        for key in ["https-proxy", "proxy"] {
            if let Some(address) = config.get(key).filter(|value| *value != "false") {
                let made = if key == "proxy" { Proxy::http(address) } else { Proxy::https(address) };
                let proxy = made.map_err(|error| RegistryError::Client {
                    problem: format!("npm's setting {key} is no proxy address: {error}"),
                })?;
                builder = builder.proxy(proxy.no_proxy(exceptions.clone()));
            }
        }
        let client =
            builder.build().map_err(|error| RegistryError::Client { problem: format!("{:#}", Chain(&error)) })?;
        Ok(Self { config, client })
    }

    /// Fetches the tarball of one exact version. It is checked against `pinned`, else against what the registry says.
    /// `progress` hears bytes so far and, when known, in total.
    ///
    /// # Errors
    /// [`RegistryError`]; nothing is returned unless the SHA-512 fits.
    pub async fn fetch(
        &self,
        name: &str,
        version: &str,
        pinned: Option<&Integrity>,
        limit: u64,
        progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<Fetched, RegistryError> {
        if !is_valid_name(name) {
            return Err(RegistryError::Name(name.to_owned()));
        }
        if !is_exact_version(version) {
            return Err(RegistryError::Version(version.to_owned()));
        }
        let registry = self.config.registry_for(name)?;
        if registry.scheme() == "http" && pinned.is_none() && !is_loopback(&registry) {
            return Err(RegistryError::PlainHttp { url: registry });
        }
        let dist = self.dist(&registry, name, version).await?;
        let expected = match (pinned, &dist.integrity) {
            (Some(pinned), _) => pinned.clone(),
            (None, Some(stated)) => stated.parse()?,
            (None, None) => return Err(IntegrityError::Malformed("no integrity from the registry".into()).into()),
        };
        let url = tarball_url(&registry, name, &dist.tarball)?;
        let bytes = self.get(&url, None, limit, progress).await?;
        expected.verify(&format!("{name} {version}"), &bytes)?;
        Ok(Fetched { bytes, integrity: expected })
    }

    async fn dist(&self, registry: &Url, name: &str, version: &str) -> Result<Dist, RegistryError> {
        let answer = |problem: String| RegistryError::Answer { url: registry.clone(), problem };
        // npm's own spelling: the slash of a scope is escaped.
        let url = registry.join(&name.replace('/', "%2f")).map_err(|error| answer(error.to_string()))?;
        let accept = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8";
        let bytes = self.get(&url, Some(accept), METADATA_LIMIT, |_, _| {}).await?;
        let mut packument: Packument = serde_json::from_slice(&bytes).map_err(|error| answer(error.to_string()))?;
        packument
            .versions
            .remove(version)
            .map(|version| version.dist)
            .ok_or_else(|| RegistryError::NoVersion { name: name.to_owned(), version: version.to_owned() })
    }

    async fn get(
        &self,
        url: &Url,
        accept: Option<&'static str>,
        limit: u64,
        mut progress: impl FnMut(u64, Option<u64>) + Send,
    ) -> Result<Vec<u8>, RegistryError> {
        let unreachable = |source: reqwest::Error| RegistryError::Unreachable {
            url: url.clone(),
            // The URL stands in our own text already.
            source: source.without_url(),
        };
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
        }
        if let Some(authorization) = self.config.authorization(url)
            && let Ok(mut value) = HeaderValue::from_str(&authorization)
        {
            // Kept out of logs; the client drops it when a redirect leaves the host.
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let mut response = self.client.get(url.clone()).headers(headers).send().await.map_err(unreachable)?;
        let status = response.status();
        if !status.is_success() {
            let hint = match status.as_u16() {
                401 | 403 => "the registry wants other credentials (npm's setting _authToken)",
                404 => "the registry does not have it",
                _ => "try again later",
            };
            return Err(RegistryError::Status { url: url.clone(), status: status.as_u16(), hint });
        }
        let total = response.content_length();
        let too_large = || RegistryError::TooLarge { url: url.clone(), limit };
        if total.is_some_and(|total| total > limit) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        progress(0, total);
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if (bytes.len() + chunk.len()) as u64 > limit {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
            progress(bytes.len() as u64, total);
        }
        Ok(bytes)
    }
}

/// Where the tarball is. A registry that mirrors another one often passes that one's addresses on; npm then asks its
/// configured registry all the same, and so do we: it is the one that the user chose and that can be reached.
fn tarball_url(registry: &Url, name: &str, stated: &str) -> Result<Url, RegistryError> {
    let answer = |problem: String| RegistryError::Answer { url: registry.clone(), problem };
    let stated = Url::parse(stated).map_err(|error| answer(format!("its tarball address is no URL: {error}")))?;
    let same_place =
        stated.host() == registry.host() && stated.port_or_known_default() == registry.port_or_known_default();
    if same_place && stated.scheme() == registry.scheme() {
        return Ok(stated);
    }
    // The usual layout, `<registry>/<name>/-/<file>`, also below a registry's own path.
    let path = stated.path().replace("%2f", "/").replace("%2F", "/");
    let usual = format!("/{name}/-/");
    let moved = match path.find(&usual) {
        Some(start) => registry.join(&path[start + 1..]),
        None => registry.join(&path),
    };
    moved.map_err(|error| answer(format!("its tarball address cannot be used: {error}")))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Certificates that npm would trust besides the system's: `cafile`, `ca`, and Node's own variable.
fn extra_certificates(config: &NpmConfig) -> Result<Vec<Certificate>, RegistryError> {
    let mut all = Vec::new();
    let from_node = std::env::var("NODE_EXTRA_CA_CERTS").ok().filter(|path| !path.is_empty());
    for (what, path) in [("npm's setting cafile", config.get("cafile")), ("NODE_EXTRA_CA_CERTS", from_node.as_deref())]
    {
        let Some(path) = path else { continue };
        let refused = |problem: String| RegistryError::Client { problem: format!("{what} ({path}): {problem}") };
        let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
        all.extend(Certificate::from_pem_bundle(&pem).map_err(|error| refused(error.to_string()))?);
    }
    if let Some(inline) = config.get("ca") {
        let pem = inline.replace("\\n", "\n");
        let certificates = Certificate::from_pem_bundle(pem.as_bytes())
            .map_err(|error| RegistryError::Client { problem: format!("npm's setting ca: {error}") })?;
        all.extend(certificates);
    }
    Ok(all)
}

/// An error with its causes on one line.
struct Chain<'a>(&'a dyn std::error::Error);

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut next = self.0.source();
        while let Some(cause) = next {
            write!(f, ": {cause}")?;
            next = cause.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
