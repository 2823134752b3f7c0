//! What happens in the demo, in order.

use std::time::Instant;

use alloy::primitives::{Address, U256};
use anyhow::{Context as _, bail, ensure};
use entresol_api::codes;
use entresol_host::messages::{AccountView, ApprovalView, SolutionInput, SolutionView};
use serde_json::{Value as Json, json};

use super::report::Step;
use super::stage::{ANY_PORT, Node, Stage};
use super::wallet::{PATIENCE, rpc};
use super::{Rejectable, Rejected, attack};
use crate::devnet::{CHAIN_ID, Chain, NodeSetup, OPERATOR, anvil_path, write_key};
use crate::output::visible;
use crate::plugin_files;
use crate::units::ether_of;

/// Seconds during which a batch can be contested: passed by moving the chain's clock.
const CHALLENGE: u64 = 60;
/// Seconds within which the operator must serve an inbox item.
const FORCE: u64 = 600;

/// A tenth of an ether in wei.
const TENTH: u128 = 100_000_000_000_000_000;
/// What the owner starts with.
const START: u128 = 100 * TENTH;
const DEPOSIT: u128 = 10 * TENTH;
const PAYMENTS: [u128; 2] = [2 * TENTH, TENTH];

/// The two solutions: one package and gateway, two owners.
pub(super) const PAYER: &str = "payments";
pub(super) const SHOP: &str = "shop";

/// Plays the demo. The error names what went wrong; `stage.current` names the step.
pub(super) async fn play(stage: &mut Stage) -> anyhow::Result<()> {
    layer1(stage).await?;
    let owner = wallet(stage).await?;
    install(stage, PAYER, 0).await?;
    install(stage, SHOP, 1).await?;
    deposit(stage, owner).await?;
    let payees = payees(stage).await?;
    for (number, (payee, value)) in payees.iter().zip(PAYMENTS).enumerate() {
        pay(stage, number, payee, value).await?;
    }
    let account = read(stage, &payees).await?;
    withdraw(stage, owner, &account).await?;
    claim(stage, owner, &account).await?;
    attack::play(stage, &account).await?;
    remove(stage).await?;
    finish(stage).await
}

/// Chain, gateway, operator.
async fn layer1(stage: &mut Stage) -> anyhow::Result<()> {
    let since = stage.begin("anvil", "starting a local chain");
    let path = anvil_path(stage.out).await?;
    stage.chain = Some(Chain::start(&path, stage.dir(), 0).await?);
    let what = format!("a local chain (id {CHAIN_ID}) at {}", stage.chain()?.url);
    stage.done(since, Step { what, ..Step::default() });

    let since = stage.begin("gateway", "deploying the gateway contract");
    let (gateway, receipt) = stage.chain()?.deploy(CHALLENGE, FORCE).await?;
    stage.gateway = gateway;
    stage.facts.insert("gateway".to_owned(), json!(gateway));
    let what = format!("gateway {gateway}, challenge window {CHALLENGE} s");
    stage.done(since, Step { what, id: Some(receipt.hash), gas: Some(receipt.gas_used), ..Step::default() });

    let since = stage.begin("node", "starting the operator's node");
    let setup = NodeSetup {
        role: "operator",
        name: "operator",
        dir: stage.dir().to_owned(),
        key_file: write_key(stage.dir(), "operator", OPERATOR)?,
        rpc: stage.chain()?.url.clone(),
        gateway,
        from_block: receipt.block,
        listen: ANY_PORT,
        misbehave: None,
    };
    stage.operator = Some(Node::new(setup, stage.options.kill_node_at.clone()));
    stage.tend().await?;
    let what = format!("the operator answers at {}", node_url(stage)?);
    stage.done(since, Step { what, ..Step::default() });
    Ok(())
}

fn node_url(stage: &Stage) -> anyhow::Result<String> {
    Ok(stage.operator.as_ref().context("the operator was not started")?.setup.url())
}

/// A fresh wallet, its daemon, the network, ETH for the owner. Gives the owner's address.
async fn wallet(stage: &mut Stage) -> anyhow::Result<Address> {
    let since = stage.begin("wallet", "making a throw-away wallet");
    let home = crate::context::Home::new(stage.home());
    let mut kill_at = stage.options.kill_command_at.clone();
    while !home.keystore().exists() {
        let done = stage.command(&["init"], kill_at.take().as_deref()).await?;
        stage.note_death(done.status);
        ensure!(done.status.success() || crate::process::was_killed(done.status), "init failed: {}", done.stderr);
    }
    stage.done(since, Step { what: "a throw-away wallet".to_owned(), ..Step::default() });

    let since = stage.begin("daemon", "starting the daemon");
    stage.start_daemon().await?;
    stage.ask("status", json!({})).await?;
    stage.done(since, Step { what: "the wallet's daemon".to_owned(), ..Step::default() });

    let since = stage.begin("network", "adding the network");
    let url = stage.chain()?.url.to_string();
    let input = json!({ "name": "devnet", "rpcUrls": [url], "chainId": CHAIN_ID, "confirmations": 1 });
    stage.ask("network_add", input).await?;
    let accounts = stage
        .until("a second owner account", PATIENCE, async |stage| {
            let accounts: Vec<AccountView> = stage.get("accounts", json!({})).await?;
            if accounts.len() < 2 {
                stage.ask("account_add", json!({})).await?;
                return Ok(None);
            }
            Ok(Some(accounts))
        })
        .await?;
    let address = accounts.first().context("the wallet has no account")?.address.clone();
    let owner: Address = address.parse()?;
    let gift = stage.chain()?.give(owner, U256::from(START)).await?;
    stage.owner = owner;
    stage.facts.insert("owner".to_owned(), json!(owner));
    let what = format!("owner {owner} has {}", ether_of(U256::from(START)));
    stage.done(since, Step { what, id: Some(gift.hash), ..Step::default() });
    Ok(owner)
}

/// Adds a solution through the ordinary queue: the package's requests are shown, read, and approved.
async fn install(stage: &mut Stage, name: &'static str, owner_index: u32) -> anyhow::Result<()> {
    let step = if name == PAYER { Rejectable::Install.step() } else { name };
    let since = stage.begin(step, "installing the payments solution");
    let folder = stage.dir().join("payments-plugin");
    plugin_files::write(&folder)?;
    let from_block = stage.operator.as_ref().map(|node| node.setup.from_block);
    let input = SolutionInput {
        name: Some(name.to_owned()),
        network: "devnet".to_owned(),
        gateway: Some(stage.gateway.to_string()),
        network_urls: vec![node_url(stage)?],
        // The same package and gateway give the same default root: the second owner gets a root of its own.
        key_path: (owner_index > 0).then(|| format!("m/43'/60'/1775'/{owner_index}'")),
        script: format!("folder:{}", folder.display()),
        owner: owner_index,
        from_block,
        request_key: Some(format!("demo-install-{name}")),
    };
    let request: ApprovalView = stage.get("solution_add", input).await?;
    if name == PAYER && stage.options.reject == Some(Rejectable::Install) {
        let (owner, before) = (stage.owner, holdings(stage, stage.owner).await?);
        let installed = solutions(stage).await?;
        refuse(stage, request.id).await?;
        ensure!(solutions(stage).await? == installed, "a solution is there although its installation was rejected");
        return nothing_moved(stage, owner, &before).await;
    }
    stage.decide(request.id, true).await?;
    stage.executed(request.id).await?;
    let view: SolutionView = stage
        .until("the plugin runs", PATIENCE, async |stage| {
            let view: SolutionView = stage.get("solution", json!({ "solution": name })).await?;
            ensure!(!view.plugin.starts_with("failed"), "the plugin failed: {}", visible(&view.plugin));
            Ok((view.plugin == "running").then_some(view))
        })
        .await?;
    let what = format!("{} runs for owner {owner_index}, keys below {}", visible(&view.package), view.key_path);
    stage.done(since, Step { what, approved: Some(request.sentence), ..Step::default() });
    Ok(())
}

async fn solutions(stage: &mut Stage) -> anyhow::Result<Vec<String>> {
    let list: Vec<SolutionView> = stage.get("solutions", json!({})).await?;
    Ok(list.into_iter().map(|solution| solution.name).collect())
}

/// Rejects a request in a second process, and sees that it stays rejected.
async fn refuse(stage: &mut Stage, id: i64) -> anyhow::Result<()> {
    stage.decide(id, false).await?;
    let request: ApprovalView = stage.get("approval", json!({ "id": id })).await?;
    ensure!(request.state == "rejected", "request {id} was rejected and is {}", request.state);
    Ok(())
}

/// What may not change when a request is rejected: the owner's balance and nonce, the gateway's balance.
#[derive(Debug, PartialEq, Eq)]
struct Holdings {
    owner: U256,
    nonce: u64,
    gateway: U256,
}

async fn holdings(stage: &Stage, owner: Address) -> anyhow::Result<Holdings> {
    let chain = stage.chain()?;
    Ok(Holdings {
        owner: chain.balance(owner).await?,
        nonce: chain.nonce(owner).await?,
        gateway: chain.balance(stage.gateway).await?,
    })
}

/// Ends the demo after a rejection, if nothing moved.
async fn nothing_moved(stage: &mut Stage, owner: Address, before: &Holdings) -> anyhow::Result<()> {
    // Two more blocks: a transaction on its way would be in them.
    stage.chain()?.advance(1).await?;
    stage.chain()?.advance(1).await?;
    let after = holdings(stage, owner).await?;
    ensure!(after == *before, "the request was rejected, but something moved: {before:?} became {after:?}");
    let kept = json!({ "ownerBalance": after.owner.to_string(), "ownerNonce": after.nonce, "gatewayBalance": after.gateway.to_string() });
    stage.facts.insert("unchanged".to_owned(), kept);
    bail!(Rejected(format!("nothing moved, the owner has {} as before", ether_of(after.owner))))
}

async fn deposit(stage: &mut Stage, owner: Address) -> anyhow::Result<()> {
    let since = stage.begin(Rejectable::Deposit.step(), "depositing");
    let before = holdings(stage, owner).await?;
    let input = json!({ "solution": PAYER, "value": DEPOSIT.to_string(), "requestKey": "demo-deposit" });
    let request: ApprovalView = stage.get("deposit", input).await?;
    if stage.options.reject == Some(Rejectable::Deposit) {
        refuse(stage, request.id).await?;
        return nothing_moved(stage, owner, &before).await;
    }
    stage.decide(request.id, true).await?;
    let request = stage.executed(request.id).await?;
    let (id, gas) = layer1_facts(stage, &request).await?;
    let what = format!("{} into the gateway", ether_of(U256::from(DEPOSIT)));
    stage.done(since, Step { what, approved: Some(request.sentence), id: Some(id), gas: Some(gas), ..Step::default() });

    let since = stage.begin("credit", "waiting for the operator to credit the deposit");
    stage
        .until("the deposit is credited on layer 2", PATIENCE, async |stage| {
            let state = stage.state(PAYER).await?;
            Ok((amount(&state["balance"]) == Some(U256::from(DEPOSIT))).then_some(()))
        })
        .await?;
    let what = format!("{} on layer 2", ether_of(U256::from(DEPOSIT)));
    stage.done(since, Step { what, ..Step::default() });
    Ok(())
}

/// Transaction hash and gas of an executed request.
async fn layer1_facts(stage: &Stage, request: &ApprovalView) -> anyhow::Result<(String, u64)> {
    let hash = request.outcome["transaction"].as_str().context("the request's outcome names no transaction")?;
    let receipt = stage.chain()?.mined(hash).await?;
    Ok((hash.to_owned(), receipt.gas_used))
}

/// Two fresh layer-2 accounts of the second solution.
async fn payees(stage: &mut Stage) -> anyhow::Result<Vec<String>> {
    let since = stage.begin("payees", "making two accounts to pay");
    // The plugin makes account 0 by itself.
    while addresses(&stage.state(SHOP).await?).len() < 3 {
        let before = addresses(&stage.state(SHOP).await?).len();
        stage
            .act(SHOP, "newAccount", json!({}), true, async |stage, _| {
                Ok((addresses(&stage.state(SHOP).await?).len() > before).then_some(Json::Null))
            })
            .await?;
    }
    let payees: Vec<String> = addresses(&stage.state(SHOP).await?).into_iter().skip(1).take(2).collect();
    stage.done(since, Step { what: format!("two accounts of `{SHOP}`: {}", payees.join(", ")), ..Step::default() });
    Ok(payees)
}

fn addresses(state: &Json) -> Vec<String> {
    let accounts = state["accounts"].as_array().cloned().unwrap_or_default();
    accounts.iter().filter_map(|account| account["address"].as_str().map(str::to_owned)).collect()
}

/// A decimal string of wei.
pub(super) fn amount(value: &Json) -> Option<U256> {
    U256::from_str_radix(value.as_str()?, 10).ok()
}

/// The entry of an account in a published state.
pub(super) fn account_of<'a>(state: &'a Json, address: &str) -> Option<&'a Json> {
    let accounts = state["accounts"].as_array()?;
    accounts.iter().find(|account| account["address"].as_str().is_some_and(|a| a.eq_ignore_ascii_case(address)))
}

/// The payment that one of these calls made, if any did.
pub(super) fn payment_of<'a>(state: &'a Json, ids: &[String]) -> Option<&'a Json> {
    let payments = state["payments"].as_array()?;
    payments.iter().find(|payment| {
        let ours = payment["reference"].as_str().is_some_and(|reference| ids.iter().any(|id| id == reference));
        ours && payment["stage"] != "refused"
    })
}

/// One payment on layer 2; gives the message's id.
pub(super) async fn make_payment(
    stage: &mut Stage,
    from: &'static str,
    to: &str,
    value: u128,
) -> anyhow::Result<String> {
    let params = json!({ "toAddress": to, "value": value.to_string() });
    let acted = stage
        .act(from, "makePayment", params, true, async |stage, ids| {
            let state = stage.state(from).await?;
            Ok(payment_of(&state, ids).map(|payment| payment["messageId"].clone()))
        })
        .await?;
    let id = acted.result.as_str().or_else(|| acted.result["messageId"].as_str());
    Ok(id.context("the payment gave no message id")?.to_owned())
}

async fn pay(stage: &mut Stage, number: usize, payee: &str, value: u128) -> anyhow::Result<()> {
    let since = stage.begin(if number == 0 { "pay-1" } else { "pay-2" }, "paying");
    let id = make_payment(stage, PAYER, payee, value).await?;
    let what = format!("{} to {payee}", ether_of(U256::from(value)));
    stage.done(since, Step { what, id: Some(id), ..Step::default() });
    Ok(())
}

/// Both sides see the same; gives the payer's account.
async fn read(stage: &mut Stage, payees: &[String]) -> anyhow::Result<String> {
    let since = stage.begin("read", "reading the state from both sides");
    let rest = U256::from(DEPOSIT - PAYMENTS.iter().sum::<u128>());
    let payees = payees.to_vec();
    let account = stage
        .until("both sides see the payments in a batch", PATIENCE, async |stage| {
            let (payer, shop) = (stage.state(PAYER).await?, stage.state(SHOP).await?);
            let Some(account) = addresses(&payer).into_iter().next() else { return Ok(None) };
            let settled = |state: &Json, address: &str, value: U256| {
                account_of(state, address).is_some_and(|entry| {
                    amount(&entry["balance"]) == Some(value)
                        && entry["finality"] != "soft"
                        && entry["finality"] != "unknown"
                })
            };
            let received = payees.iter().zip(PAYMENTS).all(|(payee, value)| settled(&shop, payee, U256::from(value)));
            Ok((settled(&payer, &account, rest) && received).then_some(account))
        })
        .await?;
    let what = format!("the payer has {}, the payees 0.2 ETH and 0.1 ETH, all in a batch on layer 1", ether_of(rest));
    stage.done(since, Step { what, ..Step::default() });
    Ok(account)
}

/// Asks the gateway for everything, and waits until no one can contest it any more.
async fn withdraw(stage: &mut Stage, owner: Address, account: &str) -> anyhow::Result<()> {
    let since = stage.begin(Rejectable::Withdraw.step(), "asking for the money back");
    let before = holdings(stage, owner).await?;
    let state = stage.state(PAYER).await?;
    let head =
        account_of(&state, account).map(|entry| entry["head"].clone()).context("the account is not published")?;
    let params = json!({ "fromAddress": account, "latestMessage": head });
    let rejecting = stage.options.reject == Some(Rejectable::Withdraw);
    let Some(request) = act_on_layer1(stage, "requestWithdrawPayment", params, rejecting).await? else {
        return nothing_moved(stage, owner, &before).await;
    };
    let (id, gas) = layer1_facts(stage, &request).await?;
    let what = "everything that is left asked back from layer 2".to_owned();
    stage.done(since, Step { what, approved: Some(request.sentence), id: Some(id), gas: Some(gas), ..Step::default() });

    let since = stage.begin("batch", "waiting for a batch with the withdrawal");
    let stages = |state: &Json| -> Option<String> {
        let withdrawals = state["withdrawals"].as_array()?;
        Some(withdrawals.first()?["stage"].as_str()?.to_owned())
    };
    stage
        .until("the withdrawal is in a batch", PATIENCE, async |stage| {
            let state = stage.state(PAYER).await?;
            Ok(stages(&state).filter(|stage| stage == "sequenced" || stage == "final").map(|_| ()))
        })
        .await?;
    stage.done(since, Step { what: "the withdrawal stands in a batch on layer 1".to_owned(), ..Step::default() });

    let since = stage.begin("window", "letting the challenge window pass");
    stage.chain()?.advance(CHALLENGE + 1).await?;
    stage
        .until("the batch is final", PATIENCE, async |stage| {
            let state = stage.state(PAYER).await?;
            Ok(stages(&state).filter(|stage| stage == "final").map(|_| ()))
        })
        .await?;
    let what = format!("the chain's clock moved by {} s: nobody contested, the batch is final", CHALLENGE + 1);
    stage.done(since, Step { what, ..Step::default() });
    Ok(())
}

/// Calls an action that makes one layer-1 call; gives its executed request, or `None` when it was rejected as asked.
async fn act_on_layer1(
    stage: &mut Stage,
    action: &str,
    params: Json,
    rejecting: bool,
) -> anyhow::Result<Option<ApprovalView>> {
    let acted = stage.act(PAYER, action, params, !rejecting, async |_, _| Ok(None)).await;
    match acted {
        Err(error) if rejecting && rpc(&error).is_some_and(|error| error.code == codes::REJECTED) => Ok(None),
        Err(error) => Err(error),
        Ok(_) if rejecting => bail!("`{action}` went through although its request was rejected"),
        Ok(acted) => {
            let request = acted.approval.context("the action asked for no layer-1 call")?;
            Ok(Some(stage.executed(request.id).await?))
        }
    }
}

async fn claim(stage: &mut Stage, owner: Address, account: &str) -> anyhow::Result<()> {
    let since: Instant = stage.begin(Rejectable::Claim.step(), "claiming");
    let before = holdings(stage, owner).await?;
    let state = stage.state(PAYER).await?;
    let withdrawn = account_of(&state, account).and_then(|entry| amount(&entry["withdrawn"]));
    let withdrawn = withdrawn.context("the withdrawn amount is not published")?;
    let rest = U256::from(DEPOSIT - PAYMENTS.iter().sum::<u128>());
    ensure!(withdrawn == rest, "{} are withdrawn, not {}", ether_of(withdrawn), ether_of(rest));
    let rejecting = stage.options.reject == Some(Rejectable::Claim);
    let Some(request) = act_on_layer1(stage, "claim", json!({ "fromAddress": account }), rejecting).await? else {
        return nothing_moved(stage, owner, &before).await;
    };
    let hash = request.outcome["transaction"].as_str().context("the claim's outcome names no transaction")?;
    let receipt = stage.chain()?.mined(hash).await?;
    let after = holdings(stage, owner).await?;
    let arrived = (after.owner + receipt.fee).checked_sub(before.owner);
    ensure!(
        arrived == Some(withdrawn),
        "the owner had {} and has {} after a fee of {}: not {} more",
        ether_of(before.owner),
        ether_of(after.owner),
        ether_of(receipt.fee),
        ether_of(withdrawn)
    );
    ensure!(before.gateway.checked_sub(after.gateway) == Some(withdrawn), "the gateway paid another amount");
    stage.facts.insert("withdrawn".to_owned(), json!(withdrawn.to_string()));
    stage.facts.insert("ownerBefore".to_owned(), json!(before.owner.to_string()));
    stage.facts.insert("ownerAfter".to_owned(), json!(after.owner.to_string()));
    stage.facts.insert("claimFee".to_owned(), json!(receipt.fee.to_string()));
    let what = format!(
        "the owner has {}: {} before, plus {}, less a fee of {}",
        ether_of(after.owner),
        ether_of(before.owner),
        ether_of(withdrawn),
        ether_of(receipt.fee)
    );
    let step = Step {
        what,
        approved: Some(request.sentence),
        id: Some(receipt.hash),
        gas: Some(receipt.gas_used),
        ..Step::default()
    };
    stage.done(since, step);
    Ok(())
}

/// The user changes their mind about the second solution: a permission is taken away, then the solution is removed.
async fn remove(stage: &mut Stage) -> anyhow::Result<()> {
    let since = stage.begin("remove", "taking a permission away, then removing the second solution");
    let grants: Vec<String> = stage.get("grants", json!({ "solution": SHOP })).await?;
    // Any will do; a short one reads best.
    let grant = grants.into_iter().min_by_key(String::len).context("the solution has no permission to take away")?;
    let taken = grant.clone();
    stage
        .until("the permission is taken away", PATIENCE, async |stage| {
            let left: Vec<String> = stage.get("grants", json!({ "solution": SHOP })).await?;
            if left.contains(&taken) {
                // Again after a crash: whether it was written is seen by the next look, not by this answer.
                let _ = stage.ask("grant_revoke", json!({ "solution": SHOP, "permission": taken })).await;
                return Ok(None);
            }
            Ok(Some(()))
        })
        .await?;
    stage
        .until("the solution is removed", PATIENCE, async |stage| {
            let list: Vec<SolutionView> = stage.get("solutions", json!({})).await?;
            if list.iter().any(|solution| solution.name == SHOP && solution.status != "removed") {
                let _ = stage.ask("solution_remove", json!({ "solution": SHOP })).await;
                return Ok(None);
            }
            Ok(Some(()))
        })
        .await?;
    let what = format!(
        "`{SHOP}` lost its permission \"{}\", then was removed; its keys' path stays reserved",
        visible(&grant)
    );
    stage.done(since, Step { what, ..Step::default() });
    Ok(())
}

/// The wallet's page, for whoever wants to look around.
async fn finish(stage: &mut Stage) -> anyhow::Result<()> {
    stage.begin("web", "asking for the page's address");
    match stage.ask("web_link", json!({})).await {
        Ok(link) => {
            stage.facts.insert("web".to_owned(), link);
        }
        Err(error) => tracing::debug!(%error, "there is no page"),
    }
    Ok(())
}
