use super::*;
use crate::token::Token;
use alloy::primitives::U256;
use entresol_layer1::{AllowanceChange, EtherChange, TokenChange};

const ME: Address = Address::repeat_byte(0x11);
const OTHER: Address = Address::repeat_byte(0x22);
const TOKEN: Address = Address::repeat_byte(0x33);

fn effects() -> Effects {
    Effects {
        success: true,
        reason: None,
        gas_used: 50_000,
        ether: Vec::new(),
        tokens: Vec::new(),
        allowances: Vec::new(),
        method: "eth_simulateV1",
        complete: true,
    }
}

fn told(effects: &Effects) -> Told {
    let own = Own::from([(ME, "account 0".to_owned())]);
    let tokens = Tokens::from([(TOKEN, Token { symbol: Some("U\u{202e}SD".into()), decimals: Some(6) })]);
    tell(effects, &own, &tokens)
}

fn check(effects: &Effects, row: &str, warning: &str) {
    let told = told(effects);
    assert!(row.is_empty() || told.rows.iter().any(|r| r.value.contains(row)), "no row {row:?}: {told:#?}");
    let warned = told.warnings.iter().any(|text| text.contains(warning));
    assert!(if warning.is_empty() { told.warnings.is_empty() } else { warned }, "{warning:?}: {told:#?}");
}

#[test]
fn row_08_changes_are_told_in_words_for_the_users_accounts_only() {
    let mut all = effects();
    all.ether.push(EtherChange { account: ME, delta: -I256::try_from(1_500_000_000_000_000_000_i64).unwrap() });
    all.ether.push(EtherChange { account: OTHER, delta: I256::ONE });
    let erc20 = |delta: i64| TokenChangeKind::Erc20 { delta: I256::try_from(delta).unwrap() };
    all.tokens.push(TokenChange { token: TOKEN, account: ME, kind: erc20(2_500_000) });
    all.tokens.push(TokenChange { token: TOKEN, account: OTHER, kind: erc20(-77) });
    let nft = TokenChangeKind::Erc721 { id: U256::from(9), received: false };
    all.tokens.push(TokenChange { token: TOKEN, account: ME, kind: nft });
    check(&all, "account 0: −1.5 ETH (1500000000000000000 wei)", "");
    // Row 22: the token's name is its own word.
    check(&all, "account 0: +2.5 “U⟨U+202E⟩SD”", "");
    check(&all, "account 0: −the one with number 9", "");
    check(&all, "simulated on the newest block by eth_simulateV1 (50000 gas)", "");
    assert!(!told(&all).rows.iter().any(|row| row.value.contains("77")));
    check(&effects(), "nothing of yours", "");
}

#[test]
fn row_08_allowances_failures_and_blindness_are_loud() {
    let allow = |amount: Allowance| {
        let mut one = effects();
        one.allowances.push(AllowanceChange { token: TOKEN, owner: ME, spender: OTHER, amount });
        one
    };
    check(&allow(Allowance::Erc20(U256::MAX)), "UNLIMITED", "UNLIMITED allowance");
    check(&allow(Allowance::Erc20(U256::MAX >> 96)), "UNLIMITED", "UNLIMITED allowance");
    check(&allow(Allowance::Erc20(U256::from(1_000_000))), "may take up to 1 “U", "");
    check(&allow(Allowance::Erc20(U256::ZERO)), "no longer take", "");
    check(&allow(Allowance::All(true)), "EVERYTHING", "take ALL");
    check(&allow(Allowance::All(false)), "no longer", "");
    check(&allow(Allowance::Nft(U256::from(5))), "number 5", "");
    let mut of_others = effects();
    let amount = Allowance::Erc20(U256::MAX);
    of_others.allowances.push(AllowanceChange { token: TOKEN, owner: OTHER, spender: ME, amount });
    check(&of_others, "nothing of yours", "");
    check(&Effects { method: "eth_call", complete: false, ..effects() }, "succeeds", "Your node cannot simulate");
    check(&Effects { method: "debug_traceCall", complete: false, ..effects() }, "debug_traceCall", "in part");
    let failing = Effects { success: false, reason: Some("no\u{1b}[2J".into()), ..effects() };
    check(&failing, "", "would FAIL on the newest block: “no⟨U+001B⟩[2J”");
    assert!(told(&failing).fails);
}
