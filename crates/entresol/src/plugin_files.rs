//! The payments plugin, carried in the program so that `demo` and `devnet` need no checkout.

use std::path::Path;

use anyhow::Context;

/// Every file of `solutions/payments/plugin` that belongs to the package.
const FILES: &[(&str, &str)] = &[
    ("package.json", include_str!("../../../solutions/payments/plugin/package.json")),
    ("index.js", include_str!("../../../solutions/payments/plugin/index.js")),
    ("icon.svg", include_str!("../../../solutions/payments/plugin/icon.svg")),
];

/// Writes the plugin's package into a folder.
pub(crate) fn write(folder: &Path) -> anyhow::Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        entresol_durable::create_private_dir(parent)
            .and_then(|()| entresol_durable::write_file_atomically(&path, text.as_bytes(), false))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use entresol_package::Package;

    use super::*;

    #[test]
    fn the_carried_plugin_is_the_repositorys() {
        let dir = tempfile::tempdir().expect("a directory");
        write(dir.path()).expect("written");
        let carried = Package::load_folder(dir.path()).expect("a package");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../solutions/payments/plugin");
        let source = Package::load_folder(&source).expect("a package");
        assert_eq!(carried.sha512, source.sha512, "a file of the plugin is missing from FILES");
    }
}
