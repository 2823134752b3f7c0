//! libFuzzer on the target that `ENTRESOL_FUZZ_TARGET` names; `cargo xtask fuzz` starts it.

#![no_main]

use std::sync::OnceLock;

use entresol_fuzz::{TARGETS, Target};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<&Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let name = std::env::var("ENTRESOL_FUZZ_TARGET").unwrap_or_default();
        TARGETS.iter().find(|target| target.name == name).expect("ENTRESOL_FUZZ_TARGET names a target")
    });
    (target.run)(data);
});
