//! A browser as the wallet sees it: `entresol bridge` as a real process, spoken to in native messages, and the key that
//! the extension of a profile has.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use entresol_api::site::challenge_text;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value as Json, json};

use crate::support::{LIMIT, Wallet, entresol, until};

/// The key of a profile, by number.
pub(crate) fn key(number: u8) -> SigningKey {
    SigningKey::from_slice(&[number; 32]).expect("a key")
}

/// The answer of a key to a challenge.
pub(crate) fn hello(key: &SigningKey, nonce: &str) -> Json {
    let text = URL_SAFE_NO_PAD.encode(key.verifying_key().to_encoded_point(false).as_bytes());
    let signature: Signature = key.sign(challenge_text(nonce, &text).as_bytes());
    json!({ "type": "hello", "version": 1, "key": text, "signature": URL_SAFE_NO_PAD.encode(signature.to_bytes()) })
}

/// A running bridge, killed when dropped.
#[derive(Debug)]
pub(crate) struct Browser {
    child: Child,
    input: Option<ChildStdin>,
    messages: Receiver<Json>,
    /// Events that came while something else was waited for.
    pub(crate) events: Vec<Json>,
}

impl Browser {
    /// Starts the bridge as Chromium does, before any handshake.
    pub(crate) fn bare(wallet: &Wallet) -> Self {
        let mut command = entresol();
        command.arg("--home").arg(wallet.home()).arg("bridge");
        command.arg(format!("chrome-extension://{}/", entresol_api::site::EXTENSION_ID));
        Self::run(command)
    }

    /// Starts a program that speaks native messages.
    pub(crate) fn run(mut command: std::process::Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("started");
        let input = child.stdin.take();
        let mut output = child.stdout.take().expect("piped");
        let (to, messages) = channel();
        std::thread::spawn(move || {
            let mut length = [0; 4];
            while output.read_exact(&mut length).is_ok() {
                let length = u32::from_le_bytes(length);
                assert!(length <= 1024 * 1024, "browsers take at most 1 MiB");
                let mut text = vec![0; length as usize];
                if output.read_exact(&mut text).is_err() {
                    return;
                }
                let message = serde_json::from_slice(&text).expect("JSON");
                if to.send(message).is_err() {
                    return;
                }
            }
        });
        Self { child, input, messages, events: Vec::new() }
    }

    /// A paired profile that has been welcomed.
    pub(crate) fn paired(wallet: &Wallet, number: u8, name: &str) -> Self {
        let mut browser = Self::bare(wallet);
        if browser.greet(number)["type"] == "unpaired" {
            let code = browser.code("A test");
            wallet.run(&["bridge", "pair", &code, "--name", name]).json();
            assert_eq!(browser.hear(), json!({ "type": "welcome", "profile": name }));
        }
        browser
    }

    pub(crate) fn say(&mut self, message: &Json) {
        let text = message.to_string().into_bytes();
        let length = u32::try_from(text.len()).expect("small").to_le_bytes();
        let input = self.input.as_mut().expect("open");
        // A bridge that has ended is seen by what it says no more.
        let _ = input.write_all(&length).and_then(|()| input.write_all(&text)).and_then(|()| input.flush());
    }

    /// The next message, whatever it is; null when the bridge has ended.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Json {
        match self.messages.recv_timeout(LIMIT) {
            Ok(message) => message,
            Err(RecvTimeoutError::Disconnected) => Json::Null,
            Err(RecvTimeoutError::Timeout) => panic!("nothing was said"),
        }
    }

    /// The next message of this type; events before it are kept.
    #[track_caller]
    pub(crate) fn hear_of(&mut self, kind: &str) -> Json {
        loop {
            let message = self.hear();
            if message["type"] == kind {
                return message;
            }
            assert_eq!(message["type"], "event", "instead of {kind}: {message}");
            self.events.push(message);
        }
    }

    /// Answers the challenge with this key; gives what the wallet says to it.
    #[track_caller]
    pub(crate) fn greet(&mut self, number: u8) -> Json {
        let challenge = self.hear_of("challenge");
        self.say(&hello(&key(number), challenge["nonce"].as_str().expect("a nonce")));
        self.hear()
    }

    #[track_caller]
    pub(crate) fn code(&mut self, name: &str) -> String {
        self.say(&json!({ "type": "pair", "name": name }));
        let code = self.hear_of("code");
        assert_eq!(code["expiresInMs"], 300_000);
        code["code"].as_str().expect("a code").to_owned()
    }

    pub(crate) fn open(&mut self, document: u64, origin: &str) {
        self.say(&json!({ "type": "open", "document": document, "origin": origin }));
    }

    pub(crate) fn close(&mut self, document: u64) {
        self.say(&json!({ "type": "close", "document": document }));
    }

    pub(crate) fn request(&mut self, document: u64, id: u64, method: &str, params: &Json) {
        self.say(&json!({ "type": "request", "document": document, "id": id, "method": method, "params": params }));
    }

    /// The answer to a request: `{"result":…}` or `{"error":…}` and who it is for.
    #[track_caller]
    pub(crate) fn answer(&mut self, document: u64, id: u64) -> Json {
        let answer = self.hear_of("response");
        assert_eq!((&answer["document"], &answer["id"]), (&json!(document), &json!(id)), "{answer}");
        answer
    }

    /// A request and its answer.
    #[track_caller]
    pub(crate) fn ask(&mut self, document: u64, id: u64, method: &str, params: &Json) -> Json {
        self.request(document, id, method, params);
        self.answer(document, id)
    }

    /// Closes the bridge's input, as a browser does; gives its exit code.
    pub(crate) fn leave(mut self) -> i32 {
        drop(self.input.take());
        let status = until("the bridge ends", || self.child.try_wait().expect("waited"));
        status.code().unwrap_or(-1)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
