//! The state transition: a total function, the same here and in the gateway contract.
//!
//! Nothing is ever invalid in the sense of an error: a message or item that does not fit has **no effect**, with a
//! [`Reason`]. So the only fraud there is is a wrong root, and one transaction proves it.
//!
//! # Message
//! 1. Read the sender's slot.
//! 2. It is effective iff the kind is known, `from ≠ 0`, the signature is in range and recovers to `from` over the digest made
//!    with *the leaf's* nonce and head, `balance ≥ value + fee`, and `to ≠ 0` for a payment, `to = 0` for a withdrawal.
//! 3. Effective: balance falls by value + fee, nonce rises by one, head becomes the message's id; a withdrawal raises `withdrawn`.
//! 4. A payment then reads the recipient's slot *in the new state* (so `from = to` is two reads) and credits it. Is that slot
//!    held by another account, the whole message has no effect.
//!
//! Fees of a chunk go to the proposer's leaf once, at the chunk's end; it is not read when they sum to zero, and gets nothing when
//! its slot is held by another account.
//!
//! # Item
//! One read each, no fee: a deposit raises the balance; a forced exit moves the whole balance to `withdrawn`, raises the nonce and sets
//! the head, even if the balance is zero; a posted `Withdraw` is effective iff its id, rebuilt with the leaf's nonce and head, is the
//! item's and `balance ≥ value`.
//!
//! Reads, in this order, are what witnesses are made for: sender, then recipient if a valid payment, …, proposer if fees > 0.

use alloy::primitives::{Address, B256, U256};

use crate::{
    domain::Domain,
    inbox::{Item, ItemKind},
    message::{Kind, Message, Record, withdraw_id},
    signature::{Signature, SignatureError},
    state::{Found, Leaf, State},
};

/// What a message or item did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It took effect.
    Effective(Effect),
    /// It did nothing.
    NoEffect(Reason),
}

impl Outcome {
    /// The effect, if there was one.
    pub fn effect(&self) -> Option<&Effect> {
        match self {
            Self::Effective(effect) => Some(effect),
            Self::NoEffect(_) => None,
        }
    }

    /// The fee that the proposer is owed for it, in wei.
    pub fn fee(&self) -> u128 {
        match self {
            Self::Effective(Effect::Message { message, .. }) => message.fee,
            _ => 0,
        }
    }
}

/// The effect of a message or item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A message from a batch took effect, with the nonce and head it was signed for.
    Message {
        /// Its id: the sender's new head.
        id: B256,
        /// It, with nonce and prev from the leaf.
        message: Message,
    },
    /// A deposit was credited.
    Deposit {
        /// The account credited.
        account: Address,
        /// Wei.
        value: u128,
    },
    /// A forced exit emptied an account.
    ForcedExit {
        /// The account that left.
        account: Address,
        /// Wei moved from balance to withdrawn; may be zero.
        value: u128,
        /// The account's new head.
        head: B256,
    },
    /// A posted `Withdraw` took effect.
    PostedWithdraw {
        /// Its sender.
        account: Address,
        /// Wei moved from balance to withdrawn.
        value: u128,
        /// Its id: the sender's new head.
        id: B256,
    },
}

/// Why a message or item had no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The record's kind byte is neither payment nor withdrawal.
    #[error("unknown kind {0}")]
    UnknownKind(u8),
    /// `from` is the zero address.
    #[error("the sender is the zero address")]
    ZeroSender,
    /// The signature is out of range or belongs to no key.
    #[error("bad signature: {0}")]
    Signature(SignatureError),
    /// Signed by another key, or for another nonce, head, chain or gateway than the sender's present ones.
    #[error("not signed by the sender for its present nonce and head (recovers to {0})")]
    Signer(Address),
    /// The balance does not cover value and fee.
    #[error("balance {balance} wei is below value and fee, {needed} wei")]
    Balance {
        /// What the sender has.
        balance: u128,
        /// What it would take.
        needed: u128,
    },
    /// A payment to the zero address.
    #[error("a payment to the zero address")]
    ZeroRecipient,
    /// A withdrawal that names a recipient.
    #[error("a withdrawal with a recipient")]
    WithdrawTo,
    /// The posted `Withdraw` was signed for another nonce or head than the present ones.
    #[error("posted for another nonce or head than the account's present ones")]
    Stale,
    /// The slot is held by another account.
    #[error("the slot of {wanted} is held by {holder}")]
    Taken {
        /// Whose slot it is.
        wanted: Address,
        /// Who holds it.
        holder: Address,
    },
}

/// Where the transition reads and writes: the whole [`State`], or nothing but witnesses.
pub(crate) trait Accounts {
    /// Why a read can fail.
    type Error;
    /// What lies in the account's slot now.
    fn read(&mut self, account: Address) -> Result<Found, Self::Error>;
    /// Replaces the leaf that was read last; `account` is that account.
    fn write(&mut self, account: Address, leaf: Leaf);
    /// Takes the last write back; `before` is the leaf it replaced.
    fn undo(&mut self, account: Address, before: Leaf);
}

impl Accounts for State {
    type Error = std::convert::Infallible;

    fn read(&mut self, account: Address) -> Result<Found, Self::Error> {
        Ok(self.find(account))
    }

    fn write(&mut self, account: Address, leaf: Leaf) {
        self.set(account, leaf);
    }

    fn undo(&mut self, account: Address, before: Leaf) {
        self.set(account, before);
    }
}

/// Applies one record. The fee is taken from the sender; crediting it is the chunk's affair ([`credit_fees`]).
pub fn apply_record(domain: &Domain, state: &mut State, record: &Record) -> Outcome {
    match record_on(domain, state, record) {
        Ok(outcome) => outcome,
        Err(never) => match never {},
    }
}

/// Applies one record whose signer the caller may know already: `recover(id, signature)` must give what
/// [`Signature::recover`] gives for the digest of that id, and is asked at most once.
///
/// For those who checked a message before they apply it, and for a rehearsal that is confirmed afterwards.
pub fn apply_record_by(
    state: &mut State,
    record: &Record,
    recover: impl FnOnce(B256, &Signature) -> Result<Address, SignatureError>,
) -> Outcome {
    match record_by(state, record, recover) {
        Ok(outcome) => outcome,
        Err(never) => match never {},
    }
}

/// Applies one inbox item.
pub fn apply_item(domain: &Domain, state: &mut State, item: &Item) -> Outcome {
    match item_on(domain, state, item) {
        Ok(outcome) => outcome,
        Err(never) => match never {},
    }
}

/// Credits a chunk's fees to its proposer. Nothing if they are zero or another account holds the slot.
pub fn credit_fees(state: &mut State, proposer: Address, fees: u128) {
    match fees_on(state, proposer, fees) {
        Ok(()) => (),
        Err(never) => match never {},
    }
}

/// Steps 2 and 3 of the module's rule: the message and the sender's new leaf, or why not.
pub fn debit(domain: &Domain, record: &Record, leaf: &Leaf) -> Result<(B256, Message, Leaf), Reason> {
    debit_by(record, leaf, |id, signature| signature.recover(domain.digest(id)))
}

/// [`debit`] by a caller who knows who signed, see [`apply_record_by`].
fn debit_by(record: &Record, leaf: &Leaf, recover: impl Recover) -> Result<(B256, Message, Leaf), Reason> {
    let message = record.message(leaf).ok_or(Reason::UnknownKind(record.kind))?;
    if message.from.is_zero() {
        return Err(Reason::ZeroSender);
    }
    match message.kind {
        Kind::Payment if message.to.is_zero() => return Err(Reason::ZeroRecipient),
        Kind::Withdraw if !message.to.is_zero() => return Err(Reason::WithdrawTo),
        Kind::Payment | Kind::Withdraw => (),
    }
    // Below 2^97: value has 96 bits, the fee 62.
    let needed = message.value.wrapping_add(message.fee);
    if leaf.balance < needed {
        return Err(Reason::Balance { balance: leaf.balance, needed });
    }
    let id = message.id();
    let signer = recover(id, &record.signature).map_err(Reason::Signature)?;
    if signer != message.from {
        return Err(Reason::Signer(signer));
    }
    let withdrawn = match message.kind {
        Kind::Payment => leaf.withdrawn,
        Kind::Withdraw => leaf.withdrawn.wrapping_add(message.value),
    };
    let after =
        Leaf { balance: leaf.balance.wrapping_sub(needed), withdrawn, nonce: leaf.nonce.wrapping_add(1), head: id };
    Ok((id, message, after))
}

/// Who signed: the id of a message and its signature, to its signer.
pub(crate) trait Recover: FnOnce(B256, &Signature) -> Result<Address, SignatureError> {}

impl<F: FnOnce(B256, &Signature) -> Result<Address, SignatureError>> Recover for F {}

pub(crate) fn record_on<A: Accounts>(domain: &Domain, accounts: &mut A, record: &Record) -> Result<Outcome, A::Error> {
    record_by(accounts, record, |id, signature| signature.recover(domain.digest(id)))
}

fn record_by<A: Accounts>(accounts: &mut A, record: &Record, recover: impl Recover) -> Result<Outcome, A::Error> {
    let sender = match accounts.read(record.from)? {
        Found::Own(leaf) => leaf,
        Found::Taken(holder) => return Ok(taken(record.from, holder)),
    };
    let (id, message, debited) = match debit_by(record, &sender, recover) {
        Ok(effect) => effect,
        Err(reason) => return Ok(Outcome::NoEffect(reason)),
    };
    accounts.write(message.from, debited);
    if message.kind == Kind::Payment {
        match accounts.read(message.to)? {
            Found::Own(leaf) => {
                let balance = leaf.balance.wrapping_add(message.value);
                accounts.write(message.to, Leaf { balance, ..leaf });
            }
            Found::Taken(holder) => {
                accounts.undo(message.from, sender);
                return Ok(taken(message.to, holder));
            }
        }
    }
    Ok(Outcome::Effective(Effect::Message { id, message }))
}

pub(crate) fn item_on<A: Accounts>(domain: &Domain, accounts: &mut A, item: &Item) -> Result<Outcome, A::Error> {
    let account = item.who;
    let leaf = match accounts.read(account)? {
        Found::Own(leaf) => leaf,
        Found::Taken(holder) => return Ok(taken(account, holder)),
    };
    let (after, effect) = match item.kind {
        ItemKind::Deposit => {
            let after = Leaf { balance: leaf.balance.wrapping_add(item.value), ..leaf };
            (after, Effect::Deposit { account, value: item.value })
        }
        ItemKind::ForcedExit => {
            let (value, head) = (leaf.balance, item.exit_head(domain));
            let after = Leaf {
                balance: 0,
                withdrawn: leaf.withdrawn.wrapping_add(value),
                nonce: leaf.nonce.wrapping_add(1),
                head,
            };
            (after, Effect::ForcedExit { account, value, head })
        }
        ItemKind::PostedWithdraw => {
            let (value, fee) = (U256::from(item.value), U256::from(item.fee));
            let id = withdraw_id(account, value, fee, leaf.nonce, leaf.head);
            if id != item.message_id {
                return Ok(Outcome::NoEffect(Reason::Stale));
            }
            if leaf.balance < item.value {
                let (balance, needed) = (leaf.balance, item.value);
                return Ok(Outcome::NoEffect(Reason::Balance { balance, needed }));
            }
            let after = Leaf {
                balance: leaf.balance.wrapping_sub(item.value),
                withdrawn: leaf.withdrawn.wrapping_add(item.value),
                nonce: leaf.nonce.wrapping_add(1),
                head: id,
            };
            (after, Effect::PostedWithdraw { account, value: item.value, id })
        }
    };
    accounts.write(account, after);
    Ok(Outcome::Effective(effect))
}

pub(crate) fn fees_on<A: Accounts>(accounts: &mut A, proposer: Address, fees: u128) -> Result<(), A::Error> {
    if fees == 0 {
        return Ok(());
    }
    if let Found::Own(leaf) = accounts.read(proposer)? {
        let balance = leaf.balance.wrapping_add(fees);
        accounts.write(proposer, Leaf { balance, ..leaf });
    }
    Ok(())
}

fn taken(wanted: Address, holder: Address) -> Outcome {
    Outcome::NoEffect(Reason::Taken { wanted, holder })
}

#[cfg(test)]
mod tests;
