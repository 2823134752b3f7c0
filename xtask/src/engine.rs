//! `cargo xtask engine`: builds the JavaScript engine of the sandbox, QuickJS-ng in WebAssembly, from source.
//!
//! The build is reproducible: fixed sources (by digest), fixed compiler packages, no path, time or name of this machine
//! in the output. `--check` builds it again and compares byte for byte with what is committed.
#![allow(clippy::disallowed_methods, reason = "a developer's tool: what it writes is under version control")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// QuickJS-ng 0.16.2 lies in this package, which ships the C sources as released.
const PACKAGE: &str = "rquickjs-sys";
const PACKAGE_VERSION: &str = "0.14.0";

/// SHA-256 over the sources below: for each file its name, a zero byte, its SHA-256.
const SOURCES_SHA256: &str = "e614d8b7036c99c1543e5ea283404e5432d6ebbbd13400d9abb144ada7d4feda";

/// The translation units, in the order in which they are linked.
const UNITS: [&str; 4] = ["quickjs.c", "libregexp.c", "libunicode.c", "dtoa.c"];

/// What is ours, beside `shim.c`: (file, text that must be there once, what it becomes).
const PATCHES: [(&str, &str, &str); 7] = [
    // QuickJS-ng switches its own stack check off under WASI. With these two it is on again, and recursion ends in a
    // `RangeError` of the script instead of a trap.
    ("quickjs.c", "#ifdef __wasi__\n    rt->stack_size = 0;\n#endif\n", ""),
    (
        "quickjs.c",
        "#if defined(__wasi__)\n    rt->stack_limit = 0; /* no limit */\n#else\n    if (rt->stack_size == 0) {\n        \
         rt->stack_limit = 0; /* no limit */\n    } else {\n        rt->stack_limit = rt->stack_top - rt->stack_size;\n    \
         }\n#endif\n",
        "    if (rt->stack_size == 0) {\n        rt->stack_limit = 0; /* no limit */\n    } else {\n        \
         rt->stack_limit = rt->stack_top - rt->stack_size;\n    }\n",
    ),
    // The shim hears of every allocation that is refused: the interpreter ignores some failures (a promise job that
    // cannot be queued is lost without a word), so a full heap has to stop the guest.
    (
        "quickjs.c",
        "    if (unlikely(s->malloc_size + (count * size) > s->malloc_limit - 1))\n        return NULL;\n",
        "    if (unlikely(s->malloc_size + (count * size) > s->malloc_limit - 1)) {\n        \
         extern void sandbox_refused(size_t size);\n        sandbox_refused(count * size);\n        return NULL;\n    }\n",
    ),
    (
        "quickjs.c",
        "    if (unlikely(s->malloc_size + size > s->malloc_limit - 1))\n        return NULL;\n",
        "    if (unlikely(s->malloc_size + size > s->malloc_limit - 1)) {\n        \
         extern void sandbox_refused(size_t size);\n        sandbox_refused(size);\n        return NULL;\n    }\n",
    ),
    (
        "quickjs.c",
        "    if (s->malloc_size + size - old_size > s->malloc_limit - 1)\n        return NULL;\n",
        "    if (s->malloc_size + size - old_size > s->malloc_limit - 1) {\n        \
         extern void sandbox_refused(size_t size);\n        sandbox_refused(size);\n        return NULL;\n    }\n",
    ),
    // The next collection of cycles comes when the heap has grown by half, but before it is full.
    (
        "quickjs.c",
        "            (rt->malloc_state.malloc_size >> 1);\n    }\n",
        "            (rt->malloc_state.malloc_size >> 1);\n        \
         if (rt->malloc_state.malloc_limit > rt->malloc_state.malloc_size) {\n            \
         size_t room = (rt->malloc_state.malloc_limit - rt->malloc_state.malloc_size) / 2;\n            \
         if (room < 65536)\n                room = 65536;\n            \
         if (rt->malloc_gc_threshold > rt->malloc_state.malloc_size + room)\n                \
         rt->malloc_gc_threshold = rt->malloc_state.malloc_size + room;\n        }\n    }\n",
    ),
    // A small block that is freed while a script is evaluated is zeroed, as the shim does with large ones: two
    // evaluations can then be compared by their memory.
    (
        "quickjs.c",
        "        b->u.free_next = ar->first_free_block;\n",
        "        extern bool sandbox_evaluating;\n        if (unlikely(sandbox_evaluating))\n            \
         memset(ptr, 0, block_size - sizeof(JSMallocBlockHeader));\n        b->u.free_next = ar->first_free_block;\n",
    ),
];

const CLANG: &str = "clang-19";

/// Debian packages, and a file each of them brings.
const DEBIAN: [(&str, &str); 4] = [
    ("clang-19", "/usr/bin/clang-19"),
    ("lld-19", "/usr/lib/llvm-19/bin/wasm-ld"),
    ("wasi-libc", "/usr/lib/wasm32-wasi/libc.a"),
    ("libclang-rt-19-dev-wasm32", "/usr/lib/llvm-19/lib/clang/19/lib/wasi/libclang_rt.builtins-wasm32.a"),
];

const TARGET: [&str; 2] = ["--target=wasm32-wasi", "--sysroot=/usr"];

const COMPILE: [&str; 10] = [
    "-O2",
    "-DNDEBUG",
    "-D_GNU_SOURCE",
    "-D_WASI_EMULATED_PROCESS_CLOCKS",
    "-D_WASI_EMULATED_SIGNAL",
    // The instructions every WebAssembly engine has had for years.
    "-mbulk-memory",
    "-msign-ext",
    "-mnontrapping-fptoint",
    // QuickJS asks for these two on every platform.
    "-fno-strict-aliasing",
    "-funsigned-char",
];

const LINK: [&str; 7] = [
    "-mexec-model=reactor",
    "-lwasi-emulated-process-clocks",
    "-lwasi-emulated-signal",
    // 1 MiB of stack below everything else: an overflow of it traps instead of writing over data.
    "-Wl,-z,stack-size=1048576",
    "-Wl,--stack-first",
    "-Wl,--gc-sections",
    "-Wl,--strip-all",
];

/// The asset that the sandbox's tests and measurements of heavy work run (`crates/sandbox/assets`): no C library, no
/// entry, a small stack below everything else.
const ASSET: [&str; 11] = [
    "--target=wasm32-unknown-unknown",
    "-O2",
    "-mbulk-memory",
    "-msign-ext",
    "-nostdlib",
    "-ffreestanding",
    "-fno-builtin",
    "-Wl,--no-entry",
    "-Wl,--strip-all",
    "-Wl,-z,stack-size=65536",
    "-Wl,--stack-first",
];

/// Builds the engine and writes it, or with `check` compares it with the committed one.
///
/// # Errors
/// A tool or the sources are missing, the build fails, or with `check` the bytes differ.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies in the repository")?;
    let engine = root.join("crates/sandbox/engine");
    tools()?;
    let work = tempfile::tempdir().context("a directory to build in")?;
    let sources = sources(&work.path().join("fetch"))?;
    build_asset(&root.join("crates/sandbox/assets"), work.path(), check)?;
    let build = work.path().join("build");
    prepare(&sources, &engine.join("shim.c"), &build)?;
    let built = compile(&build)?;
    let digest = format!("{}  engine.wasm\n", hex::encode(Sha256::digest(&built)));
    if check {
        let committed = fs::read(engine.join("engine.wasm")).context("engine.wasm is committed")?;
        ensure!(
            committed == built,
            "crates/sandbox/engine/engine.wasm is not what its sources give ({} bytes committed, {} built); run `cargo xtask engine` with {} and commit it",
            committed.len(),
            built.len(),
            version(),
        );
        let said = fs::read_to_string(engine.join("engine.sha256")).context("engine.sha256 is committed")?;
        ensure!(said == digest, "crates/sandbox/engine/engine.sha256 does not fit; run `cargo xtask engine`");
    } else {
        fs::write(engine.join("engine.wasm"), &built)?;
        fs::write(engine.join("engine.sha256"), &digest)?;
    }
    Ok(())
}

/// Builds `work.c`, and writes it or compares it with what is committed.
fn build_asset(folder: &Path, work: &Path, check: bool) -> Result<()> {
    fs::copy(folder.join("work.c"), work.join("work.c"))?;
    let mut command = Command::new(CLANG);
    command.current_dir(work).env("LC_ALL", "C").args(ASSET).args(["work.c", "-o", "work.wasm"]);
    execute(&mut command)?;
    let built = fs::read(work.join("work.wasm"))?;
    let committed = folder.join("work.wasm");
    if check {
        ensure!(
            fs::read(&committed).context("work.wasm is committed")? == built,
            "crates/sandbox/assets/work.wasm is not what work.c gives; run `cargo xtask engine` with {} and commit it",
            version(),
        );
        return Ok(());
    }
    Ok(fs::write(committed, built)?)
}

fn version() -> String {
    let output = Command::new(CLANG).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or(CLANG).to_owned()
}

/// Installs the compiler where that is possible.
fn tools() -> Result<()> {
    let missing: Vec<&str> =
        DEBIAN.iter().filter(|(_, file)| !Path::new(file).exists()).map(|(name, _)| *name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let command = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if !is_root || !Path::new("/usr/bin/apt-get").exists() {
        bail!("the engine is built with Debian's packages; as root: {command}");
    }
    // A fresh machine has no lists; an old one has stale ones. Without a network the installation says so.
    let _ = execute(Command::new("apt-get").args(["-q", "update"]));
    let mut install = Command::new("apt-get");
    install.args(["install", "-y", "--no-install-recommends"]).args(&missing).env("DEBIAN_FRONTEND", "noninteractive");
    execute(&mut install).with_context(|| format!("if the packages are not found: apt-get update, then {command}"))
}

/// Has cargo fetch the package (from whatever registry it is set up for) and gives the folder of C sources.
fn sources(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir.join("src"))?;
    fs::write(dir.join("src/lib.rs"), "")?;
    let manifest = format!(
        "[package]\nname = \"engine-sources\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n{PACKAGE} = \"={PACKAGE_VERSION}\"\n"
    );
    fs::write(dir.join("Cargo.toml"), manifest)?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // cargo extracts what it fetched; without a network, what it fetched before does.
    let fetch = |extra: &[&str]| execute(Command::new(&cargo).args(["fetch", "--quiet"]).args(extra).current_dir(dir));
    fetch(&[]).or_else(|first| fetch(&["--offline"]).map_err(|_| first))?;
    let metadata = Command::new(&cargo)
        .args(["metadata", "--format-version", "1", "--offline"])
        .current_dir(dir)
        .output()
        .context("cargo metadata")?;
    ensure!(metadata.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout)?;
    let packages = metadata["packages"].as_array().context("cargo metadata lists packages")?;
    let package = packages.iter().find(|package| package["name"] == PACKAGE).context("the package was not resolved")?;
    let manifest = package["manifest_path"].as_str().context("a package has a manifest")?;
    let folder = Path::new(manifest).parent().context("a manifest lies in a folder")?.join("quickjs");
    let found = digest(&folder)?;
    ensure!(found == SOURCES_SHA256, "the sources in {PACKAGE} {PACKAGE_VERSION} are not the expected ones: {found}");
    Ok(folder)
}

/// Everything a translation unit can include, in order.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().into_string().map_err(|_| anyhow::anyhow!("an odd file name"))?;
        if name.ends_with(".h") || UNITS.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn digest(folder: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    for name in files(folder)? {
        hasher.update(&name);
        hasher.update([0]);
        hasher.update(Sha256::digest(fs::read(folder.join(&name))?));
    }
    Ok(hex::encode(hasher.finalize()))
}

/// Lays out the build folder: patched sources and the shim.
fn prepare(sources: &Path, shim: &Path, build: &Path) -> Result<()> {
    let quickjs = build.join("quickjs");
    fs::create_dir_all(&quickjs)?;
    for name in files(sources)? {
        let mut text = fs::read_to_string(sources.join(&name)).with_context(|| name.clone())?;
        for (_, from, to) in PATCHES.iter().filter(|(file, _, _)| *file == name) {
            ensure!(text.matches(from).count() == 1, "a patch of {name} does not apply: {from}");
            text = text.replace(from, to);
        }
        fs::write(quickjs.join(&name), text)?;
    }
    fs::copy(shim, build.join("shim.c"))?;
    Ok(())
}

fn compile(build: &Path) -> Result<Vec<u8>> {
    let map = format!("-ffile-prefix-map={}=.", build.display());
    let clang = || {
        let mut command = Command::new(CLANG);
        command.args(TARGET).current_dir(build).env("LC_ALL", "C").env("SOURCE_DATE_EPOCH", "0");
        command
    };
    let mut objects = Vec::new();
    let mut running = Vec::new();
    for unit in UNITS {
        let object = format!("{unit}.o");
        let mut command = clang();
        command.args(COMPILE).args([&map, "-w", "-c", &format!("quickjs/{unit}"), "-o", &object]);
        running.push((unit, command.spawn().with_context(|| format!("starting {CLANG}"))?));
        objects.push(object);
    }
    // Ours is held to more.
    let mut shim = clang();
    shim.args(COMPILE).args(["-Wall", "-Wextra", "-Werror", "-Wno-unused-parameter", "-isystem", "quickjs"]);
    execute(shim.args([&map, "-c", "shim.c", "-o", "shim.o"]))?;
    objects.push("shim.o".to_owned());
    for (unit, mut child) in running {
        ensure!(child.wait()?.success(), "compiling {unit} failed");
    }
    // clang takes the linker of its own version, from lld-19.
    execute(clang().args(&objects).args(LINK).args(["-o", "engine.wasm"]))?;
    Ok(fs::read(build.join("engine.wasm"))?)
}

fn execute(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().with_context(|| format!("starting {name}"))?;
    ensure!(status.success(), "{name} failed: {status}");
    Ok(())
}
