//! An endpoint that can be taken away, frozen, limited or pointed at another node; behind it stands a real anvil.

use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// What the endpoint does.
#[derive(Clone, Debug)]
pub(crate) enum Mode {
    /// Passes everything on.
    Pass,
    /// Hangs up.
    Down,
    /// Says that this block is the newest, and passes everything else on.
    Frozen(Value),
    /// Takes at most so many blocks per `eth_getLogs`.
    Range(u64),
    /// Does not know these methods.
    Without(&'static [&'static str]),
    /// Answers a transaction with this refusal.
    Refuse(&'static str),
}

/// The endpoint.
#[derive(Clone)]
pub(crate) struct Proxy {
    pub(crate) url: Url,
    state: Arc<Mutex<(Url, Mode)>>,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
    client: Arc<OnceLock<reqwest::Client>>,
}

impl Proxy {
    pub(crate) async fn to(target: Url) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("a URL");
        let proxy = Self {
            url,
            state: Arc::new(Mutex::new((target, Mode::Pass))),
            asked: Arc::default(),
            client: Arc::default(),
        };
        let served = proxy.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(served.clone().serve(stream));
            }
        });
        proxy
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.state.lock().expect("whole").1 = mode;
    }

    pub(crate) fn point_at(&self, target: Url) {
        self.state.lock().expect("whole").0 = target;
    }

    /// The parameters of every call of `method` so far.
    pub(crate) fn asked(&self, method: &str) -> Vec<Value> {
        let asked = self.asked.lock().expect("whole");
        asked.iter().filter(|(name, _)| name == method).map(|(_, params)| params.clone()).collect()
    }

    async fn serve(self, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            let (target, mode) = self.state.lock().expect("whole").clone();
            let method = request["method"].as_str().unwrap_or_default().to_owned();
            self.asked.lock().expect("whole").push((method.clone(), request["params"].clone()));
            let error = |code: i64, message: &str| {
                Some(json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": code, "message": message } }))
            };
            let own = match &mode {
                Mode::Down => return,
                Mode::Frozen(block) if method == "eth_getBlockByNumber" && request["params"][0] == "latest" => {
                    Some(json!({ "jsonrpc": "2.0", "id": request["id"], "result": block }))
                }
                Mode::Range(most) if method == "eth_getLogs" && span(&request["params"][0]) > *most => {
                    error(-32602, "query exceeds max block range")
                }
                Mode::Without(methods) if methods.contains(&method.as_str()) => error(-32601, "method not found"),
                Mode::Refuse(words) if method == "eth_sendRawTransaction" => error(-32000, words),
                _ => None,
            };
            let answer = match own {
                Some(answer) => answer,
                None => {
                    // Made late: by then the network under test has chosen the TLS provider.
                    let client = || reqwest::Client::builder().no_proxy().build().expect("a client");
                    let client = self.client.get_or_init(client);
                    let sent = client.post(target).json(&request).send().await;
                    let Ok(response) = sent else { return };
                    let Ok(answer) = response.json().await else { return };
                    answer
                }
            };
            let body = answer.to_string();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
            if stream.write_all(format!("{head}{body}").as_bytes()).await.is_err() {
                return;
            }
        }
    }
}

fn span(filter: &Value) -> u64 {
    let number = |name: &str| filter[name].as_str().and_then(|text| u64::from_str_radix(&text[2..], 16).ok());
    match (number("fromBlock"), number("toBlock")) {
        (Some(from), Some(to)) => to - from + 1,
        _ => 1,
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Value> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length: usize = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
            if bytes.len() >= end + 4 + length {
                return serde_json::from_slice(&bytes[end + 4..end + 4 + length]).ok();
            }
        }
        let mut buffer = [0; 4096];
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
    }
}
