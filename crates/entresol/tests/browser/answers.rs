//! Answers of every size: a browser takes at most 1 MiB at once from the program that it started.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::{Value as Json, json};

use crate::site::Pages;
use crate::stage::Stage;

/// One request to the chain itself, past the wallet.
fn chain(url: &str, method: &str, params: Json) -> Json {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(address).expect("anvil listens");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(body.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    let answer: Json = serde_json::from_str(body).expect("JSON");
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

#[test]
fn an_answer_larger_than_one_native_message_comes_whole() {
    let stage = Stage::plain(Pages::default());
    let page = stage.open("127.0.0.1");
    stage.house.wallet.run(&["callers", "connect", &stage.caller("127.0.0.1")]).json();
    let rpc = stage.house.devnet.fact("rpc");
    let at = "0x00000000000000000000000000000000000000c0";
    // As text twice that, and the largest as much as anvil reads in one request.
    for bytes in [1_000, 450_000, 520_000, 950_000] {
        // No missing or repeated piece leaves it the same.
        let code: Vec<u8> = (0..bytes).map(|i: u32| u8::try_from((i / 251) % 256).expect("small")).collect();
        let code = code.iter().fold("0x".to_owned(), |text, byte| text + &format!("{byte:02x}"));
        chain(&rpc, "anvil_setCode", json!([at, code]));
        let answer = page.eval(&format!("ask('eth_getCode', ['{at}', 'latest'])"));
        assert!(answer == code, "{bytes} bytes of code came otherwise");
    }
}
