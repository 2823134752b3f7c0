//! Layer-1 calls of a plugin: contracts and roles, tokens, layer-2 accounts, defence, deadlines, reads.

use crate::probe::*;
use crate::says;
use crate::support::*;
use alloy::primitives::{Address, U256};
use entresol_host::Caller;
use entresol_host::error::code;
use entresol_host::messages::CallInput;
use serde_json::{Value as Json, json};

fn big(value: u64) -> Json {
    json!({ "$n": value.to_string() })
}

fn with_gateway() -> Package {
    Package { contracts: json!({ "gateway": app_contract() }), ..Package::default() }
}

/// Everything about a request in one text.
fn told(request: &entresol_host::messages::ApprovalView) -> String {
    let rows: Vec<String> = request.rows.iter().map(|row| format!("{}: {}", row.label, row.value)).collect();
    format!("{}\n{}\n{}", request.sentence, rows.join("\n"), request.warnings.join("\n"))
}

#[tokio::test(flavor = "multi_thread")]
async fn row_23_only_listed_functions_of_listed_contracts_can_be_called() {
    let anvil = Anvil::start().await;
    let (gateway, other, token) =
        (anvil.deploy_test("App").await, anvil.deploy_test("App").await, anvil.deploy_test("Token").await);
    let wallet = Wallet::new(&anvil).await;
    let package = Package {
        contracts: json!({
            "gateway": app_contract(), "app": further_contract("eip155:31337", other),
            "far": further_contract("eip155:1", other),
        }),
        ..Package::default()
    };
    wallet.probe("probe", &package, Some(gateway)).await;
    let withdraw = async |call: Json| wallet.ask("probe", "wallet.withdraw", json!([call])).await;
    for (call, number, words) in [
        (json!({ "function": "transfer", "args": [] }), code::UNAUTHORIZED, "does not allow the function"),
        (json!({ "function": "close", "args": [true] }), code::UNAUTHORIZED, "does not allow the function"),
        (json!({ "function": "deposit", "args": [gateway] }), code::UNAUTHORIZED, "does not allow the function"),
        (
            json!({ "contract": "token", "function": "poke", "args": [big(1)] }),
            code::UNAUTHORIZED,
            "no contract \"token\"",
        ),
        (json!({ "contract": token, "function": "poke", "args": [big(1)] }), code::UNAUTHORIZED, "no contract"),
        (json!({ "contract": "far", "function": "poke", "args": [big(1)] }), code::INVALID_PARAMS, "on this chain"),
        (json!({ "function": "poke", "args": [] }), code::INVALID_PARAMS, "takes 1 arguments"),
        (json!({ "function": "poke", "args": ["x"] }), code::INVALID_PARAMS, "times"),
        (
            json!({ "function": "poke", "args": [big(1)], "value": big(1) }),
            code::INVALID_PARAMS,
            "does not take \"value\"",
        ),
        (json!({ "function": "poke", "args": [big(1)], "to": other }), code::INVALID_PARAMS, "does not take \"to\""),
        (json!({ "function": "poke", "args": [big(1)], "from": 0 }), code::INVALID_PARAMS, "never asked for"),
        (json!({ "function": "poke", "args": [big(1)], "deadline": 0 }), code::INVALID_PARAMS, "has passed"),
        (
            json!({ "function": "poke", "args": [big(1)], "deadline": "soon" }),
            code::INVALID_PARAMS,
            "number of a block",
        ),
        (json!({ "args": [] }), code::INVALID_PARAMS, "state the function"),
        // It would fail: nobody is asked.
        (json!({ "function": "withdraw", "args": [big(1)] }), code::TRANSACTION_REJECTED, "refuses"),
    ] {
        says(withdraw(call.clone()).await, number, words);
    }
    let deposit = async |call: Json| wallet.ask("probe", "wallet.deposit", json!([call])).await;
    for (call, number, words) in [
        (json!({ "function": "poke", "value": big(1) }), code::UNAUTHORIZED, "does not allow the function"),
        (json!({ "contract": "app", "value": big(1) }), code::INVALID_PARAMS, "does not take \"contract\""),
        (json!({ "value": "much" }), code::INVALID_PARAMS, "BigInt"),
        (json!({}), code::INVALID_PARAMS, "BigInt"),
        (
            json!({ "function": "depositToken", "args": [token, big(1)], "value": big(1) }),
            code::INVALID_PARAMS,
            "no value",
        ),
        (json!({ "token": { "address": token } }), code::INVALID_PARAMS, "amount"),
        (json!({ "token": { "address": "0x12", "amount": big(1) } }), code::INVALID_PARAMS, "address"),
        (
            json!({ "value": big(1), "token": { "address": "0x00000000000000000000000000000000000000aa", "amount": big(1) } }),
            code::INVALID_PARAMS,
            "no contract at the token",
        ),
    ] {
        says(deposit(call.clone()).await, number, words);
    }
    wallet.assert_nothing_was_asked().await;

    // The further contract is called by its name, at its own address, and is shown so.
    let network = anvil.network().await;
    let call = json!([{ "contract": "app", "function": "poke", "args": [big(3)] }]);
    let (request, answer) = wallet.ask_approved("probe", "wallet.withdraw", call).await;
    let text = told(&request);
    assert!(text.contains(&other.to_checksum(None)) && text.contains("\"app\" of probe"), "{text}");
    assert!(text.contains("poke(uint256)") && text.contains("times (uint256): 3"), "{text}");
    answer.expect("sent");
    until("it is called", async || (read(&network, other, "pokes()", &[]).await == U256::from(3)).then_some(())).await;
    assert_eq!(read(&network, gateway, "pokes()", &[]).await, U256::ZERO);
    // A grant that is taken back closes exactly that function.
    let grants = wallet.host().grants(&USER, "probe").await.expect("grants");
    let poke = grants.iter().find(|grant| grant.contains("app.poke")).expect("granted").clone();
    wallet.host().grant_revoke(&USER, "probe", &poke).await.expect("revoked");
    let call = json!({ "contract": "app", "function": "poke", "args": [big(3)] });
    says(withdraw(call).await, code::UNAUTHORIZED, "not granted");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_deposit_is_two_transactions_under_one_approval() {
    let anvil = Anvil::start().await;
    let (gateway, token) = (anvil.deploy_test("App").await, anvil.deploy_test("Token").await);
    let mut wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &with_gateway(), Some(gateway)).await;
    let owner: Address = wallet.host().accounts(&USER).await.expect("accounts")[0].address.parse().expect("an address");
    anvil.send(token, &calldata("mint(address,uint256)", &[word(owner), U256::from(1000)])).await;
    let network = anvil.network().await;
    let balance = async |of: Address| read(&network, token, "balanceOf(address)", &[word(of)]).await;
    let allowance = async || read(&network, token, "allowance(address,address)", &[word(owner), word(gateway)]).await;
    until("the owner has tokens", async || (balance(owner).await == U256::from(1000)).then_some(())).await;

    let call = |amount: u64| json!([{ "function": "depositToken", "args": [token, big(amount)], "token": { "address": token, "amount": big(amount) } }]);
    // More than there is: told before anybody is asked.
    let error = wallet.ask("probe", "wallet.deposit", call(5000)).await.expect_err("would fail");
    assert_eq!(error.code, code::TRANSACTION_REJECTED, "{error}");
    wallet.assert_nothing_was_asked().await;

    let (request, answer) = wallet.ask_approved("probe", "wallet.deposit", call(300)).await;
    let text = told(&request);
    for words in [
        "Deposit 300 of the token",
        &format!("Token: {}", token.to_checksum(None)),
        &format!("First calls: approve({}, 300)", gateway.to_checksum(None)),
        "Calls: depositToken(address,uint256)",
        "one after the other",
    ] {
        assert!(text.contains(words), "{words:?} is missing in\n{text}");
    }
    answer.expect("sent");
    until("the gateway has them", async || (balance(gateway).await == U256::from(300)).then_some(())).await;
    assert_eq!(allowance().await, U256::ZERO, "exactly the amount");
    let transfers = until("the transfer is confirmed", async || {
        let transfers = wallet.host().transfers(&USER, Some("probe")).await.expect("transfers");
        (transfers.len() == 1 && transfers[0].stage == "confirmed").then_some(transfers)
    })
    .await;
    assert_eq!((transfers[0].amount.as_str(), transfers[0].asset.as_str()), ("300", &*token.to_checksum(None)));

    // The wallet stops between the two transactions: the next start waits for the first and sends the second, once.
    anvil.automine(false).await;
    let host = wallet.host().clone();
    let args = call(200).to_string();
    let asking = tokio::spawn(async move {
        let params = json!({ "method": "wallet.deposit", "args": args });
        let input = CallInput {
            solution: "probe".into(),
            action: "ask".into(),
            params: params.as_object().cloned().unwrap_or_default(),
            id: None,
        };
        host.call(&USER, input).await
    });
    let request = wallet.waiting().await;
    let decision = entresol_host::messages::Decision {
        id: request.id,
        approve: true,
        digest: request.digest.clone(),
        refuse: Vec::new(),
        accounts: Vec::new(),
    };
    wallet.host().approval_decide(&USER, decision).await.expect("decided");
    let pooled = async || {
        let status = network.request("txpool_status", json!([])).await.expect("an answer");
        status["pending"].as_str().unwrap_or_default().to_owned()
    };
    until("the allowance is sent", async || (pooled().await == "0x1").then_some(())).await;
    wallet.restart().await;
    asking.abort();
    let _ = asking.await;
    assert_eq!(pooled().await, "0x1", "the allowance is not sent twice");
    anvil.mine(1).await;
    until("the deposit is sent", async || (pooled().await == "0x1").then_some(())).await;
    anvil.mine(1).await;
    anvil.automine(true).await;
    until("the gateway has them", async || (balance(gateway).await == U256::from(500)).then_some(())).await;
    assert_eq!(allowance().await, U256::ZERO);
    let done = wallet.host().approval_wait(&USER, request.id, true, DEADLINE).await.expect("there");
    assert_eq!(done.state, "done", "{:?}", done.outcome);

    // The deposit fails after its allowance: the words say what stands.
    anvil.automine(false).await;
    let (answer, ()) = tokio::join!(wallet.ask("probe", "wallet.deposit", call(100)), async {
        let request = wallet.waiting().await;
        let decision = entresol_host::messages::Decision {
            id: request.id,
            approve: true,
            digest: request.digest,
            refuse: Vec::new(),
            accounts: Vec::new(),
        };
        wallet.host().approval_decide(&USER, decision).await.expect("decided");
        until("the allowance is sent", async || (pooled().await == "0x1").then_some(())).await;
        anvil.send(gateway, &calldata("close(bool)", &[U256::from(1)])).await;
        anvil.mine(1).await;
        anvil.automine(true).await;
    });
    says(answer, code::TRANSACTION_REJECTED, "may still take 100 of the token");
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_2_account_sends_what_the_owner_funded_it_for() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy_test("App").await;
    let wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &with_gateway(), Some(gateway)).await;
    let account = wallet.ask("probe", "wallet.getAccount", json!([2])).await.expect("an account");
    let address: Address = account["address"].as_str().expect("text").parse().expect("an address");
    let network = anvil.network().await;
    let poke = json!([{ "function": "poke", "args": [big(1)], "from": 2 }]);
    says(
        wallet.ask("probe", "wallet.withdraw", poke.clone()).await,
        code::TRANSACTION_REJECTED,
        "fundAccount(2, value)",
    );
    for (args, words) in [
        (json!([7, big(5)]), "never asked for"),
        (json!([2, big(0)]), "above zero"),
        (json!([2, "much"]), "BigInt"),
        (json!([2]), "BigInt"),
    ] {
        says(wallet.ask("probe", "wallet.fundAccount", args).await, code::INVALID_PARAMS, words);
    }
    let much = json!([2, { "$n": "90000000000000000000" }]);
    says(wallet.ask("probe", "wallet.fundAccount", much).await, code::TRANSACTION_REJECTED, "90 ETH");
    wallet.assert_nothing_was_asked().await;
    let eth = json!({ "$n": "1000000000000000000" });
    let (request, answer) = wallet.ask_approved("probe", "wallet.fundAccount", json!([2, eth])).await;
    assert_eq!(request.kind, "fund");
    let text = told(&request);
    assert!(text.contains(&address.to_checksum(None)) && text.contains("layer-2 account 2"), "{text}");
    answer.expect("sent");
    until("it has the ETH", async || (!network.balance(address).await.expect("a balance").is_zero()).then_some(()))
        .await;
    // Another role than defend is asked like any other; it leaves from the layer-2 account.
    let (request, answer) = wallet.ask_approved("probe", "wallet.withdraw", poke).await;
    assert!(told(&request).contains("layer-2 account 2"), "{}", told(&request));
    answer.expect("sent");
    until("it is called", async || (read(&network, gateway, "pokes()", &[]).await == U256::from(1)).then_some(()))
        .await;
    assert_eq!(read(&network, gateway, "last()", &[]).await, word(address));
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_defence_from_a_layer_2_account_never_asks_and_nothing_of_a_caller_stops_it() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy_test("App").await;
    let wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &with_gateway(), Some(gateway)).await;
    wallet.grant_shop("probe", &["look"]).await;
    let account = wallet.ask("probe", "wallet.getAccount", json!([0])).await.expect("an account");
    let address = account["address"].as_str().expect("text").to_owned();
    anvil.give(&address, "0x8ac7230489e80000").await;
    let network = anvil.network().await;
    let contests = async || read(&network, gateway, "contests()", &[]).await;
    let contest = json!([{ "function": "contest", "args": [big(1)], "from": 0 }]);
    wallet.ask("probe", "wallet.withdraw", contest.clone()).await.expect("sent without a question");
    until("it is called", async || (contests().await == U256::from(1)).then_some(())).await;
    // From the owner it is asked like any other.
    let (request, answer) =
        wallet.ask_approved("probe", "wallet.withdraw", json!([{ "function": "contest", "args": [big(1)] }])).await;
    assert!(request.sentence.contains("protect your value"), "{}", request.sentence);
    answer.expect("sent");
    until("it is called", async || (contests().await == U256::from(2)).then_some(())).await;

    // A caller keeps a call open that only reads, and the seed is locked: the hook defends all the same, and the
    // caller stands among its causes.
    let program = json!({ "requests": [["wallet.withdraw", contest], ["wallet.withdraw", [{ "function": "poke", "args": [big(1)], "from": 0 }]]] });
    wallet.ask("probe", "wallet.persist", json!(["hook:onSchedule", program])).await.expect("kept");
    let host = wallet.host().clone();
    let open = tokio::spawn(async move {
        let params = json!({ "method": "wallet.getAccounts", "args": "[]" });
        let input = CallInput {
            solution: "probe".into(),
            action: "look".into(),
            params: params.as_object().cloned().unwrap_or_default(),
            id: None,
        };
        host.call_as(&Caller::App { name: "shop".into() }, input, Vec::new()).await
    });
    until("the call is open", async || {
        (wallet.call("probe", "holding", json!({})).await.expect("counted") == json!("1")).then_some(())
    })
    .await;
    let path = wallet.host().solution(&USER, "probe").await.expect("there").key_path;
    wallet.vault.lock_seed(&[path.parse().expect("a path")]).expect("locked");
    wallet.ask("probe", "wallet.schedule", json!([{ "name": "now", "after": 0 }])).await.expect("scheduled");
    until("it is called", async || (contests().await == U256::from(3)).then_some(())).await;
    let did = until("the hook has ended", async || {
        let did = wallet.ask("probe", "wallet.getFromLocalDb", json!(["did:onSchedule"])).await.expect("read");
        (!did.is_null()).then_some(did)
    })
    .await;
    assert!(did[0]["ok"]["transaction"].is_string(), "{did}");
    assert_eq!(did[1]["code"], json!(code::UNAUTHORIZED), "only defence goes out: {did}");
    let all = wallet.host().approvals(&USER, true).await.expect("approvals");
    let defence: Vec<_> = all.iter().filter(|one| one.decided_by.as_deref() == Some("role defend")).collect();
    assert_eq!(defence.len(), 2, "{all:?}");
    assert!(defence.iter().any(|one| one.causes.iter().any(|cause| cause.contains("shop"))), "{defence:?}");
    // Closed as well, even the defence waits, and says what to do.
    wallet.vault.lock();
    let again = json!([{ "function": "contest", "args": [big(1)], "from": 0 }]);
    says(wallet.ask("probe", "wallet.withdraw", again).await, code::UNAUTHORIZED, "entresol unlock");
    open.abort();
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_of_layer_1_are_listed_split_and_bounded() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy_test("App").await;
    let wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &with_gateway(), Some(gateway)).await;
    let request = async |method: &str, params: Json| {
        wallet.ask("probe", "layer1.request", json!([{ "method": method, "params": params }])).await
    };
    for method in ["eth_sendRawTransaction", "eth_sign", "eth_accounts", "anvil_setBalance", "debug_traceCall", ""] {
        says(request(method, json!([])).await, code::UNSUPPORTED, "not a read");
    }
    let proof = request("eth_getProof", json!([gateway, [], "latest"])).await.expect("a proof");
    assert!(proof["accountProof"].is_array(), "{proof}");
    // Events at both ends of a range that is asked for in parts.
    let deposit = calldata("deposit(address)", &[word(gateway)]);
    anvil.send(gateway, &deposit).await;
    for _ in 0..9 {
        anvil.mine(500).await;
    }
    anvil.send(gateway, &deposit).await;
    let (head, logs) = until("both deposits are there", async || {
        let head = request("eth_blockNumber", json!([])).await.expect("a number");
        let filter = json!([{ "address": gateway, "fromBlock": "earliest", "toBlock": head }]);
        let logs = request("eth_getLogs", filter).await.expect("logs");
        (logs.as_array().map(Vec::len) == Some(2)).then_some((head, logs))
    })
    .await;
    let number = |log: &Json| u64::from_str_radix(&log["blockNumber"].as_str().expect("hex")[2..], 16).expect("hex");
    assert!(number(&logs[1]) - number(&logs[0]) > 4500, "{logs}");
    let hash = logs[1]["blockHash"].clone();
    let by_hash = request("eth_getLogs", json!([{ "address": gateway, "blockHash": hash }])).await.expect("logs");
    assert_eq!(by_hash.as_array().map(Vec::len), Some(1));
    let turned = json!([{ "fromBlock": head, "toBlock": "0x1" }]);
    says(request("eth_getLogs", turned).await, code::INVALID_PARAMS, "above");
    let wide = json!([{ "fromBlock": "0x0", "toBlock": "0xfffffff" }]);
    says(request("eth_getLogs", wide).await, code::LIMIT, "blocks at once");
    // An answer that is too large is an error with its size, not a flood.
    let code = format!("0x{}", "00".repeat(500_000));
    anvil.network().await.request("anvil_setCode", json!([RICH, code])).await.expect("set");
    let error = request("eth_getCode", json!([RICH, "latest"])).await.expect_err("too large");
    assert_eq!(error.code, code::LIMIT, "{error}");
    assert!(error.data["size"].as_u64().is_some_and(|size| size > 1_000_000), "{}", error.data);
    wallet.host().shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fee_rises_until_the_deadline_and_the_user_is_told_when_it_may_not_rise_further() {
    let anvil = Anvil::start().await;
    let gateway = anvil.deploy_test("App").await;
    let mut wallet = Wallet::new(&anvil).await;
    wallet.probe("probe", &with_gateway(), Some(gateway)).await;
    let account = wallet.ask("probe", "wallet.getAccount", json!([0])).await.expect("an account");
    anvil.give(account["address"].as_str().expect("text"), "0x8ac7230489e80000").await;
    let network = anvil.network().await;
    anvil.automine(false).await;
    let head = async || {
        let number = network.request("eth_blockNumber", json!([])).await.expect("a number");
        u64::from_str_radix(&number.as_str().expect("hex")[2..], 16).expect("hex")
    };
    // A block with this base fee; the wallet has seen it when this returns.
    let block = async |wallet: &Wallet, gwei: u64| {
        let fee = json!([format!("0x{:x}", gwei * 1_000_000_000)]);
        network.request("anvil_setNextBlockBaseFeePerGas", fee).await.expect("set");
        anvil.mine(1).await;
        let number = head().await;
        until("the wallet sees the block", async || {
            let seen = wallet.host().networks(&USER).await.expect("networks")[0].head;
            (seen >= Some(number)).then_some(())
        })
        .await;
    };
    let defend = async |wallet: &Wallet, blocks: u64| {
        let call = json!([{ "function": "contest", "args": [big(1)], "from": 0, "deadline": head().await + blocks }]);
        wallet.ask("probe", "wallet.withdraw", call).await.expect("sent")["transaction"].clone()
    };
    let replaced = async |wallet: &Wallet| {
        let rows = wallet.host().activity(&USER, crate::about("probe")).await.expect("a journal");
        rows.iter().filter(|row| row.action == "replace transaction").count()
    };
    block(&wallet, 1).await;
    let first = defend(&wallet, 20).await;
    // The base fee is above what it offers; raised within the ceiling it is included in time, also over a restart.
    block(&wallet, 5).await;
    assert_eq!(replaced(&wallet).await, 0, "there is time");
    wallet.restart().await;
    wallet.plugin("probe", "running").await;
    until("the fee is raised and the call included", async || {
        block(&wallet, 5).await;
        let receipt = network.request("eth_getTransactionReceipt", json!([first])).await.expect("an answer");
        assert!(receipt.is_null(), "the first offer is too low");
        (read(&network, gateway, "contests()", &[]).await == U256::from(1)).then_some(())
    })
    .await;
    assert!(replaced(&wallet).await >= 1);
    let transfers = until("the transfer is confirmed", async || {
        block(&wallet, 5).await;
        let transfers = wallet.host().transfers(&USER, Some("probe")).await.expect("transfers");
        (transfers.len() == 1 && transfers[0].stage == "confirmed").then_some(transfers)
    })
    .await;
    assert_ne!(transfers[0].transaction.as_deref(), first.as_str(), "it hangs on the one that was mined");

    // The base fee goes where the ceiling does not reach: the user is told early, and at the end.
    let before = wallet.host().notices(&USER, true).await.expect("notices").len();
    defend(&wallet, 12).await;
    let mut notices = Vec::new();
    for _ in 0..14 {
        block(&wallet, 1000).await;
        notices = wallet.host().notices(&USER, true).await.expect("notices");
    }
    let words = until("the user is told", async || {
        let words: Vec<String> =
            wallet.host().notices(&USER, true).await.expect("notices").into_iter().map(|n| n.text).collect();
        words.iter().any(|text| text.contains("was not included in time")).then_some(words)
    })
    .await;
    assert!(notices.len() > before, "{words:?}");
    assert!(words.iter().any(|text| text.contains("above the ceiling")), "{words:?}");
    assert!(words.iter().any(|text| text.contains("still waits")), "{words:?}");
    wallet.host().shutdown().await;
}
