//! The isolated local database of one solution. Values are JSON plus BigInt plus bytes, kept as tagged JSON text with
//! sorted names, so that equal values are equal bytes. `null` is the same as nothing: persisting it deletes.

use super::Request;
use crate::error::{HostError, code};
use crate::{Host, blocking, now};
use entresol_package::Permission;
use entresol_store::{JournalIntent, KvOp, SolutionId, Store};
use serde_json::{Value as Json, json};

/// Longest key in bytes.
const MAX_KEY: usize = 512;
/// Largest value as it is kept, in bytes: it must come back in one message to the script.
const MAX_VALUE: usize = 512 * 1024;
/// Most operations in one batch.
const MAX_BATCH: usize = 1000;
/// Most keys in one answer of `listLocalDb`.
const MAX_LISTED: usize = 10_000;

impl Host {
    pub(super) async fn persist(&self, request: &Request) -> Result<Json, HostError> {
        let key = key(&request.params["key"])?;
        let op = match value(request.params.get("value"))? {
            Some(value) => KvOp::Put { key, value },
            None => KvOp::Delete { key },
        };
        self.write(request, vec![op]).await
    }

    pub(super) async fn get_from_local_db(&self, request: &Request) -> Result<Json, HostError> {
        match self.store().kv_get(request.running.id, &key(&request.params["key"])?)? {
            None => Ok(Json::Null),
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|e| HostError::internal(format!("a stored value: {e}")))
            }
        }
    }

    pub(super) async fn delete_from_local_db(&self, request: &Request) -> Result<Json, HostError> {
        let op = KvOp::Delete { key: key(&request.params["key"])? };
        self.write(request, vec![op]).await
    }

    pub(super) async fn list_local_db(&self, request: &Request) -> Result<Json, HostError> {
        let prefix = match &request.params["prefix"] {
            Json::Null => "",
            Json::String(prefix) if prefix.len() <= MAX_KEY => prefix,
            _ => return Err(HostError::invalid(format!("listLocalDb: prefix is a string of at most {MAX_KEY} bytes"))),
        };
        let keys = self.store().kv_keys(request.running.id, prefix)?;
        if keys.len() > MAX_LISTED {
            let words = format!("{} keys begin with {prefix:?}; at most {MAX_LISTED} are listed at once", keys.len());
            return Err(HostError::new(code::LIMIT, words).with(json!({ "keys": keys.len() })));
        }
        Ok(json!(keys))
    }

    pub(super) async fn batch_local_db(&self, request: &Request) -> Result<Json, HostError> {
        self.write(request, batch(&request.params["ops"])?).await
    }

    async fn write(&self, request: &Request, ops: Vec<KvOp>) -> Result<Json, HostError> {
        let (solution, budgets) = (request.running.id, &request.running.budgets);
        let written = |op: &KvOp| match op {
            KvOp::Put { key, value } => key.len() + value.len(),
            KvOp::Delete { key } => key.len(),
            KvOp::Expect { .. } => 0,
        };
        budgets.database_writes.take(1)?;
        budgets.database_bytes.take(ops.iter().map(written).sum::<usize>() as u64)?;
        let (store, quota) = (self.store().clone(), self.quota(solution)?);
        blocking(move || store.kv_batch(solution, &ops, quota)).await?;
        Ok(Json::Null)
    }

    fn quota(&self, solution: SolutionId) -> Result<u64, HostError> {
        let grants = self.permissions(solution)?;
        let quota = grants.iter().find_map(|grant| match grant {
            Permission::LocalDatabase { quota, .. } => Some(quota.bytes()),
            _ => None,
        });
        Ok(quota.unwrap_or_default())
    }

    /// True from a restore or roll-back of the wallet's database until the plugin says that its own is current again.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) fn restored(&self, solution: SolutionId) -> Result<bool, HostError> {
        Ok(self.store().meta(&restored_key(solution))?.is_some_and(|mark| !mark.is_null()))
    }

    /// With a `critical` database nothing is signed from a restore until `confirmRestored`: an old state that is
    /// signed again can cost all the money of a channel.
    pub(super) fn refuse_restored(&self, request: &Request, what: &str) -> Result<(), HostError> {
        if !self.restored(request.running.id)? {
            return Ok(());
        }
        // The manifest decides, not the grant: revoking the database must not open this door.
        if !request.running.critical {
            return Ok(());
        }
        Err(HostError::unauthorized(format!(
            "{what}: the wallet's database was restored or rolled back and this plugin's data may be old; nothing is \
             signed until it has caught up and called confirmRestored()"
        ))
        .with(json!({ "needs": "confirmRestored" })))
    }

    pub(super) async fn confirm_restored(&self, request: &Request) -> Result<Json, HostError> {
        let running = &request.running;
        if !self.restored(running.id)? {
            return Ok(Json::Null);
        }
        let intent = JournalIntent {
            solution: Some(running.id),
            actor: running.name.clone(),
            action: "confirm restored".into(),
            resource: running.name.clone(),
            detail: Json::Null,
        };
        self.journaled(intent, async { Ok(self.store().put_meta(&restored_key(running.id), &Json::Null)?) }).await?;
        self.changed();
        Ok(Json::Null)
    }
}

/// Marks every solution that is not removed: the database is not the one that the wallet last wrote. Called after a
/// restore, and when a roll-back is found, before any plugin starts.
pub(crate) fn mark_restored(store: &Store) -> Result<(), HostError> {
    for solution in store.solutions()? {
        store.put_meta(&restored_key(solution.id), &json!({ "at": now() }))?;
    }
    Ok(())
}

fn restored_key(solution: SolutionId) -> String {
    format!("restored:{solution}")
}

fn key(key: &Json) -> Result<String, HostError> {
    match key.as_str() {
        Some(key) if !key.is_empty() && key.len() <= MAX_KEY => Ok(key.to_owned()),
        _ => Err(HostError::invalid(format!("a database key is a string of 1 to {MAX_KEY} bytes"))),
    }
}

/// The bytes of a value as it is kept; none for nothing.
fn value(value: Option<&Json>) -> Result<Option<Vec<u8>>, HostError> {
    let Some(value) = value.filter(|value| !value.is_null()) else { return Ok(None) };
    let mut text = String::new();
    canonical(value, &mut text);
    if text.len() > MAX_VALUE {
        let words = format!("a value of the database has at most {MAX_VALUE} bytes, this one has {}", text.len());
        return Err(HostError::new(code::LIMIT, words).with(json!({ "size": text.len(), "limit": MAX_VALUE })));
    }
    Ok(Some(text.into_bytes()))
}

/// JSON with sorted names and no spaces.
fn canonical(value: &Json, out: &mut String) {
    match value {
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (position, (name, inner)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&Json::from(name.as_str()).to_string());
                out.push(':');
                canonical(inner, out);
            }
            out.push('}');
        }
        Json::Array(list) => {
            out.push('[');
            for (position, inner) in list.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                canonical(inner, out);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

/// `[{ put: key, value }, { delete: key }, { expect: key, value }]`; an `expect` without value wants the key absent.
fn batch(ops: &Json) -> Result<Vec<KvOp>, HostError> {
    let list = ops.as_array().ok_or_else(|| HostError::invalid("batchLocalDb takes a list of operations"))?;
    if list.len() > MAX_BATCH {
        return Err(HostError::new(code::LIMIT, format!("batchLocalDb takes at most {MAX_BATCH} operations")));
    }
    list.iter().map(operation).collect()
}

fn operation(op: &Json) -> Result<KvOp, HostError> {
    let wrong = || {
        HostError::invalid(
            "batchLocalDb: each operation is { put: key, value }, { delete: key } or { expect: key, value }",
        )
    };
    let fields = op.as_object().ok_or_else(wrong)?;
    if fields.keys().any(|name| !matches!(name.as_str(), "put" | "delete" | "expect" | "value")) {
        return Err(wrong());
    }
    let kept = value(fields.get("value"))?;
    match (fields.get("put"), fields.get("delete"), fields.get("expect")) {
        (Some(put), None, None) => Ok(match kept {
            Some(value) => KvOp::Put { key: key(put)?, value },
            None => KvOp::Delete { key: key(put)? },
        }),
        (None, Some(delete), None) if kept.is_none() => Ok(KvOp::Delete { key: key(delete)? }),
        (None, None, Some(expect)) => Ok(KvOp::Expect { key: key(expect)?, value: kept }),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests;
