//! What policies let pass, reserved before the effect and ended after it.
//!
//! ```text
//! reserved ──settle──▶ settled        the effect happened: it counts for a window's length after its end
//!     └─────release──▶ released       it did not happen and counts no more
//! ```
//!
//! A released reservation can still be settled: when the effect turns up after all (a reorganisation), it counts.

use entresol_durable::write_point;
use rusqlite::{Connection, OptionalExtension, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::amount::{self, Amount};
use crate::database::{Store, begin};
use crate::policies::{self, Policy};
use crate::row::text_enum;
use crate::{StoreError, row};

text_enum! {
    /// How far a reservation has come.
    pub enum ReservationState {
        /// The effect may happen.
        Reserved = "reserved",
        /// The effect happened.
        Settled = "settled",
        /// The effect did not happen.
        Released = "released",
    }
}

/// What is to be reserved under one policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewReservation {
    /// The policy that lets it pass.
    pub policy: u64,
    /// What it is for, such as `approval:7`; a policy reserves once for each subject.
    pub subject: String,
    /// Decimal, in the smallest unit of `token`.
    pub amount: String,
    /// Ceiling of the fee, decimal wei.
    pub fee: String,
    /// Token contract, lower-case `0x` hex; `None` for ether.
    pub token: Option<String>,
    /// Anything else, the host's data.
    pub detail: Value,
}

/// One reservation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reservation {
    /// Its number.
    pub id: u64,
    /// What is reserved; once settled, what it came to.
    #[serde(flatten)]
    pub reservation: NewReservation,
    /// How far it has come.
    pub state: ReservationState,
    /// Unix milliseconds.
    pub reserved_at: u64,
    /// When it was settled or released, unix milliseconds.
    pub ended_at: Option<u64>,
}

/// `reservation.amount` reads better than `reservation.reservation.amount`.
impl std::ops::Deref for Reservation {
    type Target = NewReservation;

    fn deref(&self) -> &NewReservation {
        &self.reservation
    }
}

/// What a policy has let pass in a window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WindowSum {
    /// Sum of the amounts in the token asked for, decimal.
    pub amount: String,
    /// Sum of the fees of all, whatever the token, decimal wei.
    pub fee: String,
    /// Number of all, whatever the token.
    pub count: u64,
}

/// What a check sees: the state inside the transaction that will reserve.
#[derive(Debug)]
pub struct ReservationView<'a> {
    connection: &'a Connection,
}

impl ReservationView<'_> {
    /// What the policy has let pass since `since`; see [`Store::policy_window`].
    ///
    /// # Errors
    /// Any error of the database.
    pub fn window(&self, policy: u64, token: Option<&str>, since: u64) -> Result<WindowSum, StoreError> {
        window(self.connection, policy, token, since)
    }

    /// The policy as it is now.
    ///
    /// # Errors
    /// [`NotFound`](StoreError::NotFound).
    pub fn policy(&self, id: u64) -> Result<Policy, StoreError> {
        policies::get(self.connection, id)
    }
}

fn read(r: &Row<'_>) -> rusqlite::Result<Reservation> {
    Ok(Reservation {
        id: r.get("id")?,
        reservation: NewReservation {
            policy: r.get("policy")?,
            subject: r.get("subject")?,
            amount: r.get("amount")?,
            fee: r.get("fee")?,
            token: r.get("token")?,
            detail: row::json(r, "detail")?,
        },
        state: r.get("state")?,
        reserved_at: r.get("reserved_at")?,
        ended_at: r.get("ended_at")?,
    })
}

/// An open reservation counts however old it is: its effect may still come. A settled one counts from its end.
fn window(connection: &Connection, policy: u64, token: Option<&str>, since: u64) -> Result<WindowSum, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT amount, fee, token FROM reservations
         WHERE policy = ?1 AND (state = 'reserved' OR (state = 'settled' AND ended_at >= ?2))",
    )?;
    let mut rows = statement.query((policy, since))?;
    let (mut amount, mut fee, mut count) = (Amount::default(), Amount::default(), 0);
    while let Some(r) = rows.next()? {
        if r.get_ref("token")?.as_str_or_null().ok().flatten() == token {
            amount.add(r.get_ref("amount")?.as_str().unwrap_or_default())?;
        }
        fee.add(r.get_ref("fee")?.as_str().unwrap_or_default())?;
        count += 1;
    }
    Ok(WindowSum { amount: amount.to_string(), fee: fee.to_string(), count })
}

/// Checks and reserves inside a transaction of the caller's; gives the ids, and whether anything was written.
pub(crate) fn reserve(
    tx: &Transaction<'_>,
    new: &[NewReservation],
    check: impl FnOnce(&ReservationView<'_>) -> Result<(), String>,
    now: u64,
) -> Result<(Vec<u64>, bool), StoreError> {
    let known = |one: &NewReservation| {
        tx.prepare_cached("SELECT * FROM reservations WHERE policy = ?1 AND subject = ?2")?
            .query_row((one.policy, &one.subject), read)
            .optional()
    };
    let all = new.iter().map(known).collect::<Result<Vec<_>, _>>()?;
    if let Some(ended) = all.iter().flatten().find(|one| one.state == ReservationState::Released) {
        return Err(StoreError::ReservationReleased { subject: ended.subject.clone() });
    }
    let ids: Vec<u64> = all.iter().flatten().map(|one| one.id).collect();
    if ids.len() == new.len() {
        return Ok((ids, false));
    }
    for one in new {
        amount::check(&one.amount)?;
        amount::check(&one.fee)?;
        let policy = policies::get(tx, one.policy)?;
        if !policy.is_active(now) {
            return Err(StoreError::PolicyInactive { id: one.policy });
        }
    }
    check(&ReservationView { connection: tx }).map_err(|reason| StoreError::PolicyRefused { reason })?;
    let mut insert = tx.prepare_cached(
        "INSERT INTO reservations (policy, subject, amount, fee, token, state, reserved_at, detail)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut ids = Vec::with_capacity(new.len());
    for (one, known) in new.iter().zip(all) {
        if let Some(known) = known {
            ids.push(known.id);
            continue;
        }
        let detail = row::to_json(&one.detail)?;
        insert.execute(rusqlite::params![
            one.policy,
            one.subject,
            one.amount,
            one.fee,
            one.token,
            ReservationState::Reserved,
            now,
            detail
        ])?;
        ids.push(row::last_id(tx));
    }
    Ok((ids, true))
}

impl Store {
    /// For tests: the wallet reserves with the request it is for, by
    /// [`create_decided_approval`](Self::create_decided_approval), which does this in its own transaction.
    ///
    /// Reserves under every policy named, or under none, in one transaction: the policies must be active, and `check`
    /// sees what they have let pass and may refuse. No two reservations can both be the last that fits.
    ///
    /// Asking again for the same policies and subjects gives the ids of the first time, without a check, so that
    /// going on after a crash does not count twice.
    ///
    /// # Errors
    /// [`PolicyRefused`](StoreError::PolicyRefused) with the reason that `check` gave,
    /// [`PolicyInactive`](StoreError::PolicyInactive), [`NotFound`](StoreError::NotFound),
    /// [`ReservationReleased`](StoreError::ReservationReleased) when the subject was given up before,
    /// [`BadAmount`](StoreError::BadAmount). Nothing is reserved then.
    #[doc(hidden)]
    pub fn reserve(
        &self,
        new: &[NewReservation],
        check: impl FnOnce(&ReservationView<'_>) -> Result<(), String>,
        now: u64,
    ) -> Result<Vec<u64>, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let (ids, written) = reserve(&tx, new, check, now)?;
        if written {
            write_point!("store.approval.pass", tx.commit())?;
        }
        Ok(ids)
    }

    /// What the policy has let pass and may yet let happen: everything reserved and open, and everything settled at or
    /// after `since` (unix milliseconds). `token` says which amounts are summed, `None` those in ether.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn policy_window(&self, policy: u64, token: Option<&str>, since: u64) -> Result<WindowSum, StoreError> {
        window(&self.connection(), policy, token, since)
    }

    /// The effect happened: ends every reservation of the subject, with what it really came to where that is known.
    /// What is settled stays as it is. Returns how many were settled now.
    ///
    /// # Errors
    /// [`BadAmount`](StoreError::BadAmount).
    pub fn settle_reservations(
        &self,
        subject: &str,
        amount: Option<&str>,
        fee: Option<&str>,
        now: u64,
    ) -> Result<usize, StoreError> {
        amount.map(amount::check).transpose()?;
        fee.map(amount::check).transpose()?;
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let changed = tx.execute(
            "UPDATE reservations SET state = 'settled', amount = coalesce(?2, amount), fee = coalesce(?3, fee), ended_at = ?4
             WHERE subject = ?1 AND state <> 'settled'",
            (subject, amount, fee, now),
        )?;
        if changed > 0 {
            write_point!("store.reservation.settle", tx.commit())?;
        }
        Ok(changed)
    }

    /// The effect did not happen and never will: gives back what is reserved for the subject. Returns how many were
    /// released now; what is settled stays.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn release_reservations(&self, subject: &str, now: u64) -> Result<usize, StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        let changed = tx.execute(
            "UPDATE reservations SET state = 'released', ended_at = ?2 WHERE subject = ?1 AND state = 'reserved'",
            (subject, now),
        )?;
        if changed > 0 {
            write_point!("store.reservation.release", tx.commit())?;
        }
        Ok(changed)
    }

    /// Reserved and not ended: what a start after a crash has to settle or release, oldest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn open_reservations(&self) -> Result<Vec<Reservation>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM reservations WHERE state = 'reserved' ORDER BY id")?;
        Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
    }

    /// The newest reservations of a policy, newest first.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn reservations(&self, policy: u64, limit: u32) -> Result<Vec<Reservation>, StoreError> {
        let connection = self.connection();
        let mut statement =
            connection.prepare_cached("SELECT * FROM reservations WHERE policy = ?1 ORDER BY id DESC LIMIT ?2")?;
        Ok(statement.query_map((policy, limit), read)?.collect::<Result<_, _>>()?)
    }
}

#[cfg(test)]
mod tests;
