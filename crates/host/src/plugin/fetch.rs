//! HTTP requests of plugins, to granted hosts only. No redirect is followed: where it leads was not granted, and the
//! script can ask for it by name. Cookies, proxies and credentials of this machine are not used.

use super::connections::{client_for, down};
use crate::error::{HostError, code};
use crate::wire;
use reqwest::Method;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value as Json, json};
use std::time::Duration;
use url::Url;

/// Largest body in either direction: what the sandbox takes in one message, less the envelope, hex doubles it.
const MAX_BODY: usize = 256 * 1024;
/// Longest wait for a whole answer.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Most headers of a request.
const MAX_HEADERS: usize = 32;
/// Headers that belong to the connection, or speak for this machine.
const FORBIDDEN: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "upgrade", "te", "trailer", "proxy-authorization"];

/// Runs `fetch(url, { method?, headers?, body? })`; gives `{ status, headers, body }`. The caller has checked that the
/// host is granted; `own_hand` says that the user named it, so that it may be private.
pub(crate) async fn fetch(url: &Url, own_hand: bool, init: &Json) -> Result<Json, HostError> {
    let method = match init["method"].as_str().unwrap_or("GET") {
        "GET" => Method::GET,
        "HEAD" => Method::HEAD,
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        "DELETE" => Method::DELETE,
        other => return Err(HostError::invalid(format!("fetch: method {other:?} is not supported"))),
    };
    let body = match &init["body"] {
        Json::Null => Vec::new(),
        Json::String(text) => text.as_bytes().to_vec(),
        other => wire::untag(other)
            .as_str()
            .and_then(|text| hex::decode(text.strip_prefix("0x")?).ok())
            .ok_or_else(|| HostError::invalid("fetch: body must be a string or bytes"))?,
    };
    if body.len() > MAX_BODY {
        return Err(HostError::new(code::LIMIT, format!("fetch: a body has at most {MAX_BODY} bytes")));
    }
    let client = client_for(url, own_hand, TIMEOUT).await?;
    let sent = client.request(method, url.clone()).headers(headers(&init["headers"])?).body(body).send().await;
    let mut response = sent.map_err(|e| down(url.as_str())(crate::error::chain(&e.without_url())))?;
    let status = response.status().as_u16();
    let mut told = Map::new();
    for (name, value) in response.headers() {
        told.insert(name.to_string(), json!(String::from_utf8_lossy(value.as_bytes())));
    }
    let mut received = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| down(url.as_str())(e.without_url()))? {
        if received.len() + chunk.len() > MAX_BODY {
            return Err(HostError::new(code::LIMIT, format!("{url} answers with more than {MAX_BODY} bytes")));
        }
        received.extend_from_slice(&chunk);
    }
    Ok(json!({ "status": status, "headers": told, "body": wire::bytes(&received) }))
}

fn headers(given: &Json) -> Result<HeaderMap, HostError> {
    let mut headers = HeaderMap::new();
    let empty = Map::new();
    let given = given.as_object().unwrap_or(&empty);
    if given.len() > MAX_HEADERS {
        return Err(HostError::new(code::LIMIT, format!("fetch: at most {MAX_HEADERS} headers")));
    }
    for (name, value) in given {
        let refused = || HostError::invalid(format!("fetch: header {name:?} cannot be sent"));
        let parsed: HeaderName = name.parse().map_err(|_| refused())?;
        if FORBIDDEN.contains(&parsed.as_str()) {
            return Err(refused());
        }
        headers.insert(parsed, value.as_str().and_then(|v| HeaderValue::from_str(v).ok()).ok_or_else(refused)?);
    }
    Ok(headers)
}

/// True when both URLs lead to the same host and port with the same protection (ws with http, wss with https).
pub(crate) fn same_endpoint(granted: &str, wanted: &Url) -> bool {
    let secure = |url: &Url| matches!(url.scheme(), "wss" | "https");
    Url::parse(granted).is_ok_and(|granted| {
        granted.host().is_some()
            && granted.host() == wanted.host()
            && granted.port_or_known_default() == wanted.port_or_known_default()
            && secure(&granted) == secure(wanted)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_one_host_port_and_protection() {
        let leads = |granted: &str, wanted: &str| same_endpoint(granted, &wanted.parse().expect("a URL"));
        assert!(leads("wss://tower.example/a", "https://tower.example/b?c"));
        assert!(leads("ws://127.0.0.1:80", "http://127.0.0.1/x"));
        for (granted, wanted) in [
            ("wss://tower.example", "http://tower.example"),
            ("wss://tower.example", "wss://tower.example:444"),
            ("wss://tower.example", "wss://tower.example.evil.example"),
            ("wss://tower.example", "wss://evil.example/tower.example"),
            ("not a url", "https://tower.example"),
        ] {
            assert!(!leads(granted, wanted), "{granted} {wanted}");
        }
    }

    #[test]
    fn headers_of_the_connection_are_refused() {
        assert_eq!(headers(&json!({ "X-Key": "1" })).expect("fits")["x-key"], "1");
        for bad in [json!({ "Host": "x" }), json!({ "a b": "1" }), json!({ "a": "1\r\nb: 2" }), json!({ "a": 1 })] {
            assert!(headers(&bad).is_err(), "{bad}");
        }
    }
}
