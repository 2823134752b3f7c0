//! Against real sockets that answer what a broken or lying endpoint could.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers each HTTP request with what `answer` makes of its JSON-RPC method; gives the URL.
async fn endpoint(answer: impl Fn(&str) -> String + Send + 'static) -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                request.extend_from_slice(&buffer[..read]);
                let text = String::from_utf8_lossy(&request);
                if let Some(start) = text.find("\"method\":\"")
                    && text.ends_with('}')
                {
                    let method = text[start + 10..].split('"').next().expect("a method").to_owned();
                    let _ = stream.write_all(answer(&method).as_bytes()).await;
                    break;
                }
            }
        }
    });
    format!("http://127.0.0.1:{port}/v3/secret-api-key?token=hidden").parse().expect("a URL")
}

fn ok(result: &str) -> String {
    let body = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn chain(id: &'static str) -> impl Fn(&str) -> String + Send + 'static {
    move |method| if method == "eth_chainId" { ok(&format!("\"{id}\"")) } else { ok(&format!("\"{method} on {id}\"")) }
}

async fn ask(urls: &[Url]) -> Result<Value, Layer1Error> {
    Rpc::new("test", 5, urls)?.request("eth_gasPrice", json!([])).await
}

/// A port on which nobody listens any more.
async fn nobody() -> Url {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("http://127.0.0.1:{}/", listener.local_addr().expect("an address").port()).parse().expect("a URL")
}

#[tokio::test]
async fn the_chain_id_is_checked_before_anything_is_believed() {
    let error = ask(&[endpoint(chain("0x6")).await]).await.expect_err("the wrong chain");
    assert!(matches!(error, Layer1Error::ChainIdMismatch { expected: 5, found: 6, .. }), "{error}");
}

#[tokio::test]
async fn the_next_endpoint_answers_when_one_is_away_or_on_another_chain() {
    let urls = [nobody().await, endpoint(chain("0x6")).await, endpoint(chain("0x5")).await];
    assert_eq!(ask(&urls).await.expect("the third"), json!("eth_gasPrice on 0x5"));
}

#[tokio::test]
async fn an_endpoint_that_came_back_as_another_chain_is_refused() {
    use std::sync::Arc;
    use std::sync::atomic::AtomicU8;
    let stage = Arc::new(AtomicU8::new(0));
    let seen = Arc::clone(&stage);
    let url = endpoint(move |method| match (seen.load(Ordering::SeqCst), method) {
        (0, "eth_chainId") => ok("\"0x5\""),
        (1, _) => "HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned(),
        (2, "eth_chainId") => ok("\"0x6\""),
        _ => ok("\"0x1\""),
    })
    .await;
    let rpc = Rpc::new("test", 5, &[url]).expect("a network");
    rpc.request("eth_gasPrice", json!([])).await.expect("the right chain");
    stage.store(1, Ordering::SeqCst);
    assert!(matches!(rpc.request("eth_gasPrice", json!([])).await, Err(Layer1Error::Unreachable { .. })));
    stage.store(2, Ordering::SeqCst);
    assert!(matches!(rpc.request("eth_gasPrice", json!([])).await, Err(Layer1Error::ChainIdMismatch { .. })));
}

#[tokio::test]
async fn errors_name_the_host_and_never_the_key_in_the_url() {
    let url =
        endpoint(|_| "HTTP/1.1 401 Unauthorized\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno".to_owned()).await;
    let dead: Url = format!("{}secret-api-key", nobody().await).parse().expect("a URL");
    for error in [ask(&[url]).await.expect_err("401"), ask(&[dead]).await.expect_err("refused")] {
        let text = format!("{error} {error:?}");
        assert!(text.contains("http://127.0.0.1:"), "{text}");
        assert!(!text.contains("secret-api-key") && !text.contains("hidden"), "{text}");
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let target = endpoint(chain("0x5")).await;
    let url = endpoint(move |_| {
        format!("HTTP/1.1 307 Moved\r\nlocation: {target}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    })
    .await;
    let error = ask(&[url]).await.expect_err("a redirect");
    assert!(error.to_string().contains("307"), "{error}");
}

#[tokio::test]
async fn answers_that_are_no_json_rpc_are_errors() {
    for body in ["", "<html>", "[]", "{\"result\":", "5"] {
        let url = endpoint(move |_| {
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        })
        .await;
        let error = ask(&[url]).await.expect_err("nonsense");
        assert!(matches!(error, Layer1Error::BadAnswer { .. }), "{body}: {error}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut_off() {
    let url = endpoint(|_| {
        let filler = "x".repeat(ANSWER_LIMIT + 1);
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{filler}")
    })
    .await;
    let error = ask(&[url]).await.expect_err("too long");
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[test]
fn only_http_and_websocket_are_spoken() {
    for url in ["file:///etc/passwd", "ftp://host/", "mailto:a@b"] {
        let error = Rpc::new("test", 5, &[url.parse().expect("a URL")]).expect_err("refused");
        assert!(error.to_string().contains("http://"), "{error}");
    }
    assert!(Rpc::new("test", 5, &[]).expect_err("no URL").to_string().contains("no RPC URL"));
}
