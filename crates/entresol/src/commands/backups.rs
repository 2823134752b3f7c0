//! The whole wallet in one sealed file, and back.

use std::path::Path;

use serde_json::json;

use crate::context::Context;
use crate::output::Progress;
use crate::secrets;

pub(crate) async fn backup(context: &Context, file: &Path) -> anyhow::Result<()> {
    // The daemon has another working directory.
    let file = std::path::absolute(file)?;
    let mut daemon = context.daemon().await?;
    let progress = Progress::new(context.out, "sealing the wallet into one file");
    let report = daemon.with_passphrase("backup", json!({ "file": file })).await?;
    drop(progress);
    context.out.either(&report, |report| {
        format!(
            "The wallet is in {} ({}). It opens with the passphrase that the wallet has now, and with nothing else.\n\
             Keep it somewhere else than this computer. Restore it with `entresol --home EMPTY-DIRECTORY restore FILE`.",
            file.display(),
            size(report["bytes"].as_u64().unwrap_or_default())
        )
    })
}

pub(crate) fn restore(context: &Context, file: &Path) -> anyhow::Result<()> {
    let home = context.home.path();
    let passphrase =
        secrets::passphrase(context.passphrase_file.as_deref(), "Passphrase that the wallet had at the backup: ")?;
    let progress = Progress::new(context.out, "opening the backup and checking every part of it");
    let solutions = entresol_host::restore(home, file, &passphrase)?;
    drop(progress);
    context.out.either(&json!({ "home": home, "solutions": solutions }), |_| {
        format!(
            "The wallet is restored in {}, with {solutions} {}.\n\
             Do not run the old copy of this wallet any more: two copies would contradict each other on layer 2.\n\
             Next: `entresol daemon` in a terminal of its own; plugins that keep critical data first check them.",
            home.display(),
            if solutions == 1 { "solution" } else { "solutions" }
        )
    })
}

/// `12.3 kB`.
fn size(bytes: u64) -> String {
    let scaled = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit / (unit / 10));
    match bytes {
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => format!("{} kB", scaled(1_000)),
        1_000_000..1_000_000_000 => format!("{} MB", scaled(1_000_000)),
        _ => format!("{} GB", scaled(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_short() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(12_345), "12.3 kB");
        assert_eq!(size(1_950_000_000), "1.9 GB");
    }
}
