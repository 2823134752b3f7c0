//! What a plugin's computations bring and take away, outside of messages.
//!
//! Input and output go by synchronous host calls as bytes (`compute.open`, `compute.write`, `compute.read`), because in
//! a message each byte would be two digits and a megabyte the end. What is asked (`compute.run`, `compute.progress`)
//! goes by the wallet's table of methods, where it is authorised (`wallet/compute.rs`). A ticket ties the two together.
//! Giving up (`compute.cancel`) is a host call as well: requests are refused beyond so many at a time, and a run that
//! nobody can end any more would hold its place until its time is used up.
//!
//! **Who ends when.** The desk belongs to one solution that runs; a new life of its script finds it empty. A ticket ends
//! when its output was read, or when the request that ran it is gone.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use entresol_sandbox::{Asset, HostCalls, Progress};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::crypto::Crypto;
use super::pool::Share;
use crate::error::{HostError, code};
use crate::locked;

/// Tickets of one plugin at a time: computations that wait, run, or whose output was not read.
const MAX_TICKETS: usize = 32;
/// Bytes of input and output that one plugin may have lying here.
const MAX_BYTES: usize = 64 << 20;
/// Computations of one plugin that run at a time; the others wait. More would only share the same cores.
const MAX_RUNNING: usize = 2;

/// One plugin's tickets and compiled assets.
#[derive(Debug)]
pub(crate) struct Desk {
    tickets: Mutex<Tickets>,
    /// Compiled once for a running solution; other solutions with the same bytes share them.
    pub(crate) assets: tokio::sync::Mutex<HashMap<String, Asset>>,
    pub(crate) running: Semaphore,
    /// Its part of the memory of all computations.
    pub(crate) share: OnceLock<Share>,
}

#[derive(Debug, Default)]
struct Tickets {
    last: u32,
    bytes: usize,
    open: HashMap<u32, Ticket>,
}

#[derive(Debug)]
struct Ticket {
    bytes: Vec<u8>,
    stage: Stage,
    /// What the asset told, and `None` when the run is over.
    progress: watch::Sender<Option<Progress>>,
    cancel: CancellationToken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Input,
    Running,
    Output,
}

impl Default for Desk {
    fn default() -> Self {
        Self {
            tickets: Mutex::default(),
            assets: tokio::sync::Mutex::default(),
            running: Semaphore::new(MAX_RUNNING),
            share: OnceLock::new(),
        }
    }
}

/// A run that was begun. Dropping it without an output ends its ticket.
pub(crate) struct Begun<'a> {
    desk: &'a Desk,
    ticket: u32,
    pub(crate) cancel: CancellationToken,
    pub(crate) progress: watch::Sender<Option<Progress>>,
    delivered: bool,
}

impl Desk {
    /// A new life of the script: nobody reads what the last one asked for.
    pub(crate) fn clear(&self) {
        let mut tickets = locked(&self.tickets);
        tickets.bytes = 0;
        for (_, ticket) in tickets.open.drain() {
            ticket.cancel.cancel();
        }
    }

    fn open(&self) -> Result<u32, String> {
        let mut tickets = locked(&self.tickets);
        if tickets.open.len() >= MAX_TICKETS {
            return Err(format!("more than {MAX_TICKETS} computations at once: await some first"));
        }
        tickets.last = tickets.last.wrapping_add(1);
        let id = tickets.last;
        let ticket = Ticket {
            bytes: Vec::new(),
            stage: Stage::Input,
            progress: watch::Sender::new(Some(Progress::default())),
            cancel: CancellationToken::new(),
        };
        tickets.open.insert(id, ticket);
        Ok(id)
    }

    fn write(&self, id: u32, bytes: &[u8]) -> Result<(), String> {
        let tickets = &mut *locked(&self.tickets);
        if tickets.bytes.saturating_add(bytes.len()) > MAX_BYTES {
            tickets.forget(id);
            return Err(format!("the inputs and outputs of computations are larger than {MAX_BYTES} bytes together"));
        }
        let ticket = tickets.open.get_mut(&id).filter(|ticket| ticket.stage == Stage::Input);
        ticket.ok_or("there is no such computation")?.bytes.extend_from_slice(bytes);
        tickets.bytes += bytes.len();
        Ok(())
    }

    /// Gives the output and ends the ticket.
    fn read(&self, id: u32) -> Result<Vec<u8>, String> {
        let mut tickets = locked(&self.tickets);
        if tickets.open.get(&id).is_none_or(|ticket| ticket.stage != Stage::Output) {
            return Err("there is no such output".to_owned());
        }
        tickets.forget(id).ok_or_else(|| "there is no such output".to_owned())
    }

    /// Takes the input for a run.
    pub(crate) fn begin(&self, id: u32) -> Result<(Begun<'_>, Vec<u8>), HostError> {
        let tickets = &mut *locked(&self.tickets);
        let ticket = tickets.open.get_mut(&id).filter(|ticket| ticket.stage == Stage::Input).ok_or_else(absent)?;
        ticket.stage = Stage::Running;
        let input = std::mem::take(&mut ticket.bytes);
        tickets.bytes -= input.len();
        let (cancel, progress) = (ticket.cancel.clone(), ticket.progress.clone());
        Ok((Begun { desk: self, ticket: id, cancel, progress, delivered: false }, input))
    }

    pub(crate) fn progress(&self, id: u32) -> Result<watch::Receiver<Option<Progress>>, HostError> {
        Ok(locked(&self.tickets).open.get(&id).ok_or_else(absent)?.progress.subscribe())
    }

    /// Ends a run, or a ticket whose run has not begun and need not. An output that lies there is left to be read.
    fn cancel(&self, id: u32) {
        let mut tickets = locked(&self.tickets);
        match tickets.open.get(&id).map(|ticket| ticket.stage) {
            Some(Stage::Input) => drop(tickets.forget(id)),
            Some(Stage::Running) => tickets.open[&id].cancel.cancel(),
            Some(Stage::Output) | None => {}
        }
    }
}

impl Tickets {
    fn forget(&mut self, id: u32) -> Option<Vec<u8>> {
        let ticket = self.open.remove(&id)?;
        ticket.cancel.cancel();
        ticket.progress.send_replace(None);
        self.bytes -= ticket.bytes.len();
        Some(ticket.bytes)
    }
}

impl Begun<'_> {
    /// Puts the output where the script reads it, and gives its length.
    pub(crate) fn deliver(mut self, output: Vec<u8>) -> Result<usize, HostError> {
        let length = output.len();
        let tickets = &mut *locked(&self.desk.tickets);
        if tickets.bytes.saturating_add(length) > MAX_BYTES {
            return Err(HostError::new(
                code::LIMIT,
                format!("the outputs of computations that were not read are larger than {MAX_BYTES} bytes together"),
            ));
        }
        // A new life of the script has ended all tickets of the last one.
        let ticket = tickets.open.get_mut(&self.ticket).ok_or_else(absent)?;
        ticket.stage = Stage::Output;
        ticket.bytes = output;
        ticket.progress.send_replace(None);
        tickets.bytes += length;
        self.delivered = true;
        Ok(length)
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.delivered {
            locked(&self.desk.tickets).forget(self.ticket);
        }
    }
}

fn absent() -> HostError {
    HostError::not_found("there is no such computation")
}

/// The synchronous host calls of one plugin.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) crypto: Crypto,
    pub(crate) desk: std::sync::Arc<Desk>,
}

impl HostCalls for Calls {
    fn is_pure(&self, name: &str) -> bool {
        self.crypto.is_pure(name)
    }

    fn call(&mut self, name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
        let ticket = || {
            let (id, rest) = payload.split_first_chunk().ok_or("a ticket has four bytes")?;
            Ok::<_, String>((u32::from_le_bytes(*id), rest))
        };
        match name {
            "compute.open" => self.desk.open().map(|id| id.to_le_bytes().to_vec()),
            "compute.write" => {
                let (id, bytes) = ticket()?;
                self.desk.write(id, bytes).map(|()| Vec::new())
            }
            "compute.read" => self.desk.read(ticket()?.0),
            "compute.cancel" => {
                self.desk.cancel(ticket()?.0);
                Ok(Vec::new())
            }
            _ => self.crypto.call(name, payload),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_goes_from_input_to_output_once_and_only_its_owner_has_it() {
        let desk = Desk::default();
        let id = desk.open().expect("room");
        desk.write(id, b"in").expect("room");
        desk.write(id, b"put").expect("room");
        let (begun, input) = desk.begin(id).expect("there");
        assert_eq!(input, b"input");
        assert!(desk.begin(id).is_err() && desk.write(id, b"more").is_err() && desk.read(id).is_err(), "it runs");
        assert_eq!(begun.deliver(b"out".to_vec()).expect("room"), 3);
        assert_eq!(desk.read(id).expect("there"), b"out");
        assert!(desk.read(id).is_err() && desk.begin(id).is_err(), "it is over");
        assert!(desk.read(0).is_err() && desk.write(77, b"").is_err());
        assert_eq!(locked(&desk.tickets).bytes, 0);
    }

    #[test]
    fn giving_up_ends_what_waits_and_what_runs_and_leaves_an_output() {
        let desk = Desk::default();
        let waiting = desk.open().expect("room");
        desk.write(waiting, b"input").expect("room");
        desk.cancel(waiting);
        assert!(desk.begin(waiting).is_err(), "it need not run any more");
        assert_eq!(locked(&desk.tickets).bytes, 0);
        let runs = desk.open().expect("room");
        let (begun, _) = desk.begin(runs).expect("there");
        desk.cancel(runs);
        assert!(begun.cancel.is_cancelled());
        drop(begun);
        let done = desk.open().expect("room");
        desk.begin(done).expect("there").0.deliver(b"out".to_vec()).expect("room");
        desk.cancel(done);
        assert_eq!(desk.read(done).expect("there"), b"out");
        desk.cancel(77);
        assert!(locked(&desk.tickets).open.is_empty());
    }

    #[test]
    fn tickets_and_bytes_are_bounded_and_come_back() {
        let desk = Desk::default();
        let ids: Vec<u32> = (0..MAX_TICKETS).map(|_| desk.open().expect("room")).collect();
        assert!(desk.open().expect_err("full").contains("await some first"));
        let (begun, _) = desk.begin(ids[0]).expect("there");
        let progress = desk.progress(ids[0]).expect("there");
        drop(begun);
        assert_eq!(*progress.borrow(), None, "whoever follows it hears the end");
        let again = desk.open().expect("room again");
        desk.write(again, &vec![0; MAX_BYTES]).expect("fits");
        assert!(desk.write(ids[1], b"x").expect_err("full").contains("larger than"));
        let (begun, _) = desk.begin(again).expect("there");
        let cancel = begun.cancel.clone();
        desk.clear();
        assert!(cancel.is_cancelled(), "a new life ends what the last one asked for");
        assert!(begun.deliver(vec![0; 8]).is_err());
        assert_eq!(locked(&desk.tickets).bytes, 0);
    }
}
