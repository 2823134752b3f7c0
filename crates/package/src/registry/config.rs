//! npm's configuration: where the registry is and how to reach it.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use url::Url;

/// What was found, the stronger source having won. Debug output hides values, which may be tokens.
#[derive(Clone, Default)]
pub struct NpmConfig {
    values: BTreeMap<String, String>,
}

/// A configuration without a usable registry.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No source names one.
    #[error(
        "no npm registry is configured: set npm_config_registry, or put registry=<URL> into ~/.npmrc, or install npm \
         (its `npm config get registry` is asked last)"
    )]
    NoRegistry,
    /// A source names something else than a URL.
    #[error("npm's setting {key} is no http or https URL: {value:?}")]
    NotAUrl {
        /// `registry` or `@scope:registry`.
        key: String,
        /// The text found.
        value: String,
    },
}

/// The surroundings that a configuration is read from, so that tests can bring their own.
pub(super) struct Surroundings {
    pub(super) variables: HashMap<String, String>,
    pub(super) working_directory: Option<PathBuf>,
    /// Asked for one key when nothing else names it.
    pub(super) npm: fn(&Surroundings, &str) -> Option<String>,
}

impl Surroundings {
    pub(super) fn of_process() -> Self {
        let text = |value: OsString| value.into_string().ok();
        let variables =
            std::env::vars_os().filter_map(|(key, value)| Some((text(key)?, text(value)?))).collect::<HashMap<_, _>>();
        Self { variables, working_directory: std::env::current_dir().ok(), npm: ask_npm }
    }

    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The first program of this name on `PATH`.
    fn program(&self, name: &str) -> Option<PathBuf> {
        std::env::split_paths(self.variable("PATH")?).map(|dir| dir.join(name)).find(|path| path.is_file())
    }
}

impl NpmConfig {
    /// Reads npm's configuration of this process's environment, working directory and user.
    #[must_use]
    pub fn from_environment() -> Self {
        Self::read(&Surroundings::of_process())
    }

    /// A configuration with just these settings, in npm's spelling: `registry`, `cafile`, `//host/:_authToken`.
    #[must_use]
    pub fn from_settings(settings: &[(&str, &str)]) -> Self {
        Self { values: settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect() }
    }

    pub(super) fn read(around: &Surroundings) -> Self {
        let mut config = Self::default();
        // Weakest first, each overwriting what came before.
        let environment = environment_settings(around);
        let home = around.variable("HOME").map(PathBuf::from);
        let named = |key: &str| environment.get(key).map(PathBuf::from);
        let global = named("globalconfig").or_else(|| Some(global_prefix(around, &environment)?.join("etc/npmrc")));
        let user = named("userconfig").or_else(|| Some(home.as_ref()?.join(".npmrc")));
        let project = around.working_directory.as_deref().map(|dir| project_root(dir, home.as_deref()).join(".npmrc"));
        for path in [global, user.clone(), project.filter(|path| user.as_ref() != Some(path))].into_iter().flatten() {
            if let Ok(text) = std::fs::read_to_string(&path) {
                config.values.extend(parse_npmrc(&text, &around.variables));
            }
        }
        config.values.extend(environment);
        if !config.values.contains_key("registry")
            && let Some(registry) = (around.npm)(around, "registry")
        {
            config.values.insert("registry".to_owned(), registry);
        }
        config
    }

    /// One setting, as text.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty() && *value != "null")
    }

    /// The registry that serves this package: that of its scope, else the general one. Ends with `/`.
    ///
    /// # Errors
    /// [`ConfigError`] when none is set, or it is no URL.
    pub fn registry_for(&self, package: &str) -> Result<Url, ConfigError> {
        let scope = package.strip_prefix('@').and_then(|rest| rest.split('/').next());
        let scoped = scope.map(|scope| format!("@{scope}:registry"));
        let (key, value) = scoped
            .and_then(|key| self.get(&key).map(|value| (key, value)))
            .or_else(|| self.get("registry").map(|value| ("registry".to_owned(), value)))
            .ok_or(ConfigError::NoRegistry)?;
        let slashed = if value.ends_with('/') { value.to_owned() } else { format!("{value}/") };
        match Url::parse(&slashed) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
            _ => Err(ConfigError::NotAUrl { key, value: value.to_owned() }),
        }
    }

    /// The `Authorization` header for a request to `url`: credentials are keyed by host and path
    /// (`//host/path/:_authToken`), and the longest path that contains `url` wins, as with npm.
    #[must_use]
    pub fn authorization(&self, url: &Url) -> Option<String> {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;

        let host = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str()?),
            None => url.host_str()?.to_owned(),
        };
        let mut path = url.path();
        loop {
            path = &path[..=path.rfind('/')?];
            let place = format!("//{host}{path}");
            let setting = |name: &str| {
                // Both `//host/path/:_authToken` and `//host/path:_authToken` are seen in the wild.
                self.get(&format!("{place}:{name}"))
                    .or_else(|| self.get(&format!("{}:{name}", place.trim_end_matches('/'))))
            };
            if let Some(token) = setting("_authToken") {
                return Some(format!("Bearer {token}"));
            }
            if let Some(basic) = setting("_auth") {
                return Some(format!("Basic {basic}"));
            }
            if let (Some(user), Some(password)) = (setting("username"), setting("_password")) {
                let password = STANDARD.decode(password).ok()?;
                let mut pair = format!("{user}:").into_bytes();
                pair.extend(password);
                return Some(format!("Basic {}", STANDARD.encode(pair)));
            }
            path = path.strip_suffix('/').filter(|rest| !rest.is_empty())?;
        }
    }
}

impl fmt::Debug for NpmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

/// `npm_config_*` in any case: `NPM_CONFIG_HTTPS_PROXY` sets `https-proxy`. Keys of hosts keep their spelling.
fn environment_settings(around: &Surroundings) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    let mut variables: Vec<_> = around.variables.iter().collect();
    // Upper case sorts first, so that the lower-case spelling, which npm itself sets, has the last word.
    variables.sort();
    for (name, value) in variables {
        let Some((prefix, key)) = name.split_at_checked("npm_config_".len()) else { continue };
        if !prefix.eq_ignore_ascii_case("npm_config_") || key.is_empty() || value.is_empty() {
            continue;
        }
        let key = if key.starts_with("//") || key.starts_with('@') {
            key.to_owned()
        } else {
            let (lead, rest) = key.split_at(usize::from(key.starts_with('_')));
            format!("{lead}{}", rest.to_ascii_lowercase().replace('_', "-"))
        };
        settings.insert(key, value.clone());
    }
    settings
}

/// npm's global prefix: its own setting, else where node is installed.
fn global_prefix(around: &Surroundings, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    if let Some(prefix) = environment.get("prefix").map(String::as_str).or_else(|| around.variable("PREFIX")) {
        return Some(PathBuf::from(prefix));
    }
    let node = std::fs::canonicalize(around.program("node")?).ok()?;
    Some(node.parent()?.parent()?.to_owned())
}

/// The nearest folder upwards with a `package.json` or `node_modules`, else the working directory, as npm searches.
/// The home folder's own `.npmrc` is the user's, not a project's.
fn project_root(directory: &Path, home: Option<&Path>) -> PathBuf {
    directory
        .ancestors()
        .take_while(|dir| Some(*dir) != home)
        .find(|dir| dir.join("package.json").exists() || dir.join("node_modules").exists())
        .unwrap_or(directory)
        .to_owned()
}

/// An `.npmrc` file: `key=value` lines, `;` and `#` comments, quotes, `${VARIABLE}`. Sections end the settings.
fn parse_npmrc(text: &str, variables: &HashMap<String, String>) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        if line.starts_with('[') {
            break;
        }
        let (key, value) = line.split_once('=').unwrap_or((line, "true"));
        let key = expand(unquote(key.trim()), variables);
        let value = expand(unquote(value.trim()), variables);
        let list = key.strip_suffix("[]").map(str::to_owned);
        match list {
            // `ca[]` lines are certificates of one list.
            Some(key) => settings
                .entry(key)
                .and_modify(|joined: &mut String| {
                    joined.push('\n');
                    joined.push_str(&value);
                })
                .or_insert(value),
            None => settings.entry(key).insert_entry(value).into_mut(),
        };
    }
    settings
}

fn unquote(text: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)) {
            return inner;
        }
    }
    text
}

/// Replaces `${NAME}` by the variable (`${NAME?}` by nothing when it is unset); an unset one stays as it is.
fn expand(text: &str, variables: &HashMap<String, String>) -> String {
    let mut result = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        result.push_str(&rest[..start]);
        match (variables.get(name.trim_end_matches('?')), name.ends_with('?')) {
            (Some(value), _) => result.push_str(value),
            (None, true) => {}
            (None, false) => result.push_str(&rest[start..=start + length]),
        }
        rest = &rest[start + length + 1..];
    }
    result + rest
}

/// `npm config get <key>`: npm knows its default, and settings of its installation.
fn ask_npm(around: &Surroundings, key: &str) -> Option<String> {
    let npm = around.program("npm")?;
    let output =
        Command::new(npm).args(["config", "get", key]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty() && text != "undefined" && text != "null").then_some(text)
}

#[cfg(test)]
mod tests;
