//! Value between layer 1 and layer 2: deposits, withdrawals, fees of layer-2 accounts, leaving.

use entresol_host::messages::{ApprovalView, ExitInput, FundInput, GatewayCallInput};

use crate::cli;
use crate::commands::actions::arguments;
use crate::commands::approvals::proposed;
use crate::context::Context;
use crate::output::Progress;
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
    let input = ExitInput { solution: args.solution, account: args.account, request_key: args.key.request_key };
    let progress = Progress::new(context.out, "asking the gateway on layer 1");
    let approval: ApprovalView = context.daemon().await?.get("exit", input).await?;
    drop(progress);
    proposed(context, &approval)
}
