//! `GET /metrics` on a port of its own, so that monitoring needs no access to the node's JSON-RPC and the other way
//! round.

use std::net::SocketAddr;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::core::CoreHandle;

/// A bound port, not yet answering.
#[derive(Debug)]
pub(crate) struct Monitor {
    listener: TcpListener,
    address: SocketAddr,
}

impl Monitor {
    pub(crate) async fn bind(address: SocketAddr) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        if !address.ip().is_loopback() {
            tracing::warn!(%address, "anybody who reaches this address can read the node's metrics");
        }
        Ok(Self { listener, address })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop`.
    pub(crate) async fn serve(self, core: CoreHandle, stop: CancellationToken) -> std::io::Result<()> {
        let router = Router::new().route("/metrics", get(metrics)).with_state(core);
        let ended = stop.clone();
        let serving = axum::serve(self.listener, router).with_graceful_shutdown(stop.cancelled_owned());
        // A scraper that keeps its connection open must not keep the node from ending.
        tokio::select! {
            served = serving => served,
            () = async { ended.cancelled().await; tokio::time::sleep(crate::rpc::GRACE).await } => Ok(()),
        }
    }
}

async fn metrics(State(core): State<CoreHandle>) -> Response {
    let queue = core.queue_depth();
    match core.read(move |core| Ok(core.metrics.text(core, queue))).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, error.message).into_response(),
    }
}
