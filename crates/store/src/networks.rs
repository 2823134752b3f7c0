//! Layer-1 networks.

use entresol_durable::write_point;
use rusqlite::{OptionalExtension, Row};
use serde::{Deserialize, Serialize};

use crate::database::{Store, begin};
use crate::{StoreError, row};

/// One layer-1 network as the user named it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// Short unique name, such as `devnet`.
    pub name: String,
    /// EIP-155 chain id.
    pub chain_id: u64,
    /// JSON-RPC endpoints, the first is preferred.
    pub rpc_urls: Vec<String>,
    /// Blocks after which something counts as confirmed.
    pub confirmations: u64,
}

fn read(r: &Row<'_>) -> rusqlite::Result<Network> {
    Ok(Network {
        name: r.get("name")?,
        chain_id: r.get("chain_id")?,
        rpc_urls: row::json(r, "rpc_urls")?,
        confirmations: r.get("confirmations")?,
    })
}

impl Store {
    /// Adds a network or replaces the settings of the one with this name.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn put_network(&self, network: &Network) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let tx = begin(&mut connection)?;
        tx.execute(
            "INSERT INTO networks (name, chain_id, rpc_urls, confirmations) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (name) DO UPDATE SET chain_id = ?2, rpc_urls = ?3, confirmations = ?4",
            (&network.name, network.chain_id, row::to_json(&network.rpc_urls)?, network.confirmations),
        )?;
        write_point!("store.network.put", tx.commit())?;
        Ok(())
    }

    /// All networks by name.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn networks(&self) -> Result<Vec<Network>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached("SELECT * FROM networks ORDER BY name")?;
        Ok(statement.query_map([], read)?.collect::<Result<_, _>>()?)
    }

    /// The network `name`.
    ///
    /// # Errors
    /// Any error of the database.
    pub fn network(&self, name: &str) -> Result<Option<Network>, StoreError> {
        let connection = self.reader();
        let mut statement = connection.prepare_cached("SELECT * FROM networks WHERE name = ?1")?;
        Ok(statement.query_row([name], read).optional()?)
    }
}
