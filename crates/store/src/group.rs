//! Group commit: writes of plugins' databases that come at the same time share one transaction and one flush.
//!
//! A flush is what a small write waits for, and the disk does so many of them a second. So each write goes into a queue.
//! The first one leads: it takes the connection, takes everything that has queued up meanwhile, carries it out in one
//! transaction, tells everybody the result, and hands the lead to the front of the queue. While one group is being
//! flushed the next one queues up; nothing waits for company.
//!
//! * **Each on its own.** Every write has a savepoint and a result of its own: one that is refused takes nothing with
//!   it. When the group cannot be written as a whole (say, the disk is full), each is tried alone.
//! * **Acknowledged is durable.** A result is given after the commit has returned.
//! * **In order.** Writes are carried out as they came, all of the queue at a time, so none is overtaken for ever. A
//!   leader serves one group only. Between two groups the connection is free for the wallet's other writes.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};

use entresol_durable::write_point;
use rusqlite::{Connection, Savepoint};

use crate::database::{Store, begin};
use crate::{KvOp, SolutionId, StoreError, kv};

/// What a waiting writer is told.
enum Turn {
    /// Carry out the next group; the writer's own write is in it.
    Lead,
    /// The writer's own write has been carried out.
    Done(Result<(), StoreError>),
}

/// One write and who waits for it.
struct Job {
    solution: SolutionId,
    ops: Vec<KvOp>,
    quota: u64,
    reply: Sender<Turn>,
}

/// Writes that wait, and whether somebody is about to carry them out.
#[derive(Default)]
pub(crate) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    led: bool,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while leading. Given back also after a panic: the writes that were taken are abandoned then, not the queue.
struct Lead<'a>(&'a Queue);

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        while let Some(front) = state.jobs.front() {
            if front.reply.send(Turn::Lead).is_ok() {
                return;
            }
            state.jobs.pop_front();
        }
        state.led = false;
    }
}

impl Store {
    /// Carries out a write together with others that come at the same time; returns when it is durable, or refused.
    pub(crate) fn write_in_group(&self, solution: SolutionId, ops: Vec<KvOp>, quota: u64) -> Result<(), StoreError> {
        let (reply, turns) = channel();
        let lead = {
            let mut state = self.queue().lock();
            state.jobs.push_back(Job { solution, ops, quota, reply });
            !std::mem::replace(&mut state.led, true)
        };
        if lead {
            self.lead();
        }
        self.wait(&turns)
    }

    fn wait(&self, turns: &Receiver<Turn>) -> Result<(), StoreError> {
        loop {
            match turns.recv() {
                Ok(Turn::Lead) => self.lead(),
                Ok(Turn::Done(result)) => return result,
                Err(_) => return Err(StoreError::Abandoned),
            }
        }
    }

    /// Carries out what is in the queue once the connection is free.
    fn lead(&self) {
        let _lead = Lead(self.queue());
        let mut connection = self.connection();
        let jobs = std::mem::take(&mut self.queue().lock().jobs);
        carry_out(&mut connection, jobs);
    }
}

fn carry_out(connection: &mut Connection, jobs: VecDeque<Job>) {
    if jobs.len() > 1
        && let Ok(results) = together(connection, &jobs)
    {
        jobs.into_iter().zip(results).for_each(|(job, result)| answer(&job, result));
        return;
    }
    for job in jobs {
        let result = alone(connection, &job);
        answer(&job, result);
    }
}

fn answer(job: &Job, result: Result<(), StoreError>) {
    // A writer waits until it is told, so somebody listens.
    let _ = job.reply.send(Turn::Done(result));
}

fn alone(connection: &mut Connection, job: &Job) -> Result<(), StoreError> {
    let tx = begin(connection)?;
    kv::batch(&tx, job.solution, &job.ops, job.quota)?;
    write_point!("store.kv.write", tx.commit())?;
    Ok(())
}

/// The result of each, or an error of the whole: then nothing was written.
fn together(connection: &mut Connection, jobs: &VecDeque<Job>) -> Result<Vec<Result<(), StoreError>>, StoreError> {
    let mut tx = begin(connection)?;
    let mut results = Vec::with_capacity(jobs.len());
    for job in jobs {
        let savepoint = tx.savepoint()?;
        let result = kv::batch(&savepoint, job.solution, &job.ops, job.quota);
        end(savepoint, result.is_ok())?;
        results.push(result);
    }
    write_point!("store.kv.write", tx.commit())?;
    Ok(results)
}

/// Fails when SQLite has rolled back the whole transaction by itself, as it does when the disk is full.
fn end(savepoint: Savepoint<'_>, keep: bool) -> rusqlite::Result<()> {
    if keep { savepoint.commit() } else { savepoint.finish() }
}

#[cfg(test)]
mod tests;
