//! A real host in a directory of its own, its page, and a client that sends bytes.

use std::sync::OnceLock;
use std::time::Duration;

use entresol_host::{Actor, Host, HostConfig};
use entresol_sandbox::Engine;
use entresol_store::{NewApproval, Store};
use entresol_vault::{KdfCost, Vault};
use entresol_web::WebServer;
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Longest wait for an answer; reached only when a test fails.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// The passphrase of the tests' wallet.
pub(crate) const PASSPHRASE: &str = "correct horse";

/// Compiled once for all tests.
fn engine() -> Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).expect("the engine compiles")).clone()
}

pub(crate) struct Wallet {
    pub(crate) handle: Host,
    pub(crate) server: WebServer,
    pub(crate) stop: CancellationToken,
    /// The owner's address, which nobody must see without a session.
    pub(crate) address: String,
    _home: tempfile::TempDir,
}

impl Wallet {
    pub(crate) async fn start() -> Self {
        Self::open(None).await
    }

    pub(crate) async fn with_request(request: NewApproval) -> Self {
        Self::open(Some(request)).await
    }

    async fn open(request: Option<NewApproval>) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let keystore = home.path().join("keystore.json");
        let passphrase = SecretString::from(PASSPHRASE);
        let cheap = KdfCost { memory_kib: 64, passes: 1, lanes: 1 };
        Vault::create(&keystore, None, &passphrase, cheap).expect("created");
        let (vault, key) = Vault::open(&keystore, &passphrase).expect("opened");
        let store = Store::open(&home.path().join("wallet.db"), key.expose()).expect("a database");
        if let Some(request) = request {
            store.create_approval(&request).expect("stored");
        }
        let config = HostConfig {
            home: home.path().to_owned(),
            poll_interval: Duration::from_secs(1),
            allow_private_urls: true,
            kdf_cost: entresol_vault::KdfCost { memory_kib: 64, passes: 1, lanes: 1 },
            idle_stop: entresol_host::IDLE_STOP,
        };
        let handle = Host::start(config, vault, store, engine()).await.expect("a host");
        let address = handle.accounts(&Actor::Page).await.expect("accounts")[0].address.clone();
        let stop = CancellationToken::new();
        let server = WebServer::start(handle.clone(), 0, stop.clone()).await.expect("a page");
        Self { handle, server, stop, address, _home: home }
    }

    pub(crate) fn host(&self) -> String {
        self.server.address().to_string()
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.address().port()
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.host())
    }

    /// Opens a session; gives its path and its cookie.
    pub(crate) async fn enter(&self) -> (String, String) {
        let link = self.server.link().expect("a link");
        let reply = self.get(link.strip_prefix(&self.origin()).expect("our own address"), &[]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        let cookie = reply.header("set-cookie").and_then(|text| text.split(';').next()).expect("a cookie");
        (reply.header("location").expect("a place").to_owned(), cookie.to_owned())
    }

    pub(crate) async fn get(&self, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.send("GET", path, headers).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.write(method, Some(&self.host()), path, headers, "").await
    }

    /// What our own script sends: `body` with every header that a browser adds; `change` puts another value in the place
    /// of one of them, or leaves it out.
    pub(crate) async fn act(
        &self,
        visit: &Visit,
        name: &str,
        body: &str,
        change: Option<(&str, Option<&str>)>,
    ) -> Reply {
        let (own, length) = (self.origin(), body.len().to_string());
        let mut headers = visit.headers(&own, &length);
        if let Some((header, value)) = change {
            headers.retain(|(name, _)| *name != header);
            headers.extend(value.map(|value| (header, value)));
        }
        let host = self.host();
        let host =
            headers.iter().find(|(name, _)| *name == "host").map_or(host.as_str(), |(_, value)| value).to_owned();
        headers.retain(|(name, _)| *name != "host");
        self.write("POST", Some(&host), &format!("{}do/{name}", visit.session), &headers, body).await
    }

    /// A POST with just these headers.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.write("POST", Some(&self.host()), path, headers, body).await
    }

    /// Opens a session and reads its token from its first page.
    pub(crate) async fn visit(&self) -> Visit {
        let (session, cookie) = self.enter().await;
        let page = self.get(&session, &[("cookie", &cookie)]).await;
        let token =
            page.body.split("name=\"entresol-token\" content=\"").nth(1).and_then(|rest| rest.split('"').next());
        Visit { session, cookie, token: token.expect("a token").to_owned() }
    }

    /// With another `Host` header, or none.
    pub(crate) async fn get_as(&self, host: Option<&str>, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.write("GET", host, path, headers, "").await
    }

    async fn write(&self, method: &str, host: Option<&str>, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        if let Some(host) = host {
            text.push_str(&format!("Host: {host}\r\n"));
        }
        if !headers.iter().any(|(name, _)| *name == "connection") {
            text.push_str("Connection: close\r\n");
        }
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        if body.is_empty() {
            return self.raw(&text).await;
        }
        // Who acts waits for the answer: a server that sees its visitor leave may drop the work.
        text.push_str(body);
        self.exchange(self.connect().await, &text).await
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.address()).await.expect("connected")
    }

    /// Sends bytes and reads to the end; an empty reply (status 0) when the server hangs up.
    pub(crate) async fn raw(&self, bytes: &str) -> Reply {
        let mut stream = self.connect().await;
        let _ = stream.write_all(bytes.as_bytes()).await;
        let _ = stream.shutdown().await;
        self.exchange(stream, "").await
    }

    async fn exchange(&self, mut stream: TcpStream, bytes: &str) -> Reply {
        // The server may hang up before it has read everything.
        let _ = stream.write_all(bytes.as_bytes()).await;
        let mut answer = Vec::new();
        let _ = tokio::time::timeout(DEADLINE, stream.read_to_end(&mut answer)).await.expect("in time");
        Reply::parse(&String::from_utf8_lossy(&answer))
    }
}

/// An open session, with all three secrets.
pub(crate) struct Visit {
    pub(crate) session: String,
    pub(crate) cookie: String,
    pub(crate) token: String,
}

impl Visit {
    /// The headers that a browser sends with a request of our own script.
    pub(crate) fn headers<'a>(&'a self, origin: &'a str, length: &'a str) -> Vec<(&'a str, &'a str)> {
        vec![
            ("cookie", self.cookie.as_str()),
            ("origin", origin),
            ("sec-fetch-site", "same-origin"),
            ("content-type", "application/json"),
            ("x-entresol-token", self.token.as_str()),
            ("content-length", length),
        ]
    }
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Self { status: status.unwrap_or(0), headers, body: body.to_owned() }
    }

    /// The value of a header that stands once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let value = values.next()?;
        assert!(values.next().is_none(), "{name} stands twice");
        Some(value)
    }
}

/// A pending request with these words.
pub(crate) fn request(shown: Value) -> NewApproval {
    NewApproval {
        kind: "deposit".to_owned(),
        requester: json!("user"),
        request_key: None,
        solution: None,
        cause: json!([]),
        intent: json!({}),
        digest: "0x00".to_owned(),
        shown,
        created_at: 1,
        // Far beyond any test, within an SQLite integer.
        expires_at: 1 << 52,
    }
}
