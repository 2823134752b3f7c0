use tokio::io::BufReader;

use super::*;
use crate::protocol::MAX_LINE;
use crate::{bind, socket_path};

async fn lines(bytes: &[u8]) -> Vec<Option<usize>> {
    let mut reader = BufReader::with_capacity(7, bytes);
    let mut found = Vec::new();
    loop {
        match read_line(&mut reader, MAX_LINE).await.expect("readable") {
            Line::Whole(line) => found.push(Some(line.len())),
            Line::TooLong => {
                found.push(None);
                return found;
            }
            Line::End => return found,
        }
    }
}

#[tokio::test]
async fn lines_are_bounded() {
    assert_eq!(lines(b"").await, []);
    assert_eq!(lines(b"a\n\nlonger than the buffer\n").await, [Some(1), Some(0), Some(22)]);
    assert_eq!(lines(b"whole\ncut").await, [Some(5)]);
    let mut longest = vec![b'x'; MAX_LINE];
    longest.push(b'\n');
    assert_eq!(lines(&longest).await, [Some(MAX_LINE)]);
    longest.insert(0, b'x');
    assert_eq!(lines(&longest).await, [None]);
}

#[tokio::test]
async fn the_socket_is_private() {
    let dir = tempfile::tempdir().expect("a directory");
    let home = dir.path();
    std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o750)).expect("set");
    let error = bind(home).expect_err("others may enter");
    assert!(error.to_string().contains("chmod 700"), "{error}");
    std::fs::set_permissions(home, std::fs::Permissions::from_mode(0o700)).expect("set");
    let first = bind(home).expect("bound");
    drop(first);
    let _second = bind(home).expect("a dead one's socket is replaced");
    let mode = std::fs::metadata(socket_path(home)).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let long = home.join("x".repeat(120));
    assert!(bind(&long).expect_err("too long").to_string().contains("shorter --home"));
}
