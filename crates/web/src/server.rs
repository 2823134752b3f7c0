//! Binding, routes, ending.
//!
//! Ownership: [`WebServer`] is a handle. One task serves until the token it was given is cancelled; sessions live and end
//! with it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use entresol_host::messages::ActivityFilter;
use entresol_host::{Actor, Host, HostError};
use maud::Markup;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::guard::{self, Authority};
use crate::pages::{self, Frame, Page};
use crate::sessions::{Secret, Sessions};

/// Name of the session's cookie.
const COOKIE: &str = "entresol";
/// Rows of the journal shown.
const ACTIVITY_ROWS: u32 = 200;
const STYLE: &str = include_str!("style.css");

/// The page could not be served.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The port cannot be bound.
    #[error("the local page cannot use port {port} on 127.0.0.1; choose another with --web-port, or 0 for a free one")]
    Bind {
        /// The port asked for.
        port: u16,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// No random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// The running page. Clones are handles to the same one.
#[derive(Clone)]
pub struct WebServer {
    address: SocketAddr,
    sessions: Arc<Mutex<Sessions>>,
    tasks: TaskTracker,
}

impl std::fmt::Debug for WebServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebServer").field("address", &self.address).finish_non_exhaustive()
    }
}

#[derive(Clone)]
struct Context {
    host: Host,
    sessions: Arc<Mutex<Sessions>>,
}

impl WebServer {
    /// Serves `host` on `127.0.0.1:port` (0: a free port) until `stop` is cancelled.
    ///
    /// # Errors
    /// [`WebError::Bind`].
    pub async fn start(host: Host, port: u16, stop: CancellationToken) -> Result<Self, WebError> {
        let bind = |source| WebError::Bind { port, source };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let sessions = Arc::new(Mutex::default());
        let context = Context { host, sessions: Arc::clone(&sessions) };
        let router = router(context, Authority(address.to_string()));
        let tasks = TaskTracker::new();
        tasks.spawn(async move {
            // Open connections are dropped, not waited for: a browser keeps them for minutes.
            let served = stop.run_until_cancelled(async { axum::serve(listener, router).await }).await;
            if let Some(Err(error)) = served {
                tracing::error!(%error, "the local page ended");
            }
        });
        tasks.close();
        Ok(Self { address, sessions, tasks })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Makes a link that opens one session, once, within five minutes. Whoever has it sees the wallet: the caller
    /// has checked who asks.
    ///
    /// # Errors
    /// [`WebError::Random`].
    pub fn link(&self) -> Result<String, WebError> {
        let token = locked(&self.sessions).add_link(random()?, Instant::now());
        Ok(format!("http://{}/enter/{token}", self.address))
    }

    /// Waits until it has ended, after its token was cancelled.
    pub async fn ended(&self) {
        self.tasks.wait().await;
    }
}

/// One page.
pub struct Route {
    /// Pattern of its path.
    pub path: &'static str,
    handler: fn() -> MethodRouter<Context>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Every page there is. No wildcard below /w: a path that is not here is 404 before anyone looks at a cookie.
pub static ROUTES: &[Route] = &[
    Route { path: "/enter/{token}", handler: || get(enter) },
    Route { path: "/style.css", handler: || get(style) },
    Route { path: "/w/{session}/", handler: || get(overview) },
    Route { path: "/w/{session}/solutions", handler: || get(solutions) },
    Route { path: "/w/{session}/solutions/{name}", handler: || get(solution) },
    Route { path: "/w/{session}/approvals", handler: || get(approvals) },
    Route { path: "/w/{session}/approvals/all", handler: || get(all_approvals) },
    Route { path: "/w/{session}/transfers", handler: || get(transfers) },
    Route { path: "/w/{session}/activity", handler: || get(activity) },
];

fn router(context: Context, authority: Authority) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    routes
        .fallback(async || failed(StatusCode::NOT_FOUND, "There is no such page."))
        .with_state(context)
        .layer(middleware::from_fn_with_state(authority, guard::guard))
}

async fn style() -> Response {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn enter(State(context): State<Context>, Path(token): Path<String>) -> Response {
    let (Ok(path), Ok(cookie)) = (random(), random()) else {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, "The operating system gives no random numbers.");
    };
    let Some(opened) = locked(&context.sessions).enter(&token, [path, cookie], Instant::now()) else {
        return failed(
            StatusCode::FORBIDDEN,
            "This link was used already, or is too old. Run `entresol web` for another one.",
        );
    };
    let home = format!("/w/{}/", opened.path);
    // No `Secure`: there is no TLS on the loopback. The path keeps the cookie from every other port.
    let cookie = format!("{COOKIE}={}; Path={home}; HttpOnly; SameSite=Strict", opened.cookie);
    match (HeaderValue::try_from(home), HeaderValue::try_from(cookie)) {
        (Ok(home), Ok(cookie)) => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, home), (header::SET_COOKIE, cookie)]).into_response()
        }
        _ => failed(StatusCode::INTERNAL_SERVER_ERROR, "The session could not be opened."),
    }
}

/// The session that a request belongs to; without one there is no page.
struct Visitor {
    context: Context,
    session: String,
}

impl Visitor {
    fn admit(context: Context, session: String, headers: &HeaderMap) -> Result<Self, Box<Response>> {
        let now = Instant::now();
        let admitted = {
            let sessions = locked(&context.sessions);
            cookies(headers).any(|cookie| sessions.is_open(&session, cookie, now))
        };
        if admitted {
            Ok(Self { context, session })
        } else {
            let why = "This session is over, or was never open here. Run `entresol web` for a link.";
            Err(Box::new(failed(StatusCode::FORBIDDEN, why)))
        }
    }

    fn show(&self, page: Page, content: Result<Markup, HostError>) -> Response {
        let (status, content) = match content {
            Ok(content) => (StatusCode::OK, content),
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, pages::problem(&error.message)),
        };
        (status, Html(pages::frame(&Frame { session: &self.session, page }, &content).into_string())).into_response()
    }
}

/// The values of our cookie; a browser can send several of one name.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value)
}

type Asked = (State<Context>, Path<String>, HeaderMap);

async fn visit(asked: Asked) -> Result<Visitor, Box<Response>> {
    let (State(context), Path(session), headers) = asked;
    Visitor::admit(context, session, &headers)
}

/// A handler of one page: admit the visitor, ask the host as the page, render.
macro_rules! page {
    ($name:ident, $page:expr, |$host:ident| $content:expr) => {
        async fn $name(state: State<Context>, session: Path<String>, headers: HeaderMap) -> Response {
            let visitor = match visit((state, session, headers)).await {
                Ok(visitor) => visitor,
                Err(refusal) => return *refusal,
            };
            let $host = &visitor.context.host;
            let content: Result<Markup, HostError> = async { $content }.await;
            visitor.show($page, content)
        }
    };
}

page!(overview, Page::Overview, |host| {
    let status = host.status(&Actor::Page).await?;
    // Accounts need the open seed until they were looked up once: the rest of the page does not wait for it.
    let accounts = host.accounts(&Actor::Page).await.map_err(|error| error.message);
    let solutions = host.solutions(&Actor::Page).await?;
    Ok(pages::overview(&status, accounts.as_deref().map_err(String::as_str), &solutions))
});

page!(solutions, Page::Solutions, |host| {
    let mut entries = Vec::new();
    for solution in host.solutions(&Actor::Page).await? {
        let state = host.state(&Actor::Page, &solution.name, None, false).await.map_err(|error| error.message);
        entries.push((solution, state));
    }
    Ok(pages::solutions(&entries))
});

page!(approvals, Page::Approvals, |host| Ok(pages::approvals(&host.approvals(&Actor::Page, false).await?, false)));

page!(all_approvals, Page::Approvals, |host| Ok(pages::approvals(&host.approvals(&Actor::Page, true).await?, true)));

page!(transfers, Page::Transfers, |host| Ok(pages::transfers(&host.transfers(&Actor::Page, None).await?)));

page!(activity, Page::Activity, |host| {
    Ok(pages::activity(
        &host
            .activity(&Actor::Page, ActivityFilter { limit: Some(ACTIVITY_ROWS), ..ActivityFilter::default() })
            .await?,
    ))
});

async fn solution(
    state: State<Context>,
    Path((session, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let visitor = match visit((state, Path(session), headers)).await {
        Ok(visitor) => visitor,
        Err(refusal) => return *refusal,
    };
    let host = &visitor.context.host;
    let content = match host.solution(&Actor::Page, &name).await {
        Ok(solution) => {
            let state = host.state(&Actor::Page, &solution.name, None, false).await.map_err(|error| error.message);
            Ok(pages::solution(&solution, state.as_ref().map_err(String::as_str)))
        }
        Err(error) => Err(error),
    };
    visitor.show(Page::Solutions, content)
}

fn failed(status: StatusCode, why: &str) -> Response {
    (status, Html(pages::message(why).into_string())).into_response()
}

fn random() -> Result<Secret, WebError> {
    let mut secret = Secret::default();
    getrandom::fill(&mut secret).map_err(WebError::Random)?;
    Ok(secret)
}

/// A poisoned lock means that another request panicked; the maps are whole between statements.
fn locked(sessions: &Mutex<Sessions>) -> MutexGuard<'_, Sessions> {
    sessions.lock().unwrap_or_else(PoisonError::into_inner)
}
