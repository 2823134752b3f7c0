//! Solutions: add, list, show, update, remove; their actions.

use std::path::Path;

use anyhow::bail;
use entresol_host::messages::{
    ActionView, ApprovalView, DialView, DialsInput, GatewayView, SolutionInput, SolutionView, UpdateInput,
};
use serde_json::{Value as Json, json};

use crate::cli::{Solution, SolutionAdd};
use crate::commands::approvals::proposed;
use crate::context::Context;
use crate::output::{Progress, table, visible};
use crate::units::ether;

pub(crate) async fn solution(context: &Context, command: Solution) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command {
        Solution::Add(args) => {
            let input = input(args)?;
            let progress = Progress::new(context.out, "reading the package");
            let approval: ApprovalView = daemon.get("solution_add", input).await?;
            drop(progress);
            proposed(context, &approval)
        }
        Solution::List => {
            let list: Vec<SolutionView> = daemon.get("solutions", json!({})).await?;
            context.out.either(&list, |list| {
                table(
                    &["Id", "Name", "Title", "Network", "Gateway", "Status", "Plugin"],
                    list.iter().map(|s| {
                        [
                            s.id.to_string(),
                            s.name.clone(),
                            s.title.clone(),
                            s.network.clone(),
                            s.gateway.clone().unwrap_or_default(),
                            s.status.clone(),
                            s.plugin.clone(),
                        ]
                    }),
                )
            })
        }
        Solution::Show { solution } => {
            let view: SolutionView = daemon.get("solution", json!({ "solution": solution })).await?;
            context.out.either(&view, show)
        }
        Solution::Check { solution } => {
            let progress = Progress::new(context.out, "asking layer 1");
            let view: GatewayView = daemon.get("gateway", json!({ "solution": solution })).await?;
            drop(progress);
            context.out.either(&view, checked)
        }
        Solution::Update(args) => {
            let input = UpdateInput {
                solution: args.solution,
                script: script(&args.script)?,
                allow_not_newer: args.allow_not_newer,
                request_key: args.key.request_key,
            };
            let progress = Progress::new(context.out, "reading the package");
            let approval: ApprovalView = daemon.get("solution_update", input).await?;
            drop(progress);
            proposed(context, &approval)
        }
        Solution::Dials(args) => {
            let moves = args.networking.is_some() || args.state.is_some() || args.history.is_some();
            let dials: Vec<DialView> = if moves {
                let input = DialsInput {
                    solution: args.solution,
                    networking: args.networking,
                    state: args.state,
                    history: args.history,
                };
                daemon.get("solution_dials", input).await?
            } else {
                let view: SolutionView = daemon.get("solution", json!({ "solution": args.solution })).await?;
                view.dials
            };
            context.out.either(&dials, |dials| {
                table(
                    &["Dial", "Stands at", "Offered"],
                    dials.iter().map(|dial| [dial.name.clone(), dial.position.clone(), dial.positions.join(", ")]),
                )
            })
        }
        Solution::Remove { solution } => {
            daemon.call("solution_remove", json!({ "solution": solution })).await?;
            context.out.either(&json!({ "removed": solution }), |_| {
                "The solution is removed. The path of its keys stays reserved.".to_owned()
            })
        }
        Solution::Restart { solution } => {
            daemon.call("solution_restart", json!({ "solution": solution })).await?;
            context.out.either(&json!({ "restarted": solution }), |_| "The plugin is started again.".to_owned())
        }
    }
}

/// What layer 1 says about a gateway, beside what the plugin claims.
fn checked(view: &GatewayView) -> String {
    let mut rows = vec![["Gateway".to_owned(), view.address.clone()]];
    rows.extend(view.rows.iter().map(|row| [row.label.clone(), row.value.clone()]));
    let locked = view.locked_balance.as_deref().map_or_else(|| "the contract does not say".to_owned(), ether);
    rows.push(["Locked for you, says layer 1".to_owned(), locked]);
    let claimed = match &view.claimed_balance {
        None => "it publishes none".to_owned(),
        Some(Json::String(wei)) => ether(wei),
        Some(other) => other.to_string(),
    };
    rows.push(["Your balance, says the plugin".to_owned(), claimed]);
    rows.push(["ETH of the whole contract".to_owned(), ether(&view.contract_balance)]);
    rows.push(["Can it pay everybody?".to_owned(), view.solvency.clone()]);
    let mut text = table(&[], rows);
    for warning in &view.warnings {
        text.push_str(&format!("\n! {}", visible(warning)));
    }
    text.push_str(
        "\nWhat layer 1 locks for you and what the plugin shows may differ while payments are on their way; the plugin's \
         number is its own claim.",
    );
    text
}

fn input(args: SolutionAdd) -> anyhow::Result<SolutionInput> {
    Ok(SolutionInput {
        name: args.name,
        network: args.network,
        gateway: args.gateway,
        network_urls: args.urls,
        key_path: args.key_path,
        script: script(&args.script)?,
        owner: args.owner,
        from_block: args.from_block,
        request_key: args.key.request_key,
    })
}

/// The daemon has another working directory, so paths become absolute here; a bare path may leave out its kind.
fn script(text: &str) -> anyhow::Result<String> {
    let absolute = |kind: &str, path: &str| anyhow::Ok(format!("{kind}:{}", std::path::absolute(path)?.display()));
    if text.starts_with("npm:") {
        return Ok(text.to_owned());
    }
    if let Some(path) = text.strip_prefix("folder:") {
        return absolute("folder", path);
    }
    if let Some(path) = text.strip_prefix("tarball:") {
        return absolute("tarball", path);
    }
    let path = Path::new(text);
    if path.is_dir() {
        return absolute("folder", text);
    }
    if path.is_file() {
        return absolute("tarball", text);
    }
    bail!("`{text}` is neither a folder nor a tarball; for a published package write npm:NAME@VERSION")
}

fn show(view: &SolutionView) -> String {
    let dials: Vec<String> = view.dials.iter().map(|dial| format!("{} {}", dial.name, dial.position)).collect();
    let rows = [
        ["Id", &view.id.to_string()],
        ["Name", &view.name],
        ["Title (the plugin's words)", &view.title],
        ["Network", &view.network],
        ["Gateway", view.gateway.as_deref().unwrap_or("none")],
        ["Layer-2 URLs", &view.network_urls.join(", ")],
        ["Keys below", &view.key_path],
        ["Owner account", &view.owner.to_string()],
        ["Package", &view.package],
        ["SHA-512", &view.package_sha512],
        ["Interface digest", &view.interface_digest],
        ["Status", &view.status],
        ["Plugin", &view.plugin],
        ["State", &view.state_names.join(", ")],
        ["Permissions", &view.grants.join(", ")],
        ["Dials", &dials.join(", ")],
    ];
    format!("{}\n{}", table(&[], rows.map(|row| row.map(str::to_owned))), actions_table(&view.actions))
}

fn actions_table(actions: &[ActionView]) -> String {
    table(
        &["Action", "Only reads", "Description (the plugin's words)"],
        actions.iter().map(|action| {
            let reads = if action.read_only { "yes" } else { "" };
            [action.signature.clone(), reads.to_owned(), action.description.clone()]
        }),
    )
}

pub(crate) async fn actions(context: &Context, solution: &str) -> anyhow::Result<()> {
    let view: SolutionView = context.daemon().await?.get("solution", json!({ "solution": solution })).await?;
    context.out.either(&view.actions, |actions| actions_table(actions))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_a_folder_a_tarball_or_a_package() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().to_str().expect("text");
        assert_eq!(script(path).expect("a folder"), format!("folder:{path}"));
        assert_eq!(script("npm:a@1.0.0").expect("a package"), "npm:a@1.0.0");
        assert!(script("folder:x").expect("a folder").starts_with("folder:/"));
        let tarball = dir.path().join("a.tgz");
        std::fs::write(&tarball, "").expect("written");
        let tarball = tarball.to_str().expect("text");
        assert_eq!(script(tarball).expect("a tarball"), format!("tarball:{tarball}"));
        assert!(script("no/such/thing").expect_err("refused").to_string().contains("npm:NAME@VERSION"));
    }
}
