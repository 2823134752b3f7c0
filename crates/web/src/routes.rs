//! The table of routes, who is let in, and the pages that are read. What acts is in [`acts`](crate::acts).

use std::time::Instant;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::header::{self, HeaderValue};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use entresol_host::messages::{AccountView, ActivityFilter, ApprovalView};
use entresol_host::{Actor, HostError};
use maud::Markup;

use crate::acts;
use crate::events::events;
use crate::guard::{self, Authority};
use crate::pages::{self, Frame, Page};
use crate::server::{Context, random};
use crate::sessions::Admitted;

/// Name of the session's cookie.
const COOKIE: &str = "entresol";
/// Rows of the journal shown.
const ACTIVITY_ROWS: u32 = 200;
/// Transfers shown on a solution's own page.
const RECENT_TRANSFERS: usize = 5;
/// Largest body of a request, in bytes.
const LARGEST_BODY: usize = 256 << 10;
const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("app.js");
const ICON: &str = include_str!("icon.svg");

/// One route.
pub struct Route {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Pattern of its path.
    pub path: &'static str,
    handler: fn() -> MethodRouter<Context>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

macro_rules! read {
    ($path:literal, $handler:expr) => {
        Route { method: "GET", path: $path, handler: || get($handler) }
    };
}

macro_rules! act {
    ($name:literal, $handler:expr) => {
        Route {
            method: "POST",
            path: concat!("/w/{session}/do/", $name),
            handler: || post(async |asked: acts::Asked| acts::run(asked, $handler).await),
        }
    };
}

/// Every route there is. No wildcard below /w: a path that is not here is 404 before anyone looks at a cookie.
pub static ROUTES: &[Route] = &[
    read!("/", root),
    read!("/enter/{token}", enter),
    read!("/style.css", async || asset("text/css; charset=utf-8", STYLE)),
    read!("/app.js", async || asset("text/javascript; charset=utf-8", SCRIPT)),
    read!("/icon.svg", async || asset("image/svg+xml", ICON)),
    read!("/w/{session}/", overview),
    read!("/w/{session}/events", events),
    read!("/w/{session}/approvals", approvals),
    read!("/w/{session}/approvals/all", all_approvals),
    read!("/w/{session}/approvals/{name}", approval),
    read!("/w/{session}/solutions", solutions),
    read!("/w/{session}/solutions/{name}", solution),
    read!("/w/{session}/callers", callers),
    read!("/w/{session}/accounts", accounts),
    read!("/w/{session}/send", send),
    read!("/w/{session}/transfers", transfers),
    read!("/w/{session}/activity", activity),
    read!("/w/{session}/notices", notices),
    act!("decide", acts::decide),
    act!("lock", acts::lock),
    act!("unlock", acts::unlock),
    act!("leave", acts::leave),
    act!("account-add", acts::account_add),
    act!("send", acts::send),
    act!("call", acts::call),
    act!("deposit", acts::deposit),
    act!("grant-add", acts::grant_add),
    act!("grant-revoke", acts::grant_revoke),
    act!("caller-revoke", acts::caller_revoke),
    act!("caller-disconnect", acts::caller_disconnect),
    act!("profile-remove", acts::profile_remove),
    act!("pair", acts::pair),
    act!("app-remove", acts::app_remove),
    act!("policy-revoke", acts::policy_revoke),
    act!("policy-resume", acts::policy_resume),
    act!("solution-restart", acts::solution_restart),
    act!("solution-dials", acts::solution_dials),
    act!("screen-answer", acts::screen_answer),
    act!("screen-event", acts::screen_event),
    act!("screen-close", acts::screen_close),
    act!("notice-read", acts::notice_read),
];

pub(crate) fn router(context: Context, authority: Authority) -> Router {
    let routes = ROUTES.iter().fold(Router::new(), |router, route| router.route(route.path, (route.handler)()));
    routes
        .fallback(async || failed(StatusCode::NOT_FOUND, "There is no such page."))
        .with_state(context)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(authority, guard::guard))
}

fn asset(kind: &'static str, text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// Outside any session: nothing of the wallet, only how to open it.
async fn root() -> Response {
    Html(pages::door().into_string()).into_response()
}

async fn enter(State(context): State<Context>, Path(token): Path<String>) -> Response {
    let (Ok(path), Ok(cookie), Ok(secret)) = (random(), random(), random()) else {
        return failed(StatusCode::INTERNAL_SERVER_ERROR, "The operating system gives no random numbers.");
    };
    let Some(opened) = context.sessions().enter(&token, [path, cookie, secret], Instant::now()) else {
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
pub(crate) struct Visitor {
    pub(crate) context: Context,
    pub(crate) session: String,
    pub(crate) admitted: Admitted,
}

/// Why a request without a session is refused.
pub(crate) const OVER: &str = "This session is over, or was never open here. Run `entresol web` for a link.";

impl Visitor {
    /// Lets in who has path and cookie of one session; also gives the cookie.
    pub(crate) fn admit(
        context: Context,
        session: String,
        headers: &HeaderMap,
    ) -> Result<(Self, String), Box<Response>> {
        let now = Instant::now();
        let admitted = {
            let sessions = context.sessions();
            cookies(headers)
                .find_map(|cookie| sessions.admit(&session, cookie, now).map(|admitted| (admitted, cookie.to_owned())))
        };
        match admitted {
            Some((admitted, cookie)) => Ok((Self { context, session, admitted }, cookie)),
            None => Err(Box::new(failed(StatusCode::FORBIDDEN, OVER))),
        }
    }

    /// True while the session that the visitor came with lives.
    pub(crate) fn is_still_open(&self, cookie: &str, now: Instant) -> bool {
        self.context.sessions().admit(&self.session, cookie, now).is_some()
    }

    async fn show(&self, page: Page, content: Result<Markup, HostError>) -> Response {
        let (code, content) = match content {
            Ok(content) => (StatusCode::OK, content),
            Err(error) if error.code == entresol_host::error::code::NOT_FOUND => {
                (StatusCode::NOT_FOUND, pages::problem(&error.message))
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, pages::problem(&error.message)),
        };
        let status = self.context.host.status(&Actor::Page).await.ok();
        let frame = Frame { session: &self.session, token: &self.admitted.token(), page, status: status.as_ref() };
        (code, Html(pages::frame(&frame, &content).into_string())).into_response()
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

/// A handler of one page: admit the visitor, ask the host as the page, render.
macro_rules! page {
    ($name:ident, $page:expr, |$visitor:ident| $content:expr) => {
        async fn $name(State(context): State<Context>, Path(session): Path<String>, headers: HeaderMap) -> Response {
            let $visitor = match Visitor::admit(context, session, &headers) {
                Ok(($visitor, _)) => $visitor,
                Err(refusal) => return *refusal,
            };
            let content: Result<Markup, HostError> = async { $content }.await;
            $visitor.show($page, content).await
        }
    };
    // The same for a page of one thing, named in the path.
    ($name:ident, $page:expr, |$visitor:ident, $one:ident| $content:expr) => {
        async fn $name(
            State(context): State<Context>,
            Path((session, $one)): Path<(String, String)>,
            headers: HeaderMap,
        ) -> Response {
            let $visitor = match Visitor::admit(context, session, &headers) {
                Ok(($visitor, _)) => $visitor,
                Err(refusal) => return *refusal,
            };
            let content: Result<Markup, HostError> = async { $content }.await;
            $visitor.show($page, content).await
        }
    };
}

const PAGE: Actor = Actor::Page;

page!(overview, Page::Overview, |visitor| {
    let host = &visitor.context.host;
    let status = host.status(&PAGE).await?;
    // Accounts need the open seed until they were looked up once: the rest of the page does not wait for it.
    let accounts = host.accounts(&PAGE).await.map_err(|error| error.message);
    Ok(pages::overview(&pages::Overview {
        status: &status,
        accounts: accounts.as_deref().map_err(String::as_str),
        solutions: &host.solutions(&PAGE).await?,
        approvals: &host.approvals(&PAGE, false).await?,
        notices: &host.notices(&PAGE, true).await?,
        screens: &host.screens(&PAGE).await?,
    }))
});

page!(solutions, Page::Solutions, |visitor| {
    let host = &visitor.context.host;
    Ok(pages::solutions(&host.solutions(&PAGE).await?, &host.screens(&PAGE).await?))
});

page!(solution, Page::Solutions, |visitor, name| {
    let host = &visitor.context.host;
    let view = host.solution(&PAGE, &name).await?;
    let state = host.state(&PAGE, &view.name, None, false).await.map_err(|error| error.message);
    let mut transfers = host.transfers(&PAGE, Some(&view.name)).await?;
    transfers.truncate(RECENT_TRANSFERS);
    Ok(pages::solution(&pages::Solution {
        view: &view,
        state: state.as_ref().map_err(String::as_str),
        refused: &host.grants_refused(&PAGE, &view.name).await?,
        screens: &host.screens(&PAGE).await?,
        runs: &visitor.context.runs.of(&view.name),
        transfers: &transfers,
        locked: host.status(&PAGE).await?.locked,
    }))
});

/// The user's accounts, where one of the requests is to see some.
async fn accounts_for(host: &entresol_host::Host, requests: &[ApprovalView]) -> Vec<AccountView> {
    if !requests.iter().any(|request| request.kind == pages::CONNECT && request.state == "pending") {
        return Vec::new();
    }
    // Without them the request is decided as it is.
    host.accounts(&PAGE).await.unwrap_or_default()
}

page!(approvals, Page::Approvals, |visitor| {
    let host = &visitor.context.host;
    let requests = host.approvals(&PAGE, false).await?;
    Ok(pages::approvals(&requests, &accounts_for(host, &requests).await, host.status(&PAGE).await?.locked))
});

page!(all_approvals, Page::Approvals, |visitor| Ok(pages::all_approvals(
    &visitor.context.host.approvals(&PAGE, true).await?
)));

page!(approval, Page::Approvals, |visitor, number| {
    let host = &visitor.context.host;
    let unknown = || HostError::new(entresol_host::error::code::NOT_FOUND, "there is no such request");
    let request = host.approval(&PAGE, number.parse().map_err(|_| unknown())?).await?;
    let accounts = accounts_for(host, std::slice::from_ref(&request)).await;
    Ok(pages::approval(&request, &accounts, &host.status(&PAGE).await?))
});

page!(callers, Page::Callers, |visitor| {
    let host = &visitor.context.host;
    Ok(pages::callers(&pages::Callers {
        grants: &host.callers(&PAGE).await?,
        policies: &host.policies(&PAGE).await?,
        connections: &host.caller_connections(&PAGE).await?,
        solutions: &host.solutions(&PAGE).await?,
        profiles: &host.profiles(&PAGE).await?,
        pairings: &host.pairings(&PAGE).await?,
        apps: &host.apps(&PAGE).await?,
    }))
});

page!(accounts, Page::Accounts, |visitor| Ok(pages::accounts(&visitor.context.host.accounts(&PAGE).await?)));

page!(send, Page::Send, |visitor| {
    let host = &visitor.context.host;
    Ok(pages::send(&host.networks(&PAGE).await?, &host.accounts(&PAGE).await?))
});

page!(transfers, Page::Transfers, |visitor| Ok(pages::transfers(&visitor.context.host.transfers(&PAGE, None).await?)));

page!(notices, Page::Notices, |visitor| Ok(pages::notices(&visitor.context.host.notices(&PAGE, false).await?)));

page!(activity, Page::Activity, |visitor| {
    let filter = ActivityFilter { limit: Some(ACTIVITY_ROWS), ..ActivityFilter::default() };
    Ok(pages::activity(&visitor.context.host.activity(&PAGE, filter).await?))
});

pub(crate) fn failed(status: StatusCode, why: &str) -> Response {
    (status, Html(pages::message(why).into_string())).into_response()
}
