//! Which chain a page looks at: switching to another (EIP-3326), having one added (EIP-3085), and who hears of it.

use serde_json::{Value as Json, json};

use crate::cdp::Page;
use crate::chain::{Chain, anvil};
use crate::public::{ADDRESS, Public};
use crate::site::Pages;
use crate::stage::{Stage, nothing, refused};
use crate::support::until;

/// Two tabs of different origins, both connected to an account.
fn two(stage: &Stage) -> [Page; 2] {
    ["127.0.0.1", "localhost"].map(|host| {
        let page = stage.open(host);
        stage.house.wallet.run(&["callers", "connect", &stage.caller(host)]).json();
        page.until("heard('accountsChanged').length === 1");
        page
    })
}

fn switch(page: &Page, chain: &str) -> Result<Json, Json> {
    page.attempt(&format!("ask('wallet_switchEthereumChain', [{{ chainId: '{chain}' }}])"))
}

#[test]
fn a_page_that_switches_hears_of_it_and_no_other_does() {
    let stage = Stage::plain(Pages::default());
    let [page, other] = two(&stage);
    refused(switch(&page, "0x64"), 4902, &["wallet_addEthereumChain"]);
    let second = Chain::empty(&anvil(), 100);
    stage.house.wallet.run(&["network", "add", "second", &second.url()]).json();
    assert_eq!(page.eval("heard('chainChanged')"), nothing(), "a network that is added changes nobody's");

    assert_eq!(switch(&page, "0x64"), Ok(Json::Null));
    page.until("heard('chainChanged').length === 1");
    assert_eq!(page.eval("heard('chainChanged')"), json!(["0x64"]));
    assert_eq!(page.eval("ask('eth_chainId')"), "0x64");
    assert_eq!(page.eval("ask('net_version')"), "100");
    // Reads are that chain's: this one has a block more.
    second.ask("evm_mine", json!([]));
    let head = page.eval("ask('eth_blockNumber')");
    assert_eq!(head, second.ask("eth_blockNumber", json!([])), "the second chain's head");

    assert_eq!(other.eval("ask('eth_chainId')"), "0x7a69");
    assert_eq!(other.eval("heard('chainChanged')"), nothing());
    // To where it is already, and back.
    assert_eq!(switch(&page, "0x64"), Ok(Json::Null));
    assert_eq!(switch(&page, "0x7a69"), Ok(Json::Null));
    page.until("heard('chainChanged').length === 2");
    assert_eq!(page.eval("heard('chainChanged')"), json!(["0x64", "0x7a69"]));
}

#[test]
fn a_chain_that_a_page_proposes_is_added_by_a_yes() {
    let mut stage = Stage::plain(Pages::default());
    let proposed = Chain::empty(&anvil(), 100);
    let lies = Chain::empty(&anvil(), 101);
    let public = Public::serving(proposed.url().trim_start_matches("http://"));
    // The wallet's machine reaches the world through a proxy.
    stage.house.daemon.signal(rustix::process::Signal::TERM);
    stage.house.daemon.child.wait().expect("waited");
    stage.house.daemon = stage.house.wallet.daemon_in(&public.environment());
    stage.house.wallet.run(&["unlock"]).json();
    let [page, other] = two(&stage);
    let propose = |page: &Page, chain: &str, url: &str| {
        page.start(&format!(
            "ask('wallet_addEthereumChain', [{{ chainId: '{chain}', chainName: 'Proposed', rpcUrls: ['{url}'],
               nativeCurrency: {{ name: 'Coin', symbol: 'COIN', decimals: 18 }} }}])"
        ))
    };
    let networks = || {
        let list = stage.house.wallet.run(&["network", "list"]).json();
        let names = list.as_array().expect("a list").iter().map(|one| one["name"].as_str().expect("text").to_owned());
        names.collect::<Vec<_>>()
    };
    // On this machine, said openly: refused before anybody is asked.
    let asked = propose(&page, "0x65", &lies.url());
    refused(page.finish(asked), -32602, &["https only"]);
    // Another chain than its endpoint serves: a yes adds nothing.
    let url = format!("https://{ADDRESS}/");
    let asked = propose(&page, "0x65", &url);
    let (id, digest) = (stage.pending()["id"].to_string(), stage.pending()["digest"].clone());
    let decide = ["approvals", "approve", &id, "--digest", digest.as_str().expect("a digest")];
    assert_eq!(stage.house.wallet.run(&decide).code, 1);
    let error = page.finish(asked).expect_err("the endpoint serves another chain");
    assert!(error["message"].as_str().expect("text").contains("100"), "{error}");
    assert_eq!((networks(), page.eval("heard('chainChanged')")), (vec!["devnet".to_owned()], nothing()));

    let asked = propose(&page, "0x64", &url);
    assert!(stage.pending()["rows"].to_string().contains(ADDRESS), "the user sees where it leads");
    assert_eq!(networks(), ["devnet"], "nothing before the yes");
    stage.approve();
    assert_eq!(page.finish(asked), Ok(Json::Null));
    assert_eq!(networks(), ["devnet", "proposed"]);
    page.until("heard('chainChanged').length === 1");
    assert_eq!(page.eval("heard('chainChanged')"), json!(["0x64"]));
    proposed.ask("evm_mine", json!([]));
    until("reads are of the new chain, through TLS", || {
        (page.eval("ask('eth_blockNumber')") == proposed.ask("eth_blockNumber", json!([]))).then_some(())
    });
    assert_eq!((other.eval("ask('eth_chainId')"), other.eval("heard('chainChanged')")), (json!("0x7a69"), nothing()));
    // Known now: another page that proposes it with another endpoint gets the user's own.
    let again = propose(&other, "0x64", "https://rpc.other.example/");
    assert_eq!(other.finish(again), Ok(Json::Null));
    stage.nothing_waits();
    other.until("heard('chainChanged').length === 1");
    let list = stage.house.wallet.run(&["network", "list"]).json();
    assert!(!list.to_string().contains("rpc.other.example"), "{list}");
}
