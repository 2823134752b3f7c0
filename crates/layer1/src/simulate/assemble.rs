//! Effects from logs and from what was read before and after.
//!
//! Where a value was read it counts, and what the log claims about it does not.

use std::collections::{BTreeMap, BTreeSet};

use alloy::primitives::{Address, I256, U256};

use super::claims::{Claim, RawLog, claims};
use super::reads::{Read, What};
use super::{Allowance, AllowanceChange, Effects, EtherChange, TokenChange, TokenChangeKind};

/// Fills `effects`. `before` and `after` are the answers to `reads`; `None` where a read failed.
pub(super) fn assemble(
    effects: Effects,
    logs: &[RawLog],
    reads: &[Read],
    before: &[Option<U256>],
    after: &[Option<U256>],
    complete: bool,
) -> Effects {
    let claimed: Vec<(Address, Claim)> =
        logs.iter().flat_map(|log| claims(log).into_iter().map(|claim| (log.address, claim))).collect();
    let mut made = Made::new(effects, nfts(&claimed), complete);
    let values = reads.iter().zip(before.iter().copied().zip(after.iter().copied()));
    for (read, (before, after)) in values {
        made.read(read, before, after);
    }
    for (token, claim) in &claimed {
        made.claim(*token, *claim);
    }
    made.finish()
}

/// Tokens that speak as ERC-721 do. Their `balanceOf` counts pieces, and is no amount.
fn nfts(claimed: &[(Address, Claim)]) -> BTreeSet<Address> {
    let is_nft = |claim: &Claim| matches!(claim, Claim::Erc721 { .. } | Claim::Approved { .. });
    claimed.iter().filter(|(_, claim)| is_nft(claim)).map(|(token, _)| *token).collect()
}

struct Made {
    effects: Effects,
    complete: bool,
    nfts: BTreeSet<Address>,
    ether: BTreeMap<Address, I256>,
    erc20: BTreeMap<(Address, Address), I256>,
    erc1155: BTreeMap<(Address, Address, U256), I256>,
    allowed: BTreeMap<(Address, Address, Address), Allowance>,
    /// What was read, successfully: claims about it do not count.
    known: BTreeSet<Read>,
}

impl Made {
    fn new(effects: Effects, nfts: BTreeSet<Address>, complete: bool) -> Self {
        Self {
            effects,
            complete,
            nfts,
            ether: BTreeMap::new(),
            erc20: BTreeMap::new(),
            erc1155: BTreeMap::new(),
            allowed: BTreeMap::new(),
            known: BTreeSet::new(),
        }
    }

    fn read(&mut self, read: &Read, before: Option<U256>, after: Option<U256>) {
        let token = read.token;
        if let What::OwnerOf { id } = read.what {
            // It reverts for what is not minted yet, or burnt: one answer of two is enough.
            if before.is_some() || after.is_some() {
                self.known.insert(*read);
                self.owner_changed(token, id, before.map(account), after.map(account));
            }
            return;
        }
        let (Some(before), Some(after)) = (before, after) else { return };
        self.known.insert(*read);
        if before == after {
            return;
        }
        match read.what {
            What::Balance { account } => {
                if !self.nfts.contains(&token) {
                    self.erc20.insert((token, account), difference(before, after));
                }
            }
            What::MultiBalance { account, id } => {
                self.erc1155.insert((token, account, id), difference(before, after));
            }
            What::Allowance { owner, spender } => {
                self.allowed.insert((token, owner, spender), Allowance::Erc20(after));
            }
            What::All { owner, operator } => {
                self.allowed.insert((token, owner, operator), Allowance::All(!after.is_zero()));
            }
            What::Approved { id, owner } => {
                self.allowed.insert((token, owner, account(after)), Allowance::Nft(id));
            }
            What::OwnerOf { .. } => {}
        }
    }

    fn owner_changed(&mut self, token: Address, id: U256, before: Option<Address>, after: Option<Address>) {
        if before == after {
            return;
        }
        for (owner, received) in [(before, false), (after, true)] {
            if let Some(account) = owner.filter(|owner| !owner.is_zero()) {
                let kind = TokenChangeKind::Erc721 { id, received };
                self.effects.tokens.push(TokenChange { token, account, kind });
            }
        }
    }

    /// What a log says and no read has settled.
    fn claim(&mut self, token: Address, claim: Claim) {
        match claim {
            Claim::Ether { from, to, amount } => {
                for (account, delta) in [(from, -amount_of(amount)), (to, amount_of(amount))] {
                    add(self.ether.entry(account).or_default(), delta);
                }
            }
            Claim::Erc20 { from, to, amount } => {
                for (account, delta) in [(from, -amount_of(amount)), (to, amount_of(amount))] {
                    if self.is_open(token, What::Balance { account }) && !account.is_zero() {
                        add(self.erc20.entry((token, account)).or_default(), delta);
                    }
                }
            }
            Claim::Erc721 { from, to, id } => {
                if self.is_open(token, What::OwnerOf { id }) {
                    self.owner_changed(token, id, Some(from), Some(to));
                }
            }
            Claim::Erc1155 { from, to, id, amount } => {
                for (account, delta) in [(from, -amount_of(amount)), (to, amount_of(amount))] {
                    if self.is_open(token, What::MultiBalance { account, id }) && !account.is_zero() {
                        add(self.erc1155.entry((token, account, id)).or_default(), delta);
                    }
                }
            }
            Claim::Allowance { owner, spender, amount } => {
                if self.is_open(token, What::Allowance { owner, spender }) {
                    self.allowed.insert((token, owner, spender), Allowance::Erc20(amount));
                }
            }
            Claim::Approved { owner, spender, id } => {
                if self.is_open(token, What::Approved { id, owner }) {
                    self.allowed.insert((token, owner, spender), Allowance::Nft(id));
                }
            }
            Claim::All { owner, operator, approved } => {
                if self.is_open(token, What::All { owner, operator }) {
                    self.allowed.insert((token, owner, operator), Allowance::All(approved));
                }
            }
        }
    }

    /// True when nothing was read about it; then the effects rest on a claim.
    fn is_open(&mut self, token: Address, what: What) -> bool {
        let open = !self.known.contains(&Read { token, what });
        let is_zero = matches!(
            what,
            What::Balance { account: Address::ZERO } | What::MultiBalance { account: Address::ZERO, .. }
        );
        if open && !is_zero {
            self.complete = false;
        }
        open
    }

    fn finish(self) -> Effects {
        let Self { mut effects, complete, ether, erc20, erc1155, allowed, .. } = self;
        let moved = |delta: &I256| !delta.is_zero();
        effects.ether.extend(
            ether.into_iter().filter(|(_, delta)| moved(delta)).map(|(account, delta)| EtherChange { account, delta }),
        );
        effects.tokens.extend(
            erc20.into_iter().filter(|(_, delta)| moved(delta)).map(|((token, account), delta)| TokenChange {
                token,
                account,
                kind: TokenChangeKind::Erc20 { delta },
            }),
        );
        effects.tokens.extend(erc1155.into_iter().filter(|(_, delta)| moved(delta)).map(
            |((token, account, id), delta)| TokenChange {
                token,
                account,
                kind: TokenChangeKind::Erc1155 { id, delta },
            },
        ));
        effects.allowances.extend(allowed.into_iter().map(|((token, owner, spender), amount)| AllowanceChange {
            token,
            owner,
            spender,
            amount,
        }));
        effects.complete = complete;
        effects
    }
}

fn account(word: U256) -> Address {
    Address::from_word(word.into())
}

/// Amounts above the signed range are cut: no real token has them, a lying one may.
fn amount_of(amount: U256) -> I256 {
    I256::try_from(amount).unwrap_or(I256::MAX)
}

fn difference(before: U256, after: U256) -> I256 {
    if after >= before { amount_of(after - before) } else { -amount_of(before - after) }
}

fn add(sum: &mut I256, delta: I256) {
    *sum = sum.saturating_add(delta);
}
