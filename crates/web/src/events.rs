//! The live page: a tick for each change that a page could show. What has changed is not said; the page fetches itself
//! again, with its cookie.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use entresol_host::Actor;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::routes::{Visitor, failed};

/// Streams at once: a browser has six connections for one address, and a user few browsers.
const MOST_STREAMS: usize = 64;
/// Longest silence; a stream whose browser is gone is noticed when it is written to.
const PULSE: Duration = Duration::from_secs(15);

/// Counts the open streams.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Semaphore>);

impl Default for Streams {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_STREAMS)))
    }
}

struct Stream {
    visitor: Visitor,
    cookie: String,
    seen: Option<u64>,
    runs: watch::Receiver<u64>,
    _permit: OwnedSemaphorePermit,
}

pub(crate) async fn events(
    State(context): State<crate::server::Context>,
    Path(session): Path<String>,
    headers: HeaderMap,
) -> Response {
    let (visitor, cookie) = match Visitor::admit(context, session, &headers) {
        Ok(admitted) => admitted,
        Err(refusal) => return *refusal,
    };
    let Ok(permit) = Arc::clone(&visitor.context.streams.0).try_acquire_owned() else {
        return failed(StatusCode::TOO_MANY_REQUESTS, "Too many pages are open. Close some.");
    };
    let runs = visitor.context.runs.watch();
    let start = Stream { visitor, cookie, seen: None, runs, _permit: permit };
    Sse::new(stream::unfold(start, next)).into_response()
}

/// The next tick, or a pulse; the end when the session or the daemon is at its.
async fn next(mut stream: Stream) -> Option<(Result<Event, Infallible>, Stream)> {
    let context = &stream.visitor.context;
    if !stream.visitor.is_still_open(&stream.cookie, Instant::now()) {
        return None;
    }
    let Some(seen) = stream.seen else {
        // The page looks once when the stream begins: nothing is lost between its loading and this moment.
        stream.seen = Some(context.host.status(&Actor::Page).await.ok()?.changes);
        return Some((Ok(Event::default().event("change").data("")), stream));
    };
    let now = tokio::select! {
        () = context.stop.cancelled() => return None,
        changes = context.host.changes_wait(&Actor::Page, seen, PULSE) => changes.ok()?,
        _ = stream.runs.changed() => u64::MAX,
    };
    let event = if now == seen { Event::default().comment("") } else { Event::default().event("change").data("") };
    if now != u64::MAX {
        stream.seen = Some(now);
    }
    Some((Ok(event), stream))
}
