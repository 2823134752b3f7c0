//! HTTP as bytes: what no client library would send is sent here.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value as Json, json};

use crate::support::LIMIT;

/// A request that can be bent in every way.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) version: &'static str,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Came {
    /// 0 when the connection was closed without an answer.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Came {
    pub(crate) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found =
            self.head.lines().find_map(|line| line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name)));
        found.map(|(_, value)| value.trim())
    }
}

impl Raw {
    pub(crate) fn get(authority: &str, target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            headers: vec![("Host".to_owned(), authority.to_owned())],
            body: String::new(),
        }
    }

    /// A JSON-RPC request to an app's address.
    pub(crate) fn rpc(url: &str, body: &Json) -> Self {
        let (authority, path) = parts(url);
        let mut raw = Self::get(authority, path);
        raw.method = "POST".to_owned();
        raw.body = body.to_string();
        raw.with("Content-Type", "application/json")
    }

    /// With this header, in place of any of its name.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.and(name, value)
    }

    /// With this header once more.
    pub(crate) fn and(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self
    }

    pub(crate) fn method(mut self, method: &str) -> Self {
        self.method = method.to_owned();
        self
    }

    pub(crate) fn target(mut self, target: &str) -> Self {
        self.target = target.to_owned();
        self
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.to_owned();
        self
    }

    /// With everything of a right opening handshake (RFC 6455) but the origin.
    pub(crate) fn upgrade(self) -> Self {
        self.with("Connection", "Upgrade")
            .with("Upgrade", "websocket")
            .with("Sec-WebSocket-Version", "13")
            .with("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    /// Sends it to this address, without reading.
    pub(crate) fn begin(&self, address: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        let mut text = format!("{} {} {}\r\n", self.method, self.target, self.version);
        for (name, value) in &self.headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !self.body.is_empty() {
            text.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        // A server that has heard enough may hang up in the middle.
        let _ = stream.write_all(text.as_bytes());
        stream
    }

    /// Sends it and reads the answer.
    pub(crate) fn send(&self, address: &str) -> Came {
        let mut stream = self.begin(address);
        let head = read_head(&mut stream);
        // Such an answer tells the length of a body that it has not.
        if self.method == "HEAD" { head } else { read_body(&mut stream, head) }
    }
}

/// One answer: head, then as many bytes as it says.
pub(crate) fn read(stream: &mut TcpStream) -> Came {
    let head = read_head(stream);
    read_body(stream, head)
}

fn read_head(stream: &mut TcpStream) -> Came {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        match stream.read(&mut byte) {
            Ok(1) => bytes.push(byte[0]),
            _ => break,
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    Came { status, head, body: String::new() }
}

fn read_body(stream: &mut TcpStream, mut came: Came) -> Came {
    let length = came.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    if stream.read_exact(&mut body).is_ok() {
        came.body = String::from_utf8_lossy(&body).into_owned();
    }
    came
}

/// Authority and path of an address.
pub(crate) fn parts(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("an address");
    let at = rest.find('/').unwrap_or(rest.len());
    (&rest[..at], if at == rest.len() { "/" } else { &rest[at..] })
}

/// One JSON-RPC request, as any client would send it.
pub(crate) fn rpc(url: &str, method: &str, params: Json) -> Json {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let came = Raw::rpc(url, &body).send(parts(url).0);
    assert_eq!(came.status, 200, "{came:?}");
    came.json()
}
