//! One connection of an extension, over any transport that carries texts: the machine decides what follows from a
//! message, this loop does it.
//!
//! Owns: the tasks of its requests and its documents' events, in one join set that ends with the connection. Messages:
//! in from the transport, one at a time; out to it, one at a time, so that an extension that does not read stops being
//! read. Ends: when the transport does, when the machine refuses, when the profile is removed, with [`Site`]'s token.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use entresol_host::callers::CallerMethod;
use entresol_host::{CODE_LIFETIME, Caller, Host, Pairing};
use futures_util::future::{BoxFuture, OptionFuture};
use futures_util::{FutureExt as _, Sink, SinkExt as _, Stream, StreamExt as _};
use serde_json::Value as Json;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, Id, JoinError, JoinSet};

use super::machine::{Machine, Refused, Step};
use super::message::{Outcome, Outgoing};
use super::{MAX_MESSAGE, Site};
use crate::protocol::{RpcError, codes};

/// How long a new connection may take for its `hello`.
const HELLO_TIME: Duration = Duration::from_secs(30);
/// How long the other side may take to read one message. A browser that sleeps longer connects again.
const SEND_TIME: Duration = Duration::from_secs(60);
/// How long the last words may take: the daemon's own end waits for them.
const FAREWELL: Duration = Duration::from_secs(1);
/// Events that wait to be sent.
const EVENTS: usize = 64;

/// What a transport gives.
pub(super) enum Frame {
    Text(String),
    /// Longer than [`MAX_MESSAGE`], or no text.
    Odd,
}

/// A task of the join set: a request, or a document's events (no id).
struct Task {
    document: u64,
    serial: u64,
    request: Option<u64>,
    abort: AbortHandle,
}

struct Event {
    document: u64,
    serial: u64,
    name: &'static str,
    data: Json,
}

struct Connection<'a, O> {
    site: &'a Site,
    machine: Machine,
    out: O,
    work: JoinSet<Option<Result<Json, RpcError>>>,
    tasks: HashMap<Id, Task>,
    events: mpsc::Sender<Event>,
    pairing: Option<Pairing>,
    /// Ends when the profile is removed.
    removed: Option<BoxFuture<'static, ()>>,
}

/// Why the loop ends.
enum End {
    Gone,
    Refused(String),
}

impl From<io::Error> for End {
    fn from(error: io::Error) -> Self {
        tracing::debug!(%error, "a browser's connection ended");
        Self::Gone
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.0)
    }
}

/// Speaks with an extension until one side ends it.
pub(super) async fn converse(
    site: &Arc<Site>,
    incoming: impl Stream<Item = io::Result<Frame>> + Send,
    out: impl Sink<String, Error = io::Error> + Send,
) {
    let mut random = [0; 32];
    if let Err(error) = getrandom::fill(&mut random) {
        tracing::error!(%error, "the operating system gives no random numbers");
        return;
    }
    let (machine, challenge) = Machine::new(random);
    let (events, mut pushed) = mpsc::channel(EVENTS);
    let mut connection = Connection {
        site: site.as_ref(),
        machine,
        out: pin!(out),
        work: JoinSet::new(),
        tasks: HashMap::new(),
        events,
        pairing: None,
        removed: None,
    };
    let mut incoming = pin!(incoming);
    let talk = async {
        connection.send(&challenge).await?;
        loop {
            connection.turn(&mut incoming, &mut pushed).await?;
        }
    };
    let end: Option<Result<std::convert::Infallible, End>> = site.stop.run_until_cancelled(talk).await;
    if let Some(Err(End::Refused(why))) = end {
        tracing::debug!(%why, "a browser's connection was refused");
        let _ = tokio::time::timeout(FAREWELL, connection.send(&Outgoing::Refused { why })).await;
    }
    let _ = tokio::time::timeout(FAREWELL, connection.out.close()).await;
}

impl<O: Sink<String, Error = io::Error> + Unpin + Send> Connection<'_, O> {
    /// Waits for one thing and does what follows from it.
    async fn turn(
        &mut self,
        incoming: &mut (impl Stream<Item = io::Result<Frame>> + Unpin),
        pushed: &mut mpsc::Receiver<Event>,
    ) -> Result<(), End> {
        let waits = !self.machine.is_proved();
        let confirmed = OptionFuture::from(self.pairing.as_mut().map(Pairing::confirmed));
        let removed = OptionFuture::from(self.removed.as_mut());
        tokio::select! {
            // The removal before what it brings about; what is to be told before what is asked for.
            biased;
            Some(()) = removed => {
                Err(End::Refused("this browser profile was removed in the wallet; pair it again".to_owned()))
            }
            Some(ended) = self.work.join_next_with_id(), if !self.work.is_empty() => self.ended(ended).await,
            Some(event) = pushed.recv() => self.push(event).await,
            Some(name) = confirmed => {
                self.pairing = None;
                match name {
                    // From the store, as at every other connection.
                    Some(_) => {
                        let key = self.machine.unpaired_key().map(<[u8]>::to_vec).unwrap_or_default();
                        self.identify(key).await
                    }
                    None => self.send(&Outgoing::Unpaired).await,
                }
            }
            () = tokio::time::sleep(HELLO_TIME), if waits => {
                Err(End::Refused(format!("no `hello` within {} s", HELLO_TIME.as_secs())))
            }
            frame = incoming.next() => match frame {
                None => Err(End::Gone),
                Some(Ok(Frame::Text(text))) => {
                    let step = self.machine.receive(&text)?;
                    self.follow(step).await
                }
                Some(Ok(Frame::Odd)) => {
                    Err(End::Refused(format!("a message is one JSON text of at most {MAX_MESSAGE} bytes")))
                }
                Some(Err(error)) => Err(error.into()),
            },
        }
    }

    async fn follow(&mut self, step: Step) -> Result<(), End> {
        match step {
            Step::Proved { key } => self.identify(key).await,
            Step::Pair { key, name } => {
                // The code before is of no more use.
                self.pairing = None;
                match self.site.host.pairing(&key, &name) {
                    Ok(pairing) => {
                        let expires_in_ms = u64::try_from(CODE_LIFETIME.as_millis()).unwrap_or(u64::MAX);
                        self.send(&Outgoing::Code { code: pairing.code.clone(), expires_in_ms }).await?;
                        self.pairing = Some(pairing);
                        Ok(())
                    }
                    Err(error) => Err(End::Refused(error.message)),
                }
            }
            Step::Open { document, serial, caller } => {
                let watch = watch(self.site.host.clone(), caller, document, serial, self.events.clone());
                self.start(document, serial, None, watch.map(|()| None));
                Ok(())
            }
            Step::Request { document, serial, caller, id, method, params } => {
                let run = run(self.site.host.clone(), caller, method, params);
                self.start(document, serial, Some(id), run.map(Some));
                Ok(())
            }
            Step::Close { serial } => {
                self.tasks.values().filter(|task| task.serial == serial).for_each(|task| task.abort.abort());
                Ok(())
            }
            Step::Popup { id, profile, page } => {
                let view = popup(self.site, &profile, page.as_ref())?;
                self.send(&Outgoing::Popup { id, view }).await
            }
            Step::Answer(answer) => self.send(&answer).await,
            Step::Last(answer) => {
                self.send(&answer).await?;
                Err(End::Refused("nothing is served before `welcome`".to_owned()))
            }
            Step::Nothing => Ok(()),
        }
    }

    /// Welcomes a key that has proved itself, or says that it is nobody's.
    async fn identify(&mut self, key: Vec<u8>) -> Result<(), End> {
        let profile = self.site.host.profile_of(&key).map_err(|error| End::Refused(error.message))?;
        if let Some(name) = profile.clone() {
            let (host, key) = (self.site.host.clone(), key.clone());
            self.removed = Some(async move { host.profile_removed(&name, &key).await }.boxed());
        }
        let said = self.machine.known(key, profile);
        self.send(&said).await
    }

    fn start(
        &mut self,
        document: u64,
        serial: u64,
        request: Option<u64>,
        work: impl Future<Output = Option<Result<Json, RpcError>>> + Send + 'static,
    ) {
        let abort = self.work.spawn(work);
        self.tasks.insert(abort.id(), Task { document, serial, request, abort });
    }

    async fn ended(&mut self, ended: Result<(Id, Option<Result<Json, RpcError>>), JoinError>) -> Result<(), End> {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome),
            Err(failure) => {
                let failed = failure.is_panic().then(|| {
                    tracing::error!(%failure, "a request of a site failed");
                    Err(RpcError::new(codes::INTERNAL, "the request failed in the wallet; see the daemon's log"))
                });
                (failure.id(), failed)
            }
        };
        let Some(task) = self.tasks.remove(&id) else { return Ok(()) };
        let (Some(id), Some(outcome)) = (task.request, outcome) else { return Ok(()) };
        if !self.machine.finished(task.document, task.serial, id) {
            return Ok(());
        }
        self.send(&Outgoing::Response { document: task.document, id, outcome: Outcome::from(outcome) }).await
    }

    async fn push(&mut self, event: Event) -> Result<(), End> {
        if !self.machine.is_open(event.document, event.serial) {
            return Ok(());
        }
        self.send(&Outgoing::Event { document: event.document, event: event.name, data: event.data }).await
    }

    async fn send(&mut self, message: &Outgoing) -> Result<(), End> {
        let text = serde_json::to_string(message).map_err(io::Error::other)?;
        tokio::time::timeout(SEND_TIME, self.out.send(text))
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        Ok(())
    }
}

/// Runs one request of a site.
async fn run(host: Host, caller: Caller, method: String, params: Json) -> Result<Json, RpcError> {
    let Some(method) = CallerMethod::by_name(&method) else {
        return Err(super::rpc::unknown(codes::UNSUPPORTED, &method));
    };
    Ok(method.run(&host, &caller, params).await?)
}

/// Passes a document's events on until it is closed.
async fn watch(host: Host, caller: Caller, document: u64, serial: u64, to: mpsc::Sender<Event>) {
    let mut events = host.caller_events(&caller);
    while let Some(event) = events.next().await {
        let event = Event { document, serial, name: event.name, data: event.data };
        if to.send(event).await.is_err() {
            return;
        }
    }
}

/// What the popup shows.
fn popup(site: &Site, profile: &str, page: Option<&Caller>) -> Result<Json, End> {
    let mut view = site.host.popup_view(profile, page).map_err(|error| End::Refused(error.message))?;
    view["web"] = Json::from(site.page.clone());
    Ok(view)
}
