//! Static pages on loopback, under any name that the browser resolves there.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A server of pages; it ends with the test's process.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) port: u16,
}

/// What it serves: texts by path, and below that the files of a folder.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pages {
    texts: HashMap<String, String>,
    headers: HashMap<String, String>,
    folder: Option<PathBuf>,
}

impl Pages {
    /// A page or script at `/name.html`, `/name.js`.
    pub(crate) fn text(mut self, path: &str, text: impl Into<String>) -> Self {
        self.texts.insert(path.to_owned(), text.into());
        self
    }

    /// One more header of a page, `Name: value`.
    pub(crate) fn header(mut self, path: &str, header: &str) -> Self {
        self.headers.insert(path.to_owned(), format!("{header}\r\n"));
        self
    }

    /// The files of a folder.
    pub(crate) fn folder(mut self, folder: &Path) -> Self {
        self.folder = Some(folder.to_owned());
        self
    }

    /// Serves them on a port of its own.
    pub(crate) fn serve(self) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let pages = Arc::new(self);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let pages = Arc::clone(&pages);
                // A browser that hangs up is no error.
                std::thread::spawn(move || pages.answer(stream).unwrap_or_default());
            }
        });
        Site { port }
    }

    fn find(&self, path: &str) -> Option<Vec<u8>> {
        if let Some(text) = self.texts.get(path) {
            return Some(text.clone().into_bytes());
        }
        let name = path.trim_start_matches('/');
        let inside = !name.split('/').any(|part| part == ".." || part.is_empty());
        let folder = self.folder.as_ref().filter(|_| inside || name.is_empty())?;
        std::fs::read(folder.join(if name.is_empty() { "index.html" } else { name })).ok()
    }

    fn answer(&self, stream: TcpStream) -> std::io::Result<()> {
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        let first = lines.next().transpose()?.unwrap_or_default();
        for line in lines {
            if line?.is_empty() {
                break;
            }
        }
        let target = first.split(' ').nth(1).unwrap_or("/");
        let path = target.split(['?', '#']).next().unwrap_or("/");
        let (status, body) = match self.find(path) {
            Some(body) => ("200 OK", body),
            None => ("404 Not Found", b"there is no such page".to_vec()),
        };
        let kind = match path.rsplit('.').next() {
            Some("js" | "mjs") => "text/javascript",
            Some("css") => "text/css",
            Some("svg") => "image/svg+xml",
            Some("json") => "application/json",
            _ => "text/html; charset=utf-8",
        };
        let header = self.headers.get(path).map_or("", String::as_str);
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{header}Connection: close\r\n\r\n",
            body.len()
        )?;
        stream.write_all(&body)
    }
}

impl Site {
    /// The origin of this site under a name.
    pub(crate) fn origin(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }

    /// An address of it.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("{}{path}", self.origin(host))
    }
}
