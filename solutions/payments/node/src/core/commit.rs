//! The committer: makes groups of promises durable, and only then hands out their receipts.

use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Instant;

use payments_protocol::{Domain, SignedReceipt};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::handle::{Answer, gone};
use super::{Core, SharedStore, read, write};
use crate::key::NodeKey;
use crate::metrics::Metrics;
use crate::parallel;
use crate::rpc::RpcError;
use crate::store::{LoggedMessage, StoreError};

/// Groups that wait while one is written. With one, ordering and writing overlap and groups grow as the disk slows.
const WAITING_GROUPS: usize = 1;

/// What is due to who handed a message in, once its group is durable.
#[derive(Clone, Debug)]
pub(super) enum Due {
    /// The receipt of this sequence.
    Logged(u64),
    /// A receipt that contradicts another; a built-in adversary's.
    Contradiction(SignedReceipt),
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
    /// The new ones; their receipts are not signed yet.
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
        let Group { mut rows, sent } = group;
        if let (Some(key), false) = (&self.key, rows.is_empty()) {
            parallel::each(&mut rows, |row| row.receipt_signature = key.sign(self.domain.digest(row.receipt().hash())));
            let began = Instant::now();
            self.store.lock().unwrap_or_else(PoisonError::into_inner).append_messages(&rows)?;
            self.metrics.commit(began.elapsed());
            if let Some(sequencer) = &mut write(&self.core).sequencer {
                sequencer.committed(&rows);
            }
        }
        let core = read(&self.core);
        for Answerable { reply, outcome, _place } in sent {
            let answer = outcome.and_then(|due| match due {
                Due::Logged(sequence) => {
                    let logged = core.sequencer.as_ref().and_then(|sequencer| sequencer.at(sequence));
                    logged.map(|logged| core.receipt(logged)).ok_or_else(gone)
                }
                Due::Contradiction(receipt) => Ok(receipt),
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
