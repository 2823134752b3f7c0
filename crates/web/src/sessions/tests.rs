use super::*;

const PATH: Secret = [1; 32];
const COOKIE: Secret = [2; 32];
const TOKEN: Secret = [3; 32];

fn entered(sessions: &mut Sessions, now: Instant) -> Opened {
    let token = sessions.add_link([9; 32], now);
    sessions.enter(&token, [PATH, COOKIE, TOKEN], now).expect("opened")
}

#[test]
fn a_link_opens_one_session_once() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let token = sessions.add_link([9; 32], now);
    let opened = sessions.enter(&token, [PATH, COOKIE, TOKEN], now).expect("opened");
    let admitted = sessions.admit(&opened.path, &opened.cookie, now).expect("open");
    assert!(admitted.may_act(&admitted.token()));
    assert!(sessions.enter(&token, [PATH, COOKIE, TOKEN], now).is_none(), "used up");
}

#[test]
fn both_secrets_are_needed_in_their_one_spelling() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let opened = entered(&mut sessions, now);
    assert!(sessions.admit(&opened.path, &opened.path, now).is_none());
    assert!(sessions.admit(&opened.cookie, &opened.cookie, now).is_none());
    assert!(sessions.admit("", "", now).is_none());
    let upper = spell(&[0xab; 32]).to_uppercase();
    assert!(parse(&upper).is_none());
}

#[test]
fn links_and_sessions_end() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let token = sessions.add_link([9; 32], now);
    assert!(sessions.enter(&token, [PATH, COOKIE, TOKEN], now + LINK_LIFE).is_none());
    let opened = entered(&mut sessions, now);
    assert!(sessions.admit(&opened.path, &opened.cookie, now + SESSION_LIFE).is_none());
}

#[test]
fn floods_push_out_the_oldest_and_grow_nothing() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    for n in 0..=255 {
        let later = now + Duration::from_millis(u64::from(n));
        let token = sessions.add_link([n; 32], later);
        sessions.enter(&token, [[n; 32], COOKIE, TOKEN], later).expect("opened");
        sessions.add_link([n; 32], later);
    }
    assert_eq!((sessions.links.len(), sessions.sessions.len()), (MOST_LINKS, MOST_SESSIONS));
    assert!(sessions.admit(&spell(&[255; 32]), &spell(&COOKIE), now).is_some());
    assert!(sessions.admit(&spell(&[0; 32]), &spell(&COOKIE), now).is_none());
}

#[test]
fn row_02_the_token_is_the_session_s_own_and_ends_with_it() {
    let (mut sessions, now) = (Sessions::default(), Instant::now());
    let opened = entered(&mut sessions, now);
    let admitted = sessions.admit(&opened.path, &opened.cookie, now).expect("open");
    assert!(admitted.may_act(&spell(&TOKEN)));
    for wrong in ["", &spell(&COOKIE), &spell(&PATH), &format!("{}0", spell(&TOKEN))] {
        assert!(!admitted.may_act(wrong), "{wrong}");
    }
    sessions.close(&opened.path);
    assert!(sessions.admit(&opened.path, &opened.cookie, now).is_none());
}
