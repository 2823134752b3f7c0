//! What every request must pass, and what every response carries.

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use crate::pages;

/// Nothing but our own style sheet; no frame around us, no form, no base, no script at all.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Headers of every response, also of refusals.
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

/// The one name under which the page may be reached: `127.0.0.1:PORT`.
#[derive(Clone, Debug)]
pub(crate) struct Authority(pub(crate) String);

/// The outermost layer: refuses, or lets through; then sets the headers.
pub(crate) async fn guard(State(authority): State<Authority>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&authority.0, &request) {
        Some((status, why)) => (status, Html(pages::message(why).into_string())).into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// Why a request is refused.
fn refusal(authority: &str, request: &Request) -> Option<(StatusCode, &'static str)> {
    // DNS rebinding: a name of the attacker that resolves to 127.0.0.1 arrives with the attacker's Host. Compared whole,
    // with the port; never a prefix, never with what the request says elsewhere.
    if only(request.headers(), &header::HOST) != Some(authority)
        || request.uri().authority().is_some_and(|named| named.as_str() != authority)
    {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "This page answers only at the address that `entresol web` prints.",
        ));
    }
    if request.headers().contains_key(header::UPGRADE) {
        return Some((StatusCode::FORBIDDEN, "There is no WebSocket here."));
    }
    let own_origin = || Some(format!("http://{authority}"));
    let origin = request.headers().contains_key(header::ORIGIN);
    if origin && only(request.headers(), &header::ORIGIN).map(str::to_owned) != own_origin() {
        return Some((StatusCode::FORBIDDEN, "Another site asked for this page."));
    }
    // Browsers say who started a request. Programs without this header have no cookie of the user's to abuse.
    let site = HeaderName::from_static("sec-fetch-site");
    if request.headers().contains_key(&site) && !matches!(only(request.headers(), &site), Some("none" | "same-origin"))
    {
        return Some((StatusCode::FORBIDDEN, "Another site linked to this page. Open its address by hand."));
    }
    // Nor HEAD: a look ahead would use up a link.
    if request.method() != Method::GET {
        return Some((StatusCode::METHOD_NOT_ALLOWED, "This page only reads."));
    }
    None
}

/// The value of a header that stands exactly once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
