//! The state that a plugin publishes.

use super::Request;
use crate::Host;
use crate::error::HostError;
use serde_json::Value as Json;

impl Host {
    pub(super) async fn own_layer2_state(&self, request: &Request) -> Result<Json, HostError> {
        Ok(request.running.state.borrow().1.clone())
    }

    pub(super) async fn update_layer2_state(&self, request: &Request) -> Result<Json, HostError> {
        self.publish(request.running.id, &request.params["patch"])?;
        Ok(Json::Null)
    }
}
