//! Value between layer 1 and layer 2: deposits, withdrawals, fees of layer-2 accounts, leaving.

use entresol_host::messages::{ApprovalView, ExitInput, FundInput, GatewayCallInput};
use payments_node::{ExitArgs, ExitCall};

use crate::cli;
use crate::commands::actions::arguments;
use crate::commands::approvals::proposed;
use crate::context::Context;
use crate::output::{Progress, table, visible};
use crate::times::utc;
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

pub(crate) async fn fund(context: &Context, args: cli::Fund) -> anyhow::Result<()> {
    let input = FundInput {
        solution: args.solution,
        account: args.account,
        value: parse_amount(&args.amount)?.to_string(),
        request_key: args.key.request_key,
    };
    let approval: ApprovalView = context.daemon().await?.get("fund", input).await?;
    proposed(context, &approval)
}

pub(crate) async fn exit(context: &Context, args: cli::Exit) -> anyhow::Result<()> {
    let (solution, account) = (args.solution.clone(), args.account);
    let input = ExitInput { solution: args.solution, account, fund: !args.no_fund, request_key: args.key.request_key };
    let progress = Progress::new(context.out, "asking the gateway on layer 1");
    let mut daemon = context.daemon().await?;
    let approval: ApprovalView = daemon.get("exit", input).await?;
    drop(progress);
    proposed(context, &approval)?;
    if !context.out.is_json() {
        let again = format!("entresol exit {} --account {account}", visible(&solution));
        context.out.line(if approval.kind == "fund" {
            format!(
                "\nThe account itself has to ask, and lacks the fee. Approve this, then say `{again}` once more."
            )
        } else {
            format!(
                "\nWhat comes next, by the gateway's own rules:\n  1. The operator must serve the request in time; if it \
                 does not, anyone may halt the layer 2, and everybody claims from layer 1.\n  2. When the challenge window \
                 has passed, claim what left: `entresol call {} claim --param fromAddress=0x…`, or without plugin and \
                 node, from layer 1 alone (it also says when):\n     `entresol node payments exit --from-layer1 --rpc URL \
                 --gateway {} --account {}`",
                visible(&solution),
                visible(address(&approval, "To")),
                visible(address(&approval, "From")),
            )
        });
    }
    Ok(())
}

/// The address that a row of an exit's request begins with.
fn address<'a>(approval: &'a ApprovalView, label: &str) -> &'a str {
    let row = approval.rows.iter().find(|row| row.label == label);
    row.and_then(|row| row.value.split_whitespace().next()).unwrap_or("0x…")
}

/// `entresol node payments exit`: needs neither daemon nor node.
pub(crate) async fn leave(context: &Context, args: &ExitArgs) -> anyhow::Result<()> {
    let progress = Progress::new(context.out, "reading layer 1");
    let report = payments_node::exit_from_layer1(args).await?;
    drop(progress);
    context.out.either(&report, |report| {
        let mut rows = vec![
            ["account".to_owned(), report.account.to_string()],
            ["gateway".to_owned(), format!("{} on chain {}", report.gateway, report.chain_id)],
            ["read up to block".to_owned(), format!("{} ({})", report.block, moment(&report.time))],
            [
                "batches".to_owned(),
                format!("{} standing, {} true, {} final", report.standing, report.verified, report.final_batch),
            ],
            ["halted".to_owned(), if report.halted { "yes" } else { "no" }.to_owned()],
            ["in the layer 2".to_owned(), ether(&report.balance)],
            ["withdrawn".to_owned(), ether(&report.withdrawn)],
            ["claimed".to_owned(), ether(&report.claimed)],
        ];
        rows.push(match &report.transaction {
            Some(hash) => ["claimed just now".to_owned(), format!("{} by {hash}", ether(&report.claimable))],
            None => ["claimable now".to_owned(), ether(&report.claimable)],
        });
        if !report.halted {
            rows.push(["after a halt".to_owned(), format!("{} in all", ether(&report.after_halt))]);
        }
        rows.extend(report.maturing.iter().map(|later| {
            ["claimable later".to_owned(), format!("{} from {}", ether(&later.amount), moment(&later.at))]
        }));
        rows.extend(report.waiting.iter().map(|item| {
            ["exit asked for".to_owned(), format!("inbox item {}, overdue at {}", item.index, moment(&item.overdue))]
        }));
        rows.extend(report.deposits.iter().map(|deposit| {
            let (index, value) = (&deposit.index, ether(&deposit.value));
            let state = match (&deposit.transaction, &deposit.call) {
                (Some(hash), _) => format!("{value} (item {index}) paid back just now by {hash}"),
                (None, Some(_)) => format!("{value} (item {index}), can be paid back now"),
                (None, None) => format!("{value} (item {index}), overdue at {}", moment(&deposit.overdue)),
            };
            ["deposit in no batch".to_owned(), state]
        }));
        rows.extend(report.next.iter().map(|next| ["next".to_owned(), next.clone()]));
        let mut text = table(&[], rows);
        // Outside the table, where nothing breaks them into lines.
        let mut print = |what: &str, call: &ExitCall| {
            text.push_str(&format!("\n{what}\nto    {}\ninput {}", call.to, call.input));
        };
        if let (Some(call), None) = (&report.call, &report.transaction) {
            print("the call that claims", call);
        }
        for deposit in &report.deposits {
            if let (Some(call), None) = (&deposit.call, &deposit.transaction) {
                print(&format!("the call that pays back deposit {}", deposit.index), call);
            }
        }
        text
    })
}

/// A Unix time in seconds (decimal string) as a date with the time itself, by which the advice and scripts name it.
fn moment(seconds: &str) -> String {
    match seconds.parse::<u64>() {
        Ok(at) => format!("{}, Unix time {at}", utc(at.saturating_mul(1000))),
        Err(_) => seconds.to_owned(),
    }
}
