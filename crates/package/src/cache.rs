//! Where downloads are kept.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// The directory for things that can be fetched again: `ENTRESOL_CACHE`, else `entresol` below `XDG_CACHE_HOME`,
/// `~/Library/Caches` (macOS) or `~/.cache`. `None` when the environment names no home.
#[must_use]
pub fn default_cache_dir() -> Option<PathBuf> {
    cache_dir(|name| env::var_os(name))
}

fn cache_dir(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    // An empty variable counts as unset, and XDG wants absolute paths only.
    let absolute = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(own) = absolute("ENTRESOL_CACHE") {
        return Some(own);
    }
    if let Some(xdg) = absolute("XDG_CACHE_HOME") {
        return Some(xdg.join("entresol"));
    }
    let home = absolute("HOME")?;
    let caches = if cfg!(target_os = "macos") { home.join("Library/Caches") } else { home.join(".cache") };
    Some(caches.join("entresol"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_specific_variable_wins() {
        let check = |set: &[(&str, &str)], expect: Option<&str>| {
            let found =
                cache_dir(|name| set.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value)));
            assert_eq!(found, expect.map(PathBuf::from), "{set:?}");
        };
        check(&[], None);
        check(&[("ENTRESOL_CACHE", "/a"), ("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], Some("/a"));
        check(&[("XDG_CACHE_HOME", "/b"), ("HOME", "/c")], Some("/b/entresol"));
        check(&[("XDG_CACHE_HOME", ""), ("ENTRESOL_CACHE", "relative")], None);
        #[cfg(target_os = "linux")]
        check(&[("HOME", "/c")], Some("/c/.cache/entresol"));
    }
}
