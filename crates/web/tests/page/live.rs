//! The stream of events: who gets it, what it says, when it ends.

use entresol_host::Actor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{DEADLINE, Visit, Wallet};

/// The last chunk of an answer.
const END: &str = "\r\n0\r\n\r\n";

/// Asks for the stream of a session.
async fn listen(wallet: &Wallet, visit: &Visit) -> TcpStream {
    let mut stream = wallet.connect().await;
    let (host, session, cookie) = (wallet.host(), &visit.session, &visit.cookie);
    let ask = format!(
        "GET {session}events HTTP/1.1\r\nHost: {host}\r\nCookie: {cookie}\r\nAccept: text/event-stream\r\n\r\n"
    );
    stream.write_all(ask.as_bytes()).await.expect("written");
    stream
}

/// Reads until `words` stand there; what came until then, or all of it where the stream has its end.
async fn until(stream: &mut TcpStream, words: &str) -> String {
    let mut text = String::new();
    let mut buffer = [0; 4096];
    while !text.contains(words) {
        match tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await.expect("in time") {
            Ok(0) | Err(_) => break,
            Ok(length) => text.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
    text
}

#[tokio::test]
async fn a_change_ticks_and_says_nothing_of_the_wallet() {
    let wallet = Wallet::start().await;
    let visit = wallet.visit().await;
    let mut stream = listen(&wallet, &visit).await;
    let begun = until(&mut stream, "event: change").await;
    assert!(begun.contains("text/event-stream") && begun.contains("no-store"), "{begun}");
    for _ in 0..3 {
        wallet.handle.account_add(&Actor::Page).await.expect("added");
        let tick = until(&mut stream, "event: change").await;
        assert!(tick.contains("event: change") && !tick.contains("0x"), "{tick}");
    }
    wallet.handle.lock(&Actor::Page).await.expect("locked");
    assert!(until(&mut stream, "event: change").await.contains("event: change"));
}

#[tokio::test]
async fn it_ends_with_its_session_and_with_the_daemon() {
    let wallet = Wallet::start().await;
    let (visit, other) = (wallet.visit().await, wallet.visit().await);
    let (mut stream, mut second) = (listen(&wallet, &visit).await, listen(&wallet, &other).await);
    until(&mut stream, "event: change").await;
    until(&mut second, "event: change").await;
    assert_eq!(wallet.act(&visit, "leave", "{}", None).await.status, 200);
    // The next change finds the session closed.
    wallet.handle.account_add(&Actor::Page).await.expect("added");
    let rest = until(&mut stream, END).await;
    assert!(rest.ends_with(END), "the stream has its end: {rest}");
    wallet.stop.cancel();
    let rest = until(&mut second, END).await;
    assert!(rest.ends_with(END), "the stream has its end: {rest}");
}

#[tokio::test]
async fn row_01_row_02_nobody_else_gets_the_stream() {
    let wallet = Wallet::start().await;
    let (visit, other) = (wallet.visit().await, wallet.visit().await);
    let path = format!("{}events", visit.session);
    let cookie = ("cookie", visit.cookie.as_str());
    assert_eq!(wallet.get(&path, &[]).await.status, 403);
    assert_eq!(wallet.get(&path, &[("cookie", &other.cookie)]).await.status, 403);
    for wrong in [
        ("origin", "https://attacker.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
    ] {
        assert_eq!(wallet.get(&path, &[cookie, wrong]).await.status, 403, "{wrong:?}");
    }
    assert_eq!(wallet.get_as(Some("attacker.example"), &path, &[cookie]).await.status, 421);
}

#[tokio::test]
async fn a_flood_of_streams_is_refused_and_pages_are_still_served() {
    let wallet = Wallet::start().await;
    let visit = wallet.visit().await;
    let mut held = Vec::new();
    for _ in 0..64 {
        let mut stream = listen(&wallet, &visit).await;
        until(&mut stream, "event: change").await;
        held.push(stream);
    }
    assert_eq!(wallet.get(&format!("{}events", visit.session), &[("cookie", &visit.cookie)]).await.status, 429);
    assert_eq!(wallet.get(&visit.session, &[("cookie", &visit.cookie)]).await.status, 200);
}
