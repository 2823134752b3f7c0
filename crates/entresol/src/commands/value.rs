//! Value between layer 1 and layer 2: deposits, withdrawals, transfers.

use entresol_host::messages::{ApprovalView, GatewayCallInput, TransferView};
use serde_json::json;

use crate::cli;
use crate::commands::actions::{WATCH_MS, arguments};
use crate::commands::approvals::proposed;
use crate::context::Context;
use crate::output::table;
use crate::times;
use crate::units::{ether, parse_amount};

pub(crate) async fn deposit(context: &Context, args: cli::Deposit) -> anyhow::Result<()> {
    let input = GatewayCallInput {
        solution: args.solution,
        function: args.function,
        args: (!args.args.is_empty()).then(|| arguments(&args.args)),
        value: Some(parse_amount(&args.value)?.to_string()),
        request_key: args.key.request_key,
    };
    let approval: ApprovalView = context.daemon().await?.get("deposit", input).await?;
    proposed(context, &approval)
}

pub(crate) async fn withdraw(context: &Context, args: cli::Withdraw) -> anyhow::Result<()> {
    let input = GatewayCallInput {
        solution: args.solution,
        function: Some(args.function),
        args: Some(arguments(&args.args)),
        value: None,
        request_key: args.key.request_key,
    };
    let approval: ApprovalView = context.daemon().await?.get("withdraw", input).await?;
    proposed(context, &approval)
}

pub(crate) async fn transfers(context: &Context, solution: Option<String>, watch: bool) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    let mut shown: Option<serde_json::Value> = None;
    let mut changes: u64 = 0;
    loop {
        let list: Vec<TransferView> = daemon.get("transfers", json!({ "solution": solution })).await?;
        let now = serde_json::to_value(&list)?;
        if shown.as_ref() != Some(&now) {
            context.out.either(&list, |list| transfers_table(list))?;
            shown = Some(now);
        }
        if !watch {
            return Ok(());
        }
        changes = daemon.get("changes_wait", json!({ "after": changes, "timeoutMs": WATCH_MS })).await?;
    }
}

fn transfers_table(list: &[TransferView]) -> String {
    table(
        &["#", "Solution", "Kind", "Function", "Sent", "Stage", "Transaction", "Gas", "Block", "When"],
        list.iter().map(|t| {
            [
                t.id.to_string(),
                t.solution.clone(),
                t.kind.clone(),
                t.function.split('(').next().unwrap_or_default().to_owned(),
                // A withdrawal sends nothing; what it brings is the layer 2's to say.
                if t.amount == "0" { String::new() } else { ether(&t.amount) },
                t.stage.clone(),
                t.transaction.clone().unwrap_or_default(),
                t.gas_used.map(|gas| gas.to_string()).unwrap_or_default(),
                t.block.map(|block| block.to_string()).unwrap_or_default(),
                times::distance(t.created_at),
            ]
        }),
    )
}
