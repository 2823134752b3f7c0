//! The user's own transactions and signatures: sending, signing, fees, transactions that wait.

use std::path::Path;

use anyhow::{Context as _, bail};
use entresol_host::messages::{
    ApprovalView, FeeView, FeesView, OpenTransactionView, ReplaceInput, Replacement, SendInput, SignInput,
};
use entresol_layer1::FeeSpeed;
use serde_json::json;

use crate::cli::{Send, Sign, Speed, Transactions};
use crate::commands::approvals::proposed;
use crate::context::Context;
use crate::output::{Progress, table, visible};
use crate::units::{amount_with_unit, ether, gwei};

/// Longest file that is signed: the daemon's own limit for a message is smaller.
const LONGEST: u64 = 256 * 1024;

impl From<Speed> for FeeSpeed {
    fn from(speed: Speed) -> Self {
        match speed {
            Speed::Slow => Self::Slow,
            Speed::Normal => Self::Normal,
            Speed::Fast => Self::Fast,
        }
    }
}

pub(crate) async fn send(context: &Context, args: Send) -> anyhow::Result<()> {
    let (amount, whole) = amount(&args.amount, args.token.is_some())?;
    let mut daemon = context.daemon().await?;
    let input = SendInput {
        network: daemon.network(args.network).await?,
        from: daemon.account(&args.from).await?,
        to: args.to,
        amount,
        whole,
        token: args.token,
        speed: args.speed.into(),
        request_key: args.key.request_key,
    };
    let progress = Progress::new(context.out, "asking layer 1 what this would do");
    let approval: ApprovalView = daemon.get("send", input).await?;
    drop(progress);
    proposed(context, &approval)
}

/// The amount as the daemon reads it, and whether it is in whole units. Of ETH a unit must be named: a plain number
/// would be wei to some and ETH to others.
fn amount(text: &str, token: bool) -> anyhow::Result<(String, bool)> {
    if !token {
        let Some(wei) = amount_with_unit(text) else {
            bail!("`{text}` is no amount of ETH; write it with its unit, such as `0.5 ether` or `20 gwei`");
        };
        return Ok((wei.to_string(), false));
    }
    let text = text.trim();
    if let Some(units) = text.strip_suffix("units").or_else(|| text.strip_suffix("unit")) {
        return Ok((units.trim().to_owned(), false));
    }
    if amount_with_unit(text).is_some() {
        bail!("`{text}` is an amount of ETH; of a token write a plain number such as `12.5`");
    }
    Ok((text.to_owned(), true))
}

pub(crate) async fn sign(context: &Context, command: Sign) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    let (input, from) = match command {
        Sign::Message { text, file, hex, options } => {
            let text = match (text, &file) {
                (Some(text), _) => Some(text),
                (None, Some(file)) => Some(read(file)?),
                (None, None) => None,
            };
            let input = SignInput { text, hex, request_key: options.key.request_key, ..SignInput::default() };
            (input, options.from)
        }
        Sign::Typed { file, network, options } => {
            let text = read(&file)?;
            // As text, not parsed here: the daemon refuses what JSON readers disagree about, such as a key twice.
            let input = SignInput {
                typed_data: Some(text.into()),
                network,
                request_key: options.key.request_key,
                ..SignInput::default()
            };
            (input, options.from)
        }
    };
    let from = daemon.account(&from).await?;
    let approval: ApprovalView = daemon.get("sign", SignInput { from, ..input }).await?;
    proposed(context, &approval)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let shown = file.display();
    let length = std::fs::metadata(file).with_context(|| format!("cannot read {shown}; check the path"))?.len();
    if length > LONGEST {
        bail!("{shown} is too long to be read by a person before signing ({length} bytes); name the right file");
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {shown} as text"))
}

pub(crate) async fn transactions(context: &Context, command: Option<Transactions>) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    match command.unwrap_or(Transactions::List { network: None }) {
        Transactions::List { network } => {
            let list: Vec<OpenTransactionView> = daemon.get("transactions", json!({ "network": network })).await?;
            context.out.either(&list, |list| open(list))
        }
        Transactions::SpeedUp { hash, speed, key } => {
            let input = ReplaceInput { transaction: hash, speed: speed.into(), request_key: key.request_key };
            let done: Replacement = daemon.get("transaction_speed_up", input).await?;
            match &done.approval {
                // It costs more than was approved.
                Some(approval) => proposed(context, approval),
                None => context.out.either(&done, |done| {
                    format!(
                        "Sent again with a higher fee, within what you approved: {}",
                        visible(done.transaction.as_deref().unwrap_or_default())
                    )
                }),
            }
        }
        Transactions::Cancel { hash, speed, key } => {
            let input = ReplaceInput { transaction: hash, speed: speed.into(), request_key: key.request_key };
            let approval: ApprovalView = daemon.get("transaction_cancel", input).await?;
            proposed(context, &approval)
        }
    }
}

fn open(list: &[OpenTransactionView]) -> String {
    if list.is_empty() {
        return "No transaction waits: everything that was sent is settled.".to_owned();
    }
    let rows = list.iter().map(|tx| {
        let state = match tx.state.as_str() {
            "stored" => "not sent yet",
            "broadcast" => "waits for a block",
            "superseded" => "replaced by a later one",
            "included" => "in a block, waits for confirmations",
            other => other,
        };
        [
            tx.transaction.clone(),
            tx.network.clone(),
            tx.purpose.clone(),
            tx.from.clone(),
            tx.nonce.to_string(),
            tx.approval.map(|id| id.to_string()).unwrap_or_default(),
            state.to_owned(),
        ]
    });
    let mut text = table(&["Transaction", "Network", "For", "From", "Nonce", "Request", "State"], rows);
    for tx in list {
        if let Some(why) = &tx.stuck {
            let hash = visible(&tx.transaction);
            text.push_str(&format!(
                "\n! {hash} {}\n  Pay more with `entresol transactions speed-up {hash}`, or give it up with \
                 `entresol transactions cancel {hash}`.",
                visible(why)
            ));
        }
    }
    text
}

pub(crate) async fn fees(context: &Context, network: Option<String>) -> anyhow::Result<()> {
    let mut daemon = context.daemon().await?;
    let network = daemon.network(network).await?;
    let fees: FeesView = daemon.get("fees", json!({ "network": network })).await?;
    context.out.either(&fees, fees_table)
}

fn fees_table(fees: &FeesView) -> String {
    let row = |speed: &str, when: &str, fee: &FeeView| {
        [
            speed.to_owned(),
            when.to_owned(),
            ether(&fee.transfer),
            gwei(&fee.base_fee),
            gwei(&fee.max_priority_fee_per_gas),
            gwei(&fee.max_fee_per_gas),
        ]
    };
    let rows = [
        row("slow", "waits when blocks are full", &fees.slow),
        row("normal", "one of the next blocks", &fees.normal),
        row("fast", "the next block", &fees.fast),
    ];
    table(&["Speed", "Included, as a rule", "Sending ETH costs about", "Base fee", "Tip", "At most (per gas)"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_eth_name_their_unit() {
        let check = |text: &str, token: bool, expected: Option<(&str, bool)>| {
            let found = amount(text, token).ok();
            assert_eq!(found.as_ref().map(|(text, whole)| (text.as_str(), *whole)), expected, "{text}");
        };
        check("0.5 ether", false, Some(("500000000000000000", false)));
        check("1", false, None);
        check("1.5", false, None);
        check("much", false, None);
        check("12.5", true, Some(("12.5", true)));
        check("12500 units", true, Some(("12500", false)));
        check("1 ether", true, None);
    }

    #[test]
    fn a_stuck_transaction_is_told_with_its_remedies() {
        let tx = OpenTransactionView {
            transaction: "0xabc".into(),
            network: "main".into(),
            from: "0x00".into(),
            nonce: 4,
            purpose: "send".into(),
            approval: Some(3),
            state: "broadcast".into(),
            stuck: Some("waits for 9 blocks: its fee does not cover the base fee".into()),
        };
        let text = open(&[tx]);
        for part in ["waits for a block", "waits for 9 blocks", "speed-up 0xabc", "cancel 0xabc"] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
        assert!(open(&[]).contains("No transaction waits"));
    }
}
