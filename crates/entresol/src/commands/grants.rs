//! Permissions of a solution's plugin.

use anyhow::Context as _;
use serde_json::json;

use crate::cli::Grants;
use crate::commands::approvals::one_of;
use crate::context::Context;
use crate::output::{table, visible};

pub(crate) async fn grants(context: &Context, command: Grants) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command {
        Grants::List { solution } => {
            let held: Vec<String> = daemon.get("grants", json!({ "solution": solution })).await?;
            let open: Vec<String> = daemon.get("grants_refused", json!({ "solution": solution })).await?;
            context.out.either(&json!({ "granted": held, "refused": open }), |_| {
                let mut text = table(&["The plugin may"], held.iter().map(|grant| [grant.clone()]));
                if !open.is_empty() {
                    let header = "It asks for this too and may not (give it with `entresol grants add`)";
                    text.push('\n');
                    text.push_str(&table(&[header], open.iter().map(|grant| [grant.clone()])));
                }
                text
            })
        }
        Grants::Add(args) => {
            let open: Vec<String> = daemon.get("grants_refused", json!({ "solution": args.solution })).await?;
            let permission = pick(&open, &args.permission, &args.solution)?;
            daemon.call("grant_add", json!({ "solution": args.solution, "permission": permission })).await?;
            context.out.either(&json!({ "granted": permission }), |_| {
                format!("Granted to {}: {}", visible(&args.solution), visible(&permission))
            })
        }
        Grants::Revoke(args) => {
            let held: Vec<String> = daemon.get("grants", json!({ "solution": args.solution })).await?;
            let permission = pick(&held, &args.permission, &args.solution)?;
            daemon.call("grant_revoke", json!({ "solution": args.solution, "permission": permission })).await?;
            context.out.either(&json!({ "revoked": permission }), |_| {
                format!("Taken away from {}, at once: {}", visible(&args.solution), visible(&permission))
            })
        }
    }
}

/// The permission that is meant.
fn pick(known: &[String], text: &str, solution: &str) -> anyhow::Result<String> {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let one =
        one_of(&known, text).with_context(|| format!("write it as `entresol grants list {solution}` shows it"))?;
    Ok(one.to_owned())
}
