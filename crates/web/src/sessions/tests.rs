use super::*;

const PATH: Secret = [1; 32];
const COOKIE: Secret = [2; 32];

fn entered(sessions: &mut Sessions, now: Instant) -> Opened {
    let token = sessions.add_link([9; 32], now);
    sessions.enter(&token, [PATH, COOKIE], now).expect("opened")
}

#[test]
fn a_link_opens_one_session_once() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let token = sessions.add_link([9; 32], now);
    let opened = sessions.enter(&token, [PATH, COOKIE], now).expect("opened");
    assert!(sessions.is_open(&opened.path, &opened.cookie, now));
    assert!(sessions.enter(&token, [PATH, COOKIE], now).is_none(), "used up");
}

#[test]
fn both_secrets_are_needed_in_their_one_spelling() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let opened = entered(&mut sessions, now);
    assert!(!sessions.is_open(&opened.path, &opened.path, now));
    assert!(!sessions.is_open(&opened.cookie, &opened.cookie, now));
    assert!(!sessions.is_open("", "", now));
    let upper = spell(&[0xab; 32]).to_uppercase();
    assert!(parse(&upper).is_none());
}

#[test]
fn links_and_sessions_end() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let token = sessions.add_link([9; 32], now);
    assert!(sessions.enter(&token, [PATH, COOKIE], now + LINK_LIFE).is_none());
    let opened = entered(&mut sessions, now);
    assert!(!sessions.is_open(&opened.path, &opened.cookie, now + SESSION_LIFE));
}

#[test]
fn floods_push_out_the_oldest_and_grow_nothing() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    for n in 0..=255 {
        let later = now + Duration::from_millis(u64::from(n));
        let token = sessions.add_link([n; 32], later);
        sessions.enter(&token, [[n; 32], COOKIE], later).expect("opened");
        sessions.add_link([n; 32], later);
    }
    assert_eq!((sessions.links.len(), sessions.sessions.len()), (MOST_LINKS, MOST_SESSIONS));
    assert!(sessions.is_open(&spell(&[255; 32]), &spell(&COOKIE), now));
    assert!(!sessions.is_open(&spell(&[0; 32]), &spell(&COOKIE), now));
}
