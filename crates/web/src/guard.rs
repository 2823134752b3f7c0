//! What every request must pass, and what every response carries.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{self, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use serde_json::json;

use crate::pages;

/// Our own style sheet and script and nothing else: no frame around us, no form that leaves, no base, no inline script,
/// no evaluation (trusted types are for nobody). Pictures are ours, or a plugin's cleaned SVG as `data:`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types 'none'";

/// Headers of every response, also of refusals.
const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("cache-control", "no-store"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
];

/// Header in which the script of a page gives the session's token.
pub(crate) const TOKEN: HeaderName = HeaderName::from_static("x-entresol-token");
const SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The one name under which the page may be reached: `127.0.0.1:PORT`.
#[derive(Clone, Debug)]
pub(crate) struct Authority(pub(crate) String);

/// The outermost layer: refuses, or lets through; then sets the headers.
pub(crate) async fn guard(State(authority): State<Authority>, request: Request, next: Next) -> Response {
    let mut response = match refusal(&authority.0, &request) {
        Some((status, why)) if request.method() == Method::POST => refused(status, why),
        Some((status, why)) => (status, Html(pages::message(why).into_string())).into_response(),
        None => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    response
}

/// The answer to a script that may not.
pub(crate) fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// Why a request is refused.
fn refusal(authority: &str, request: &Request) -> Option<(StatusCode, &'static str)> {
    let headers = request.headers();
    // DNS rebinding: a name of the attacker that resolves to 127.0.0.1 arrives with the attacker's Host. Compared whole,
    // with the port; never a prefix, never with what the request says elsewhere.
    if only(headers, &header::HOST) != Some(authority)
        || request.uri().authority().is_some_and(|named| named.as_str() != authority)
    {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "This page answers only at the address that `entresol web` prints.",
        ));
    }
    if headers.contains_key(header::UPGRADE) {
        return Some((StatusCode::FORBIDDEN, "There is no WebSocket here."));
    }
    let own_origin =
        only(headers, &header::ORIGIN).and_then(|origin| origin.strip_prefix("http://")) == Some(authority);
    if headers.contains_key(header::ORIGIN) && !own_origin {
        return Some((StatusCode::FORBIDDEN, "Another site asked for this page."));
    }
    // Browsers say who started a request. Programs without this header have no cookie of the user's to abuse.
    let site = only(headers, &SITE);
    let opened_from_elsewhere =
        // A link to the page without a session leads to a page that holds nothing: the extension's popup has one.
        request.uri().path() == "/" && site.is_some() && only(headers, &MODE) == Some("navigate");
    if headers.contains_key(&SITE) && !matches!(site, Some("none" | "same-origin")) && !opened_from_elsewhere {
        return Some((StatusCode::FORBIDDEN, "Another site linked to this page. Open its address by hand."));
    }
    match *request.method() {
        Method::GET => None,
        // Only our own script acts: whatever a foreign page can make a browser send lacks one of these, and a program
        // that can forge them all still lacks the session's path, cookie and token.
        Method::POST if !own_origin || site != Some("same-origin") => {
            Some((StatusCode::FORBIDDEN, "Only the wallet's own page may ask for this."))
        }
        Method::POST if only(headers, &header::CONTENT_TYPE) != Some("application/json") => {
            Some((StatusCode::UNSUPPORTED_MEDIA_TYPE, "application/json is needed."))
        }
        Method::POST => None,
        // Nor HEAD: a look ahead would use up a link.
        _ => Some((StatusCode::METHOD_NOT_ALLOWED, "This page is read with GET.")),
    }
}

/// The value of a header that stands exactly once.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
