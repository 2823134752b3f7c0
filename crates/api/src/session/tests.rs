use super::*;

fn at(base: Now, monotonic: u64, wall: i64) -> Now {
    let wall_change = Duration::from_secs(wall.unsigned_abs());
    Now {
        monotonic: base.monotonic + Duration::from_secs(monotonic),
        wall: if wall < 0 { base.wall - wall_change } else { base.wall + wall_change },
    }
}

fn key(sid: i32) -> SessionKey {
    SessionKey { uid: 1000, terminal: Terminal::Session { sid, started: 5 } }
}

#[test]
fn a_session_is_for_one_terminal_and_ends() {
    let start = Now::read();
    let mut sessions = Sessions::default();
    assert!(!sessions.is_open(&key(1), start));
    sessions.open(key(1), start);
    assert!(sessions.is_open(&key(1), at(start, 599, 599)));
    assert!(!sessions.is_open(&key(2), at(start, 1, 1)));
    let other_user = SessionKey { uid: 1001, ..key(1) };
    assert!(!sessions.is_open(&other_user, at(start, 1, 1)));
    let reused_sid = SessionKey { uid: 1000, terminal: Terminal::Session { sid: 1, started: 6 } };
    assert!(!sessions.is_open(&reused_sid, at(start, 1, 1)));
    assert!(!sessions.is_open(&key(1), at(start, 600, 600)));
    sessions.close_all();
    assert!(!sessions.is_open(&key(1), at(start, 1, 1)));
}

#[test]
fn a_session_ends_by_either_clock() {
    let start = Now::read();
    let mut sessions = Sessions::default();
    sessions.open(key(1), start);
    assert!(!sessions.is_open(&key(1), at(start, 1, 600)), "the machine slept");
    assert!(!sessions.is_open(&key(1), at(start, 600, 1)), "the wall clock stood still");
    assert!(!sessions.is_open(&key(1), at(start, 1, -5)), "the wall clock was set back");
}

#[test]
fn the_terminal_is_read_from_proc() {
    let line = "42 (a (b) c) S 1 42 77 34816 42 4194304 1 2 3 4 5 6 7 8 20 0 1 0 123456 1 2";
    assert_eq!(parse_stat(line), Some((77, 123_456)));
    assert_eq!(parse_stat("42 (cut"), None);
    let own = i32::try_from(std::process::id()).expect("small");
    let here = SessionKey::of_peer(0, Some(own), 1);
    assert!(matches!(here.terminal, Terminal::Session { .. }));
    assert_eq!(here, SessionKey::of_peer(0, Some(own), 2));
    let unknown = SessionKey::of_peer(0, None, 3);
    assert_eq!(unknown.terminal, Terminal::Connection(3));
}
