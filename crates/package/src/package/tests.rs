use std::fs;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::*;
use crate::Permission;

const MAIN: &str = "export default class Small {}\n";

fn package_json() -> Value {
    json!({
        "name": "@example/small", "version": "1.2.3", "type": "module", "main": "./dist/main.js",
        "scripts": { "test": "node test.js" }, "devDependencies": { "typescript": "5.9.3" }, "dependencies": {},
        "layer2": { "apiVersion": 1, "title": "Small", "icon": "icon.svg" }
    })
}

fn folder(json: &Value) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::create_dir(dir.path().join("dist")).expect("created");
    fs::write(dir.path().join("package.json"), json.to_string()).expect("written");
    fs::write(dir.path().join("dist/main.js"), MAIN).expect("written");
    fs::write(dir.path().join("icon.svg"), "<svg/>").expect("written");
    dir
}

fn tarball_of(json: &Value) -> Vec<u8> {
    let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (path, bytes) in [
        ("package/package.json", json.to_string().into_bytes()),
        ("package/dist/main.js", MAIN.into()),
        ("package/icon.svg", b"<svg/>".to_vec()),
        ("package/README.md", b"more".to_vec()),
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, path, bytes.as_slice()).expect("appended");
    }
    builder.into_inner().expect("finished").finish().expect("finished")
}

#[test]
fn a_folder_and_its_tarball_are_the_same_package() {
    let dir = folder(&package_json());
    let from_folder = Package::load(dir.path()).expect("a package");
    let archive = tarball_of(&package_json());
    let from_tarball = Package::load_tarball(&archive).expect("a package");
    assert_eq!(from_folder.sha512, from_tarball.sha512);
    assert_eq!(from_tarball.tarball, Some(Integrity::of(&archive)));
    assert_eq!((from_folder.name.as_str(), from_folder.version.as_str()), ("@example/small", "1.2.3"));
    assert_eq!((from_folder.main.as_str(), from_folder.kind), (MAIN, ModuleKind::EsModule));
    let kept: Vec<_> = from_tarball.files.keys().map(PackagePath::as_str).collect();
    assert_eq!(kept, ["dist/main.js", "icon.svg", "package.json"], "nothing else of a package is kept");

    let file = dir.path().join("small-1.2.3.tgz");
    fs::write(&file, &archive).expect("written");
    assert_eq!(Package::load(&file).expect("a package").sha512, from_folder.sha512);
}

#[test]
fn row_12_what_was_approved_is_kept_and_a_change_is_noticed() {
    let dir = folder(&package_json());
    let package = Package::load(dir.path()).expect("a package");
    let home = tempfile::tempdir().expect("a temporary directory");
    let kept = package.store_into(home.path()).expect("stored");
    assert_eq!(package.store_into(home.path()).expect("stored again"), kept);
    assert_eq!(Package::load_stored(&kept, &package.sha512).expect("unchanged").sha512, package.sha512);

    fs::write(dir.path().join("dist/main.js"), "changed").expect("written");
    assert_eq!(Package::load_stored(&kept, &package.sha512).expect("a copy, not the source").main, MAIN);

    fs::write(kept.join("dist/main.js"), "changed").expect("written");
    let error = Package::load_stored(&kept, &package.sha512).expect_err("changed").to_string();
    assert!(error.starts_with("the stored copy of @example/small 1.2.3 is not what was pinned"), "{error}");
    package.store_into(home.path()).expect("repaired");
    assert_eq!(Package::load_stored(&kept, &package.sha512).expect("repaired").main, MAIN);
}

#[test]
fn an_unfinished_copy_is_finished() {
    let dir = folder(&package_json());
    let package = Package::load(dir.path()).expect("a package");
    let home = tempfile::tempdir().expect("a temporary directory");
    let kept = package.store_into(home.path()).expect("stored");
    // As after a crash between two files: package.json comes last.
    fs::remove_file(kept.join("package.json")).expect("removed");
    fs::write(kept.join("dist/main.js"), "torn").expect("written");
    assert_eq!(package.store_into(home.path()).expect("finished"), kept);
    assert_eq!(Package::load_stored(&kept, &package.sha512).expect("whole").main, MAIN);
}

#[track_caller]
fn check(field: &str, value: Value, expect: &str) {
    let mut json = package_json();
    match value {
        Value::Null => json.as_object_mut().expect("an object").remove(field),
        value => json.as_object_mut().expect("an object").insert(field.to_owned(), value),
    };
    let from_folder = Package::load(folder(&json).path()).expect_err("refused").to_string();
    let from_tarball = Package::load_tarball(&tarball_of(&json)).expect_err("refused").to_string();
    assert_eq!(from_folder, from_tarball, "both ways in have the same rules");
    assert!(from_folder.starts_with(expect), "{field}\n  expected {expect}\n  got      {from_folder}");
}

#[test]
fn row_11_package_json_outside_the_rules_is_refused_by_name() {
    check("name", Value::Null, "package.json: name: is missing");
    check("name", json!("Bad Name"), "package.json: name: \"Bad Name\" is no npm package name");
    check("name", json!("../evil"), "package.json: name: \"../evil\" is no npm package name");
    check("version", json!("^1.0.0"), "package.json: version: \"^1.0.0\" is no version");
    check("version", json!(1), "package.json: version: is no text");
    check(
        "scripts",
        json!({ "postinstall": "node evil.js" }),
        "package.json: scripts.postinstall: install scripts are refused",
    );
    check("scripts", json!({ "preinstall": "" }), "package.json: scripts.preinstall: install scripts are refused");
    check("scripts", json!({ "install": "node-gyp" }), "package.json: scripts.install: install scripts are refused");
    check("gypfile", json!(true), "package.json: gypfile: native code is refused");
    check(
        "dependencies",
        json!({ "left-pad": "1" }),
        "package.json: dependencies: packages needed at run time are refused",
    );
    check("optionalDependencies", json!({ "a": "1" }), "package.json: optionalDependencies: packages needed");
    check("peerDependencies", json!({ "a": "1" }), "package.json: peerDependencies: packages needed");
    check("bundledDependencies", json!(["a"]), "package.json: bundledDependencies: packages needed");
    check("bundleDependencies", json!(true), "package.json: bundleDependencies: packages needed");
    check(
        "main",
        json!("../../etc/passwd"),
        "package.json: main: \"../../etc/passwd\" has an empty, \".\" or \"..\" part",
    );
    check("main", json!("/etc/passwd"), "package.json: main: \"/etc/passwd\" is absolute");
    check("main", json!("dist/main.wasm"), "package.json: main: dist/main.wasm is no .js, .mjs or .cjs file");
    check("main", json!("dist/gone.js"), "the package has no dist/gone.js");
    check("type", json!("wasm"), "package.json: type: is neither");
    check("layer2", Value::Null, "package.json: layer2: is missing: this package is no plugin");
    check(
        "layer2",
        json!({ "apiVersion": 1, "title": "x", "permissions": { "camera": true } }),
        "package.json: layer2.permissions.camera: unknown field `camera`",
    );
}

#[test]
fn the_kind_follows_npms_rules() {
    let check = |main: &str, kind: Value, expect: ModuleKind| {
        let mut json = package_json();
        json["main"] = json!(main);
        json["type"] = kind;
        if json["type"].is_null() {
            json.as_object_mut().expect("an object").remove("type");
        }
        let parsed = PackageJson::parse(json.to_string().as_bytes()).expect("valid");
        assert_eq!(parsed.kind, expect, "{main}");
    };
    check("a.js", json!("module"), ModuleKind::EsModule);
    check("a.js", json!("commonjs"), ModuleKind::CommonJs);
    check("a.js", Value::Null, ModuleKind::CommonJs);
    check("a.mjs", Value::Null, ModuleKind::EsModule);
    check("a.cjs", json!("module"), ModuleKind::CommonJs);
}

#[test]
fn row_11_no_link_in_a_folder_is_followed() {
    let outside = tempfile::tempdir().expect("a temporary directory");
    fs::write(outside.path().join("main.js"), MAIN).expect("written");
    let dir = folder(&package_json());
    fs::remove_dir_all(dir.path().join("dist")).expect("removed");
    std::os::unix::fs::symlink(outside.path(), dir.path().join("dist")).expect("linked");
    let error = Package::load(dir.path()).expect_err("refused").to_string();
    assert!(error.contains("is no plain file"), "{error}");
}

#[test]
fn what_is_no_package_is_refused() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let check = |path: &Path, expect: &str| {
        let error = Package::load(path).expect_err("refused").to_string();
        assert!(error.contains(expect), "{error}");
    };
    check(dir.path(), "is neither a folder with a package.json nor a .tgz file");
    check(&dir.path().join("gone"), "cannot be read");
    let broken = folder(&package_json());
    fs::write(broken.path().join("package.json"), "{").expect("written");
    check(broken.path(), "package.json: the file: is no JSON");
    let binary = folder(&package_json());
    fs::write(binary.path().join("dist/main.js"), [0xff, 0xfe]).expect("written");
    check(binary.path(), "dist/main.js is not UTF-8 text");
}

#[test]
fn the_payments_plugin_of_this_repository_is_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../solutions/payments/plugin");
    let package = Package::load(&folder).expect("a valid plugin");
    assert_eq!((package.manifest.title.as_str(), package.kind), ("Payments", ModuleKind::EsModule));
    let deposit = Permission::Contract {
        contract: "gateway".to_owned(),
        function: "deposit(address)".to_owned(),
        role: crate::manifest::Role::Deposit,
    };
    assert!(package.manifest.requested().contains(&deposit));
}

#[test]
fn an_asset_with_a_path_is_kept_and_must_be_what_the_manifest_says() {
    const EMPTY_MODULE: &[u8] = b"\0asm\x01\0\0\0";
    const DIGEST: &str = "93a44bbb96c751218e4c00d479e4c14358122a389acca16205b1e4d0dc5f9476";
    let with = |asset: Value| {
        let mut json = package_json();
        json["layer2"]["permissions"] = json!({ "compute": { "memory": "16 MiB", "seconds": 5 } });
        json["layer2"]["assets"] = json!([asset]);
        let dir = folder(&json);
        fs::write(dir.path().join("work.wasm"), EMPTY_MODULE).expect("written");
        Package::load(dir.path()).map_err(|error| error.to_string())
    };
    let good = json!({ "name": "work", "path": "work.wasm", "sha256": DIGEST, "size": 8 });
    let package = with(good.clone()).expect("a package");
    let path: PackagePath = "work.wasm".parse().expect("a path");
    assert_eq!(package.files[&path], EMPTY_MODULE);
    let grant = Permission::Compute { memory: crate::manifest::ByteSize::new(16 << 20), seconds: 5 };
    assert_eq!(package.manifest.requested(), [grant]);
    let check = |change: Value, expected: &str| {
        let mut asset = good.clone();
        for (name, value) in change.as_object().expect("an object") {
            if value.is_null() {
                asset.as_object_mut().expect("an object").remove(name);
            } else {
                asset[name] = value.clone();
            }
        }
        let error = with(asset).expect_err(expected);
        assert!(error.contains(expected), "{error:?} should say {expected:?}");
    };
    check(json!({ "size": 9 }), "layer2.assets.work.size: is 9, but the file has 8 bytes");
    check(
        json!({ "sha256": "00".repeat(32) }),
        &format!("layer2.assets.work.sha256: is {}, but the file's is {DIGEST}", "00".repeat(32)),
    );
    check(json!({ "sha256": DIGEST.to_uppercase() }), "is no SHA-256: 64 lower-case hexadecimal digits");
    check(json!({ "path": "other.wasm" }), "the package has no other.wasm");
    check(json!({ "path": "../work.wasm" }), "a path stays inside the package");
    check(json!({ "path": null }), "layer2.assets[0]: needs either a path or a url");
    check(json!({ "url": "https://files.example/work.wasm" }), "layer2.assets[0]: needs either a path or a url");
    check(json!({ "path": null, "url": "wss://files.example/work.wasm" }), "is not an http or https URL");
    check(json!({ "path": null, "url": "https://me:secret@files.example/" }), "carries a user name");
    check(json!({ "size": 1 << 30 }), "layer2.assets[0].size: 1073741824 is not between 1 and 16777216 bytes");
    check(json!({ "colour": 1 }), "layer2.assets[0].colour: unknown field");
}

#[test]
fn webassembly_in_the_script_is_asked_for_with_true_and_said_in_words() {
    let with = |webassembly: Value| {
        let mut json = package_json();
        json["layer2"]["permissions"] = json!({ "webassembly": webassembly });
        Package::load(folder(&json).path()).map_err(|error| error.to_string())
    };
    let package = with(json!(true)).expect("a package");
    assert_eq!(package.manifest.requested(), [Permission::Webassembly]);
    let said = Permission::Webassembly.to_string();
    assert!(said.contains("WebAssembly") && said.contains("can do no more than it"), "{said}");
    let kept = serde_json::to_string(&Permission::Webassembly).expect("it can be kept");
    assert_eq!(serde_json::from_str::<Permission>(&kept).expect("it can be read"), Permission::Webassembly);
    assert_eq!(with(json!(false)).expect("a package").manifest.requested(), []);
    for other in [json!("true"), json!(1), json!({}), json!(null)] {
        let error = with(other).expect_err("refused");
        assert!(error.contains("layer2.permissions.webassembly"), "{error}");
    }
}

#[test]
fn heavy_work_has_a_ceiling_and_comes_with_assets_only() {
    let with = |compute: Value, assets: Value| {
        let mut json = package_json();
        json["layer2"]["permissions"] = json!({ "compute": compute });
        json["layer2"]["assets"] = assets;
        Package::load(folder(&json).path()).map(|_| ()).map_err(|error| error.to_string()).expect_err("refused")
    };
    let asset = json!([{ "name": "a", "url": "https://files.example/a", "sha256": "00".repeat(32), "size": 1 }]);
    for (compute, expected) in [
        (json!({ "memory": "2 GiB", "seconds": 5 }), "compute.memory: 2 GiB is not between 1 MiB and 1 GiB"),
        (json!({ "memory": "1 MiB", "seconds": 0 }), "compute.seconds: 0 is not between 1 and 600"),
        (json!({ "memory": "1 MiB", "seconds": 601 }), "compute.seconds: 601 is not between 1 and 600"),
        (json!(null), "layer2.assets: are of no use without layer2.permissions.compute"),
    ] {
        let error = with(compute, asset.clone());
        assert!(error.contains(expected), "{error:?} should say {expected:?}");
    }
    let large = |n: u32| json!({ "name": format!("a{n}"), "url": "https://files.example/a", "sha256": "00".repeat(32), "size": 16 << 20 });
    let error = with(json!({ "memory": "1 MiB", "seconds": 1 }), (0..5).map(large).collect());
    assert!(error.contains("layer2.assets: have 83886080 bytes together; the most is 67108864"), "{error}");
    let error = with(json!({ "memory": "1 MiB", "seconds": 1 }), json!([]));
    assert!(error.contains("layer2.permissions.compute: is of no use without layer2.assets"), "{error}");
}
