//! The committer: makes groups of promises durable, and only then hands out their receipts.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use payments_protocol::{Domain, ReceiptTree, SignedReceipt};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::handle::{Answer, gone};
use super::{Core, SharedStore, read, write};
use crate::key::NodeKey;
use crate::metrics::Metrics;
use crate::rpc::RpcError;
use crate::store::{LoggedMessage, Seal, StoreError};

/// Groups that wait while one is written. With one, ordering and writing overlap and groups grow as the disk slows.
const WAITING_GROUPS: usize = 1;

/// Most receipts under one signature; the protocol allows more. Whoever asks for an old receipt has its whole tree made
/// again, which with this many costs about what checking a message does, and the signature costs each a hundredth.
const SEALED: usize = 128;

/// What is due to who handed a message in, once its group is durable.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// The receipt of this sequence.
    Logged(u64),
    /// A receipt that contradicts another; a built-in adversary's.
    Contradiction(Box<SignedReceipt>),
}

/// Who waits for the outcome of a message.
pub(super) struct Answerable {
    pub(super) reply: oneshot::Sender<Answer>,
    pub(super) outcome: Result<Due, RpcError>,
    /// Given back when it is answered.
    pub(super) _place: OwnedSemaphorePermit,
}

/// Messages that are written together. Refusals wait as well: they may rest on promises of the same group.
pub(super) struct Group {
    /// The new ones; their receipts are signed when they are written.
    pub(super) rows: Vec<LoggedMessage>,
    pub(super) sent: Vec<Answerable>,
}

/// The thread, and the way to it.
pub(super) struct Committer {
    pub(super) groups: SyncSender<Group>,
    thread: JoinHandle<Result<(), StoreError>>,
}

impl Committer {
    pub(super) fn start(core: &Arc<RwLock<Core>>) -> std::io::Result<Self> {
        let (groups, queue) = mpsc::sync_channel(WAITING_GROUPS);
        let work = {
            let known = read(core);
            Work {
                core: Arc::clone(core),
                store: Arc::clone(&known.store),
                key: known.setup.key.clone(),
                domain: known.chain.domain,
                metrics: Arc::clone(&known.metrics),
            }
        };
        let thread =
            std::thread::Builder::new().name("payments-commit".to_owned()).spawn(move || work.serve(&queue))?;
        Ok(Self { groups, thread })
    }

    /// Waits until everything handed over is answered. An error is a disk that refuses: the node must end.
    pub(super) fn end(self) -> Result<(), StoreError> {
        drop(self.groups);
        let panicked = || StoreError::Damaged("the thread that writes promises broke".to_owned());
        self.thread.join().unwrap_or_else(|_| Err(panicked()))
    }
}

struct Work {
    core: Arc<RwLock<Core>>,
    store: SharedStore,
    key: Option<NodeKey>,
    domain: Domain,
    metrics: Arc<Metrics>,
}

impl Work {
    fn serve(&self, groups: &Receiver<Group>) -> Result<(), StoreError> {
        while let Ok(mut group) = groups.recv() {
            while let Ok(next) = groups.try_recv() {
                group.rows.extend(next.rows);
                group.sent.extend(next.sent);
            }
            self.commit(group)?;
        }
        Ok(())
    }

    fn commit(&self, group: Group) -> Result<(), StoreError> {
        let Group { rows, sent } = group;
        let (mut trees, mut earlier) = (Vec::new(), None);
        if let (Some(key), false) = (&self.key, rows.is_empty()) {
            let mut seals = Vec::new();
            for rows in rows.chunks(SEALED) {
                let (seal, tree) = seal(rows, key, &self.domain)?;
                seals.push(seal);
                trees.push(Some(tree));
            }
            let began = Instant::now();
            // A kill before this is done loses what was signed, and nobody has seen it: the sequences may be given
            // again in other words.
            self.store.lock().unwrap_or_else(PoisonError::into_inner).append_messages(&rows, &seals)?;
            self.metrics.commit(began.elapsed());
            if let Some(sequencer) = &mut write(&self.core).sequencer {
                sequencer.committed(&rows, &seals);
            }
        }
        let core = read(&self.core);
        for Answerable { reply, outcome, _place } in sent {
            let answer = outcome.and_then(|due| match due {
                Due::Logged(sequence) => {
                    // Who sends an old message again must not have a new tree made anew for everybody else.
                    let place = rows.first().and_then(|first| sequence.checked_sub(first.sequence));
                    let place = place.and_then(|place| usize::try_from(place).ok());
                    let tree = place.and_then(|place| trees.get_mut(place / SEALED)).unwrap_or(&mut earlier);
                    // What memory has forgotten meanwhile is in the store.
                    let logged = core.receipted(sequence, 1).ok().and_then(|mut messages| messages.pop());
                    logged.and_then(|logged| core.receipt(&logged, tree)).ok_or_else(gone)
                }
                Due::Contradiction(receipt) => Ok(*receipt),
            });
            match &answer {
                Ok(_) => self.metrics.accept(),
                Err(error) => self.metrics.refuse(error.code),
            }
            // Whoever asked may have gone; the promise stands.
            let _ = reply.send(answer);
        }
        for row in rows {
            core.tell_account(row.record.from);
            if !row.record.to.is_zero() {
                core.tell_account(row.record.to);
            }
        }
        Ok(())
    }
}

/// Signs the receipts of consecutive messages.
fn seal(rows: &[LoggedMessage], key: &NodeKey, domain: &Domain) -> Result<(Seal, ReceiptTree), StoreError> {
    let broken = || StoreError::Damaged("messages that were ordered are no chain".to_owned());
    let tree = ReceiptTree::new(rows.iter().map(LoggedMessage::receipt)).ok_or_else(broken)?;
    let group = tree.group();
    let signature = key.sign(group.digest(domain));
    Ok((Seal { first: group.first, count: group.count, signature }, tree))
}
