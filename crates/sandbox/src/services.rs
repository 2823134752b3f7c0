//! What the sandbox itself does for its globals: URLs and form encoding by the `url` crate, which follows the URL
//! standard of WHATWG. Text in, JSON out; nothing here has a side effect.

use serde_json::{Value, json};
use url::{Url, form_urlencoded, quirks};

/// Answers one request of `js/url.js`: a JSON list of texts. An invalid URL is the empty answer.
pub(crate) fn answer(name: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    let texts: Vec<String> = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    match (name, texts.as_slice()) {
        ("url.parse", &[text]) => Ok(parsed(Url::parse(text).ok())),
        ("url.parse", &[text, base]) => Ok(parsed(Url::parse(base).ok().and_then(|base| base.join(text).ok()))),
        ("form.parse", &[text]) => {
            let pairs: Vec<(String, String)> = form_urlencoded::parse(text.as_bytes()).into_owned().collect();
            Ok(json!(pairs).to_string().into_bytes())
        }
        ("form.serialize", pairs) => {
            let mut encoded = form_urlencoded::Serializer::new(String::new());
            for pair in pairs.chunks_exact(2) {
                encoded.append_pair(pair[0], pair[1]);
            }
            Ok(encoded.finish().into_bytes())
        }
        (name, &[href, value]) => match name.strip_prefix("url.set.") {
            Some(part) => set(part, href, value),
            None => Err(format!("no service {name}")),
        },
        _ => Err(format!("no service {name}")),
    }
}

fn parsed(url: Option<Url>) -> Vec<u8> {
    url.map(|url| parts(&url).to_string().into_bytes()).unwrap_or_default()
}

/// The standard gives a `blob:` URL the origin of the URL within it only where that is of the web (or a file's, which
/// is none).
fn origin(url: &Url) -> String {
    let within = || Url::parse(url.path()).is_ok_and(|inner| matches!(inner.scheme(), "http" | "https"));
    if url.scheme() == "blob" && !within() { "null".to_owned() } else { quirks::origin(url) }
}

fn parts(url: &Url) -> Value {
    json!({
        "href": quirks::href(url), "origin": origin(url), "protocol": quirks::protocol(url),
        "username": quirks::username(url), "password": quirks::password(url), "host": quirks::host(url),
        "hostname": quirks::hostname(url), "port": quirks::port(url), "pathname": quirks::pathname(url),
        "search": quirks::search(url), "hash": quirks::hash(url),
    })
}

/// A setter with a value that does not fit changes nothing, as the standard says.
fn set(part: &str, href: &str, value: &str) -> Result<Vec<u8>, String> {
    let mut url = Url::parse(href).map_err(|error| error.to_string())?;
    let _ = match part {
        "protocol" => quirks::set_protocol(&mut url, value),
        "username" => quirks::set_username(&mut url, value),
        "password" => quirks::set_password(&mut url, value),
        "host" => quirks::set_host(&mut url, value),
        "hostname" => quirks::set_hostname(&mut url, value),
        "port" => quirks::set_port(&mut url, value),
        "pathname" => {
            quirks::set_pathname(&mut url, value);
            Ok(())
        }
        "search" => {
            quirks::set_search(&mut url, value);
            Ok(())
        }
        "hash" => {
            quirks::set_hash(&mut url, value);
            Ok(())
        }
        _ => return Err(format!("a URL has no {part}")),
    };
    Ok(parsed(Some(url)))
}
