//! Dials: how much of the layer-2 node a plugin takes into the wallet. The manifest offers positions, the user chooses,
//! the plugin is told: in `onStart({ dials })` whenever it starts, in `onDialsChanged(dials)` when one is moved.

use crate::error::HostError;
use crate::messages::{DialView, DialsInput};
use crate::{Actor, Host, Operation, locked};
use entresol_package::Manifest;
use entresol_store::{JournalIntent, Solution};
use serde_json::{Value as Json, json};

impl Host {
    /// Moves dials of a solution; those that are not named stay. Gives all of them.
    ///
    /// # Errors
    /// Not authorised; not found; a position that the plugin does not offer, or that needs more URLs.
    pub async fn dials_set(&self, actor: &Actor, input: DialsInput) -> Result<Vec<DialView>, HostError> {
        self.authorize(actor, &Operation::Decide, "solution_dials")?;
        let solution = self.find(&input.solution)?;
        let name = &solution.spec.name;
        let before = self.dials_of(&solution)?;
        let mut set = serde_json::Map::new();
        for dial in &before {
            let wanted = match dial.name.as_str() {
                "networking" => &input.networking,
                "state" => &input.state,
                _ => &input.history,
            };
            let position = wanted.as_ref().unwrap_or(&dial.position);
            if !dial.positions.contains(position) {
                return Err(HostError::invalid(format!(
                    "{name} offers no position {position:?} of the dial {}; it offers {}",
                    dial.name,
                    dial.positions.join(", ")
                )));
            }
            if wanted.is_some() && position == "nodes" && solution.spec.network_urls.len() < 2 {
                return Err(HostError::invalid(format!(
                    "{name} knows one node only, so there is nothing to compare; add the solution again with several --url"
                )));
            }
            set.insert(dial.name.clone(), json!(position));
        }
        let set = Json::Object(set);
        let intent = JournalIntent {
            solution: Some(solution.id),
            actor: actor.to_string(),
            action: "dials".into(),
            resource: name.clone(),
            detail: set.clone(),
        };
        self.journaled(intent, async { Ok(self.store().put_meta(&key(solution.id), &set)?) }).await?;
        let running = locked(&self.inner.solutions).get(&solution.id).cloned();
        if let Some(running) = running {
            // The user does not wait for the plugin; should it fail now, its next start tells it.
            self.spawn(async move {
                if let Err(error) = running.plugin.hook("onDialsChanged", set).await {
                    tracing::debug!(solution = %running.name, %error, "onDialsChanged failed");
                }
            });
        }
        self.changed();
        self.dials_of(&solution)
    }

    /// The dials of a solution, and where each stands.
    pub(crate) fn dials_of(&self, solution: &Solution) -> Result<Vec<DialView>, HostError> {
        let manifest: Manifest = serde_json::from_value(solution.spec.manifest.clone())
            .map_err(|e| HostError::internal(format!("stored manifest: {e}")))?;
        let set = self.store().meta(&key(solution.id))?.unwrap_or_default();
        let offered =
            serde_json::to_value(&manifest.dials).map_err(|e| HostError::internal(format!("stored dials: {e}")))?;
        let words = |name: &str| -> Vec<String> {
            let list = offered[name].as_array().into_iter().flatten();
            list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
        };
        let dial = |name: &str| {
            let positions = words(name);
            // An update may have taken the position away that was chosen: then the default is what is left.
            let chosen = set[name].as_str().filter(|chosen| positions.iter().any(|one| one == chosen));
            let position = chosen.or(positions.first().map(String::as_str)).unwrap_or_default().to_owned();
            DialView { name: name.to_owned(), position, positions }
        };
        Ok(["networking", "state", "history"].map(dial).into())
    }

    /// As the script is told: `{ networking, state, history }`.
    ///
    /// # Errors
    /// The database cannot be read.
    pub(crate) fn dials_told(&self, solution: i64) -> Result<Json, HostError> {
        let Some(solution) = self.store().solution(solution)? else { return Ok(Json::Null) };
        let dials = self.dials_of(&solution)?;
        Ok(dials.into_iter().map(|dial| (dial.name, json!(dial.position))).collect::<serde_json::Map<_, _>>().into())
    }
}

fn key(solution: i64) -> String {
    format!("dials:{solution}")
}
