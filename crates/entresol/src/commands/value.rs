//! Value between layer 1 and layer 2: deposits, withdrawals, fees of layer-2 accounts, leaving.

use entresol_host::messages::{ApprovalView, ExitInput, FundInput, GatewayCallInput};

use crate::cli;
use crate::commands::actions::arguments;
use crate::commands::approvals::proposed;
use crate::context::Context;
use crate::output::{Progress, visible};
use crate::units::parse_amount;

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
                 node, from layer 1 alone: `entresol node payments exit --from-layer1`.",
                visible(&solution)
            )
        });
    }
    Ok(())
}
