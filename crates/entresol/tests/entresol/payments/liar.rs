//! A node that lies: it passes everything on to an honest one, and changes answers on their way back.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message;

/// Changes the answer (with `result` or `error`) to a method with these parameters.
type Lie = Box<dyn FnMut(&str, &Json, &mut Json) + Send>;

pub(super) struct Liar {
    pub(super) url: String,
    lie: Arc<Mutex<Option<Lie>>>,
    _runtime: Runtime,
}

impl Liar {
    /// Honest until told otherwise.
    pub(super) fn before(node: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("made");
        let lie: Arc<Mutex<Option<Lie>>> = Arc::default();
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))).expect("bound");
        let url = format!("ws://{}", listener.local_addr().expect("an address"));
        let (node, lies) = (node.to_owned(), Arc::clone(&lie));
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(stream, node.clone(), Arc::clone(&lies)));
            }
        });
        Self { url, lie, _runtime: runtime }
    }

    pub(super) fn lies(&self, lie: impl FnMut(&str, &Json, &mut Json) + Send + 'static) {
        *self.lie.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(lie));
    }

    pub(super) fn is_honest_again(&self) {
        *self.lie.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

async fn relay(stream: TcpStream, node: String, lie: Arc<Mutex<Option<Lie>>>) {
    let Ok(client) = tokio_tungstenite::accept_async(stream).await else { return };
    let Ok((node, _)) = tokio_tungstenite::connect_async(node).await else { return };
    let ((mut to_client, mut from_client), (mut to_node, mut from_node)) = (client.split(), node.split());
    let mut asked: HashMap<String, (String, Json)> = HashMap::new();
    loop {
        tokio::select! {
            message = from_client.next() => {
                let Some(Ok(message)) = message else { return };
                if let Message::Text(text) = &message
                    && let Ok(call) = serde_json::from_str::<Json>(text)
                {
                    let method = call["method"].as_str().unwrap_or_default().to_owned();
                    asked.insert(call["id"].to_string(), (method, call["params"].clone()));
                }
                if to_node.send(message).await.is_err() { return }
            }
            message = from_node.next() => {
                let Some(Ok(mut message)) = message else { return };
                if let Message::Text(text) = &message
                    && let Ok(mut answer) = serde_json::from_str::<Json>(text)
                    && let Some((method, params)) = asked.remove(&answer["id"].to_string())
                {
                    if let Some(lie) = lie.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
                        lie(&method, &params, &mut answer);
                    }
                    message = Message::text(answer.to_string());
                }
                if to_client.send(message).await.is_err() { return }
            }
        }
    }
}
