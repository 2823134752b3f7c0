//! The browser's end: the relay that a browser starts (native messaging), what makes it start it, and pairing.

use std::ffi::{OsStr, OsString};
use std::io::IsTerminal as _;

use anyhow::bail;
use entresol_host::messages::{PairingView, ProfileView};
use serde_json::json;

use crate::cli::{Bridge, BridgeCommand};
use crate::context::Context;
use crate::output::{table, visible};
use crate::times;

mod install;
mod relay;

/// Name under which extensions ask for the relay.
const NATIVE_HOST: &str = "com.entresol.bridge";
/// Id of our extension in Firefox, from its manifest.
const FIREFOX_ID: &str = "wallet@entresol.example";

/// The arguments as a person would have given them. A browser names its extension instead: Chromium and its kin by
/// `chrome-extension://ID/` alone, Firefox by the manifest's path and the extension's id.
pub(crate) fn arguments(given: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = given.into_iter().collect();
    let starts = |text: &OsStr| text.to_str().is_some_and(|text| text.starts_with("chrome-extension://"));
    let by_chromium = arguments.get(1).is_some_and(|first| starts(first));
    let by_firefox = arguments.len() == 3 && arguments.get(2).is_some_and(|second| second == FIREFOX_ID);
    if by_chromium || by_firefox {
        arguments.insert(1, "bridge".into());
    }
    arguments
}

pub(crate) async fn bridge(context: &Context, args: Bridge) -> anyhow::Result<()> {
    match args.command {
        // Standard output belongs to the browser from here on.
        None if std::io::stdin().is_terminal() => {
            bail!("browsers start this by themselves; let one do so with `entresol bridge install --browser NAME`")
        }
        None => relay::relay(context.home.path()).await,
        Some(BridgeCommand::Install(args)) => install::install(context, &args),
        Some(BridgeCommand::Pair { code, name }) => {
            let mut daemon = context.daemon().await?;
            let profile: ProfileView = daemon.get("pair", json!({ "code": code, "name": name })).await?;
            context.out.either(&profile, |profile| {
                format!(
                    "Paired: sites in this browser profile are callers named site:{}:https://… from now on.\nEach site \
                     still asks you before it sees anything.",
                    visible(&profile.name)
                )
            })
        }
        Some(BridgeCommand::List) => {
            let mut daemon = context.daemon().await?;
            let profiles: Vec<ProfileView> = daemon.get("profiles", json!({})).await?;
            let waiting: Vec<PairingView> = daemon.get("pairings", json!({})).await?;
            context.out.either(&json!({ "profiles": profiles, "waiting": waiting }), |_| listed(&profiles, &waiting))
        }
        Some(BridgeCommand::Remove { name }) => {
            let mut daemon = context.daemon().await?;
            daemon.call("profile_remove", json!({ "name": name })).await?;
            context.out.either(&json!({ "removed": name }), |_| {
                "The browser profile is removed, at once, and with it all that its sites were granted.".to_owned()
            })
        }
    }
}

fn listed(profiles: &[ProfileView], waiting: &[PairingView]) -> String {
    let mut text = if profiles.is_empty() {
        "No browser profile is paired. Begin with `entresol bridge install`, then open the extension's window."
            .to_owned()
    } else {
        table(
            &["Browser profile", "Key", "Paired"],
            profiles.iter().map(|one| [one.name.clone(), one.key.clone(), times::utc(one.paired_at)]),
        )
    };
    for one in waiting {
        text.push_str(&format!(
            "\nA browser that calls itself {} shows a code until {}; confirm it with `entresol bridge pair CODE`.",
            visible(&one.proposed),
            times::utc(one.expires_at)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_need_not_know_our_commands() {
        let check = |given: &[&str], expect: &[&str]| {
            let arguments = arguments(given.iter().map(OsString::from));
            assert_eq!(arguments, expect.iter().map(OsString::from).collect::<Vec<_>>());
        };
        let id = "chrome-extension://ijcahggkbmdcnigjaboponnchegbnaae/";
        check(&["entresol"], &["entresol"]);
        check(&["entresol", "status"], &["entresol", "status"]);
        check(&["entresol", id], &["entresol", "bridge", id]);
        check(&["entresol", id, "--parent-window=0"], &["entresol", "bridge", id, "--parent-window=0"]);
        check(&["entresol", "/m.json", FIREFOX_ID], &["entresol", "bridge", "/m.json", FIREFOX_ID]);
        check(&["entresol", "--home", "/h", "bridge", id], &["entresol", "--home", "/h", "bridge", id]);
    }
}
