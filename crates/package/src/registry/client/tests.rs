use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use super::*;

/// A registry on loopback that answers fixed bodies by path, and remembers what was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: impl Fn(&str, &str) -> (u16, Vec<u8>) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own, log) = (address.clone(), asked.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut reader = BufReader::new(stream);
                let mut line = String::new();
                if reader.read_line(&mut line).is_err() {
                    continue;
                }
                let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
                let mut credentials = String::new();
                loop {
                    let mut header = String::new();
                    if reader.read_line(&mut header).is_err() || header.trim().is_empty() {
                        break;
                    }
                    if header.to_ascii_lowercase().starts_with("authorization:") {
                        credentials = format!(" {}", header.trim());
                    }
                }
                log.lock().expect("not poisoned").push(format!("{path}{credentials}"));
                let (status, body) = answers(&own, &path);
                let head =
                    format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
                let mut stream = reader.into_inner();
                let _ = stream.write_all(&[head.as_bytes(), &body].concat());
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn client(settings: &[(&str, &str)]) -> Registry {
    Registry::with_config(NpmConfig::from_settings(settings)).expect("a client")
}

const BODY: &[u8] = b"the tarball";

fn packument(tarball: &str, integrity: Option<&str>) -> Vec<u8> {
    let mut dist = serde_json::json!({ "tarball": tarball });
    if let Some(integrity) = integrity {
        dist["integrity"] = integrity.into();
    }
    serde_json::json!({ "versions": { "1.0.0": { "dist": dist } } }).to_string().into_bytes()
}

/// A server with one package whose metadata names `tarball` (`{own}` is the server) and `integrity`.
fn with_package(tarball: &'static str, integrity: Option<String>) -> Server {
    Server::start(move |own, path| match path {
        p if p.ends_with(".tgz") => (200, BODY.to_vec()),
        p if p.ends_with("small") => (200, packument(&tarball.replace("{own}", own), integrity.as_deref())),
        _ => (404, Vec::new()),
    })
}

#[tokio::test]
async fn a_tarball_is_fetched_and_checked() {
    let server = with_package("{own}/@example/small/-/small-1.0.0.tgz", Some(Integrity::of(BODY).to_string()));
    let mut heard = Vec::new();
    let fetched = client(&[("registry", &server.address)])
        .fetch("@example/small", "1.0.0", None, 1_000, |done, total| heard.push((done, total)))
        .await
        .expect("fetched");
    assert_eq!(fetched.bytes, BODY);
    assert_eq!(fetched.integrity, Integrity::of(BODY));
    assert_eq!(server.asked(), ["/@example%2fsmall", "/@example/small/-/small-1.0.0.tgz"]);
    assert_eq!(heard.first(), Some(&(0, Some(11))));
    assert_eq!(heard.last(), Some(&(11, Some(11))));
}

#[tokio::test]
async fn a_mirror_is_asked_even_when_its_answer_names_another_host() {
    let stated = "https://elsewhere.example/small/-/small-1.0.0.tgz";
    let server = with_package(stated, Some(Integrity::of(BODY).to_string()));
    let registry = format!("{}/below/npm", server.address);
    client(&[("registry", &registry)]).fetch("small", "1.0.0", None, 1_000, |_, _| {}).await.expect("fetched");
    assert_eq!(server.asked(), ["/below/npm/small", "/below/npm/small/-/small-1.0.0.tgz"]);
}

#[tokio::test]
async fn credentials_reach_the_registry() {
    let server = with_package("{own}/small/-/small-1.0.0.tgz", Some(Integrity::of(BODY).to_string()));
    let place = format!("{}/:_authToken", server.address.trim_start_matches("http:"));
    let settings = [("registry", server.address.as_str()), (place.as_str(), "secret")];
    client(&settings).fetch("small", "1.0.0", None, 1_000, |_, _| {}).await.expect("fetched");
    assert!(
        server.asked().iter().all(|request| request.ends_with(" authorization: Bearer secret")),
        "{:?}",
        server.asked()
    );
}

#[tokio::test]
async fn row_11_other_bytes_than_pinned_are_refused() {
    let check = async |stated: Option<String>, pinned: Option<Integrity>, expect: &str| {
        let server = with_package("{own}/small/-/small-1.0.0.tgz", stated);
        let fetched =
            client(&[("registry", &server.address)]).fetch("small", "1.0.0", pinned.as_ref(), 1_000, |_, _| {}).await;
        let error = fetched.expect_err("refused").to_string();
        assert!(error.contains(expect), "expected {expect}\n     got {error}");
    };
    let (right, wrong) = (Integrity::of(BODY), Integrity::of(b"other"));
    check(Some(wrong.to_string()), None, "small 1.0.0 is not what was pinned").await;
    // What the registry says of itself does not help against our own pin.
    check(Some(right.to_string()), Some(wrong), "small 1.0.0 is not what was pinned").await;
    check(None, None, "has no SHA-512 part").await;
    check(Some("sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=".into()), None, "has no SHA-512 part").await;
}

#[tokio::test]
async fn failures_name_the_address_and_the_way_out() {
    let check = async |registry: &str, name: &str, version: &str, limit: u64, expect: &str| {
        let fetched = client(&[("registry", registry)]).fetch(name, version, None, limit, |_, _| {}).await;
        let error = fetched.expect_err("refused").to_string();
        assert!(error.contains(expect), "expected {expect}\n     got {error}");
    };
    let server = with_package("{own}/small/-/small-1.0.0.tgz", Some(Integrity::of(BODY).to_string()));
    check(&server.address, "small", "2.0.0", 1_000, "the registry has no version 2.0.0 of small").await;
    check(&server.address, "small", "1.0.0", 10, "sends more than 10 bytes").await;
    check(&server.address, "gone", "1.0.0", 1_000, "answered 404: the registry does not have it").await;
    check(&server.address, "small", "latest", 1_000, "\"latest\" is no exact version").await;
    check(&server.address, "small", "^1.0.0", 1_000, "\"^1.0.0\" is no exact version").await;
    check(&server.address, "../../small", "1.0.0", 1_000, "is no npm package name").await;
    check("http://plain.example", "small", "1.0.0", 1_000, "http://plain.example/ is not encrypted").await;
    let nobody = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    check(
        &format!("http://{nobody}"),
        "small",
        "1.0.0",
        1_000,
        "cannot be reached; check the network and npm's settings",
    )
    .await;
    let page = Server::start(|_, _| (200, b"<html>".to_vec()));
    check(&page.address, "small", "1.0.0", 1_000, "answered something else than an npm registry does").await;
    let locked = Server::start(|_, _| (401, Vec::new()));
    check(&locked.address, "small", "1.0.0", 1_000, "wants other credentials").await;
}

#[tokio::test]
async fn no_registry_says_what_to_set() {
    let error = client(&[]).fetch("small", "1.0.0", None, 1_000, |_, _| {}).await.expect_err("none").to_string();
    assert!(error.contains("set npm_config_registry"), "{error}");
}

#[test]
fn a_certificate_file_that_is_none_is_named() {
    let error =
        Registry::with_config(NpmConfig::from_settings(&[("cafile", "/does/not/exist.pem")])).expect_err("none");
    assert!(error.to_string().contains("npm's setting cafile (/does/not/exist.pem)"), "{error}");
}
