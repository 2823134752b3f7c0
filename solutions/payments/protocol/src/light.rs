//! What a wallet checks that does not replay: its own leaf, and who paid it.
//!
//! A light wallet takes from layer 1 a batch's root, its commitment, and whether the batch is final; everything else may come from a
//! node that lies. It believes
//! - **its leaf**, when a witness leads from it to the root, and when nonce and head in it are its own doing: those after one of
//!   the messages it signed or of the exits it forced. A head that it does not know means that somebody else has its key, or
//!   that the root is false: an alarm either way;
//! - **who paid**, when the chunk, executed from its witnesses, comes to the root claimed for it and one of the effects is a
//!   payment to the wallet. That the message *lies* in the chunk says nothing: without effect it paid nobody.
//!
//! All of it is provisional until the batch is final: a later chunk of the same batch, or an earlier batch, can still be false, and then
//! the payment is undone though nothing is wrong with its own chunk.

use alloy::primitives::{Address, B256};

use crate::{
    contest::{BadWitness, Contest},
    domain::Domain,
    message::{Kind, Message},
    state::{Leaf, Witness, WitnessError},
    transition::{Effect, Outcome},
};

/// What a wallet knows of its own account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Nonce and head after each message and forced exit that may have taken effect, oldest first. The first may be the last
    /// one known to be final; an account that never sent anything has none.
    heads: Vec<(u64, B256)>,
    /// The largest `withdrawn` seen in a final batch, in wei.
    withdrawn: u128,
    /// Whether it has sent something that is final: then an account that never sent anything is not this one's.
    sent: bool,
}

/// Why a wallet does not believe what it is told of itself or of a payment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LightError {
    /// The proof does not fit the root.
    #[error("the proof of the account's leaf does not fit the batch's root; ask another node")]
    Witness(#[source] WitnessError),
    /// Nonce and head are those of a message or exit that is not this wallet's.
    #[error(
        "nonce {nonce} and head {head} are of no message of this wallet: its key is in other hands or the batch is false"
    )]
    NotOwn {
        /// In the leaf.
        nonce: u64,
        /// In the leaf.
        head: B256,
    },
    /// The counter of withdrawals is lower than it was in a final batch.
    #[error("withdrawn is {found} wei and was {known} wei in a final batch: the batch is false or older than that one")]
    Withdrawn {
        /// In the leaf.
        found: u128,
        /// Known before.
        known: u128,
    },
    /// The chunk is of another batch than the one whose commitment layer 1 has.
    #[error("the chunk belongs to another batch (commitment {found}, layer 1 has {expected})")]
    Batch {
        /// Of the proof.
        found: B256,
        /// Of layer 1.
        expected: B256,
    },
    /// The chunk cannot be executed from what was sent.
    #[error("the chunk cannot be executed from this proof; ask another node")]
    Proof(#[source] BadWitness),
    /// The chunk comes to another root: the batch can be contested with this very proof.
    #[error("the chunk comes to root {computed} and claims {claimed}: the batch is false, contest it")]
    Fraud {
        /// What it comes to.
        computed: B256,
        /// What the operator claims.
        claimed: B256,
    },
}

impl Own {
    /// Remembers a message that the wallet signed.
    pub fn signed(&mut self, message: &Message) {
        self.heads.push((message.nonce.wrapping_add(1), message.id()));
    }

    /// Remembers a forced exit that the wallet asked for on layer 1, by the head it leaves ([`Item::exit_head`](crate::Item::exit_head)).
    /// Any nonce fits: how many messages took effect before it is the inbox's affair.
    pub fn exited(&mut self, head: B256) {
        self.heads.push((u64::MAX, head));
    }

    /// Remembers the leaf of a final batch: from there on, nothing older is believed.
    pub fn settle(&mut self, leaf: &Leaf) {
        let at = self.heads.iter().position(|known| Self::is(known, leaf));
        self.heads.drain(..at.unwrap_or(0));
        self.withdrawn = self.withdrawn.max(leaf.withdrawn);
        self.sent |= leaf.nonce > 0;
    }

    fn is((nonce, head): &(u64, B256), leaf: &Leaf) -> bool {
        *head == leaf.head && (*nonce == leaf.nonce || *nonce == u64::MAX)
    }

    /// The account's leaf in the state with this root, if all in it is the wallet's own doing.
    ///
    /// # Errors
    /// The proof does not fit; nonce and head are somebody else's; withdrawals were taken back.
    pub fn check(&self, root: B256, account: Address, witness: &Witness) -> Result<Leaf, LightError> {
        let leaf = witness.verify(root, account).map_err(LightError::Witness)?;
        let untouched = !self.sent && leaf.nonce == 0 && leaf.head.is_zero();
        let known = self.heads.iter().any(|known| Self::is(known, &leaf));
        if !known && !untouched {
            return Err(LightError::NotOwn { nonce: leaf.nonce, head: leaf.head });
        }
        match leaf.withdrawn < self.withdrawn {
            true => Err(LightError::Withdrawn { found: leaf.withdrawn, known: self.withdrawn }),
            false => Ok(leaf),
        }
    }
}

/// The payments to `account` that took effect in a chunk of the batch with this commitment.
///
/// # Errors
/// The proof is of another batch, is none, or shows that the batch is false.
pub fn payments_to(
    domain: &Domain,
    commitment: B256,
    proof: &Contest,
    account: Address,
) -> Result<Vec<Message>, LightError> {
    let found = proof.preimage.commitment();
    if found != commitment {
        return Err(LightError::Batch { found, expected: commitment });
    }
    let report = proof.check(domain).map_err(LightError::Proof)?;
    if report.root != proof.claimed_root {
        return Err(LightError::Fraud { computed: report.root, claimed: proof.claimed_root });
    }
    let effects = report.outcomes.into_iter().filter_map(|outcome| match outcome {
        Outcome::Effective(Effect::Message { message, .. }) => Some(message),
        _ => None,
    });
    Ok(effects.filter(|message| message.kind == Kind::Payment && message.to == account).collect())
}

#[cfg(test)]
mod tests;
