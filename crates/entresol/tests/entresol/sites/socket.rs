//! An extension without native messaging: the WebSocket.

use std::net::TcpStream;

use entresol_api::site::EXTENSION_ID;
use serde_json::Value as Json;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Message, WebSocket, client};

use crate::support::LIMIT;

/// An open WebSocket with the origin of our extension.
pub(super) struct Socket(WebSocket<TcpStream>);

impl Socket {
    pub(super) fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        let mut request = format!("ws://{address}/extension").into_client_request().expect("a request");
        let origin = format!("chrome-extension://{EXTENSION_ID}").parse().expect("a value");
        request.headers_mut().insert("Origin", origin);
        Self(client(request, stream).expect("opened").0)
    }

    pub(super) fn say(&mut self, message: &Json) {
        self.0.send(Message::text(message.to_string())).expect("sent");
    }

    /// The next message; none when the wallet has ended the connection.
    pub(super) fn hear(&mut self) -> Option<Json> {
        loop {
            match self.0.read() {
                Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).expect("JSON")),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }
}

/// All that the wallet says to a stranger who begins with this message.
pub(super) fn said(address: &str, message: &Json) -> Vec<Json> {
    let mut socket = Socket::open(address);
    let mut said: Vec<_> = socket.hear().into_iter().collect();
    socket.say(message);
    said.extend(std::iter::from_fn(|| socket.hear()));
    said
}
