//! Packages of npm, installed once for all tests and measurements from the lock file beside this one, and bundled by
//! esbuild. Also used by the measurements (`benches/`), so that both run the same bytes.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

#[path = "install.rs"]
mod installer;

pub(crate) use installer::install;

/// A folder with `node_modules` of the packages.
fn installed() -> &'static Path {
    static PLACE: OnceLock<PathBuf> = OnceLock::new();
    PLACE.get_or_init(|| install(&source()))
}

/// This folder of the repository.
fn source() -> PathBuf {
    // From any crate of the workspace: the measurements lie beside the host.
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../sandbox/tests/packages")
}

/// One ES module with everything that `entry` (a file of this folder) imports: what the author of a plugin would
/// publish. The packages are as npm gave them; nothing is replaced, left out or added.
pub(crate) fn bundle(entry: &str, minify: bool) -> String {
    let name = Path::new(entry).file_name().expect("a file").to_string_lossy().into_owned();
    // Beside `node_modules`, so that imports are found as in a project of its own.
    let copy = installed().join(format!("{}-{}-{name}", std::process::id(), unique()));
    std::fs::copy(source().join(entry), &copy).expect("copied");
    let mut command = Command::new("node");
    command.arg("node_modules/esbuild/bin/esbuild").arg(&copy).args([
        "--bundle",
        "--format=esm",
        "--platform=browser",
        "--target=es2024",
        "--charset=utf8",
        "--log-level=warning",
    ]);
    if minify {
        command.arg("--minify");
    }
    let said = command.current_dir(installed()).output().expect("node is installed (cargo xtask test does it)");
    let _ = std::fs::remove_file(&copy);
    assert!(said.status.success(), "esbuild: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("UTF-8")
}

/// What `run()` of an ES module comes to in Node, as JSON.
pub(crate) fn node(module: &str) -> String {
    let file = installed().join(format!("{}-{}.mjs", std::process::id(), unique()));
    std::fs::write(&file, module).expect("written");
    // Node does not wait for what waits for an `AbortSignal.timeout` only.
    let main = "const alive = setInterval(() => {}, 1000);
        import(process.argv[1]).then((module) => module.run()).then((result) => console.log(JSON.stringify(result)))
            .finally(() => clearInterval(alive))";
    let said = Command::new("node")
        .args(["-e", main])
        .arg(&file)
        .env("TZ", "UTC")
        .output()
        .expect("node is installed (cargo xtask test does it)");
    let _ = std::fs::remove_file(&file);
    assert!(said.status.success(), "node: {}", String::from_utf8_lossy(&said.stderr));
    String::from_utf8(said.stdout).expect("UTF-8")
}

/// Tests of one process run at once.
fn unique() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
