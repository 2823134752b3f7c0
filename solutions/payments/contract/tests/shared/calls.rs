//! The protocol's shapes as the contract's arguments.

use alloy::primitives::{Address, Bytes, U256};
use payments_contract::PaymentsGateway as Gateway;
use payments_protocol::{Contest, Submission, Witness};

pub(crate) fn submission_call(submission: &Submission) -> Gateway::submitBatchCall {
    Gateway::submitBatchCall {
        id: U256::from(submission.id),
        previousCommitment: submission.previous_commitment,
        inboxEnd: submission.inbox_end,
        accumulator: submission.accumulator,
        roots: submission.roots.clone(),
        records: submission.records.clone(),
    }
}

pub(crate) fn claim_call(
    batch: u64,
    witness: &Witness,
    recipient: Address,
    signature: impl Into<Bytes>,
) -> Gateway::claimCall {
    Gateway::claimCall {
        batch: U256::from(batch),
        witness: sol_witness(witness),
        recipient,
        signature: signature.into(),
    }
}

fn sol_witness(witness: &Witness) -> Gateway::Witness {
    Gateway::Witness {
        account: witness.account,
        balance: witness.balance,
        withdrawn: witness.withdrawn,
        nonce: witness.nonce,
        head: witness.head,
        siblings: witness.siblings.clone(),
    }
}

pub(crate) fn contest_call(contest: &Contest) -> Gateway::contestCall {
    let preimage = &contest.preimage;
    Gateway::contestCall {
        batch: Gateway::Preimage {
            id: U256::from(preimage.id),
            previousCommitment: preimage.previous_commitment,
            proposer: preimage.proposer,
            inboxStart: preimage.inbox_start,
            inboxEnd: preimage.inbox_end,
            leaves: preimage.leaves.clone(),
        },
        chunk: U256::from(contest.chunk),
        previous: Gateway::Opening { dataHash: contest.previous_data_hash, root: contest.previous_root },
        claimedRoot: contest.claimed_root,
        items: contest
            .items
            .iter()
            .map(|item| Gateway::Item {
                kind: item.kind as u8,
                who: item.who,
                value: item.value,
                fee: item.fee,
                time: item.time,
                messageId: item.message_id,
                depositor: item.depositor,
            })
            .collect(),
        records: contest.records.clone(),
        witnesses: contest.witnesses.iter().map(sol_witness).collect(),
    }
}
