use super::*;
use crate::error::code;
use crate::plugin::Answer;
use serde_json::{Value as Json, json};
use tokio::sync::oneshot;

type Told = oneshot::Receiver<Result<Json, HostError>>;

fn answer() -> (Answer, Told) {
    oneshot::channel()
}

fn hook(number: u32) -> (Command, Told) {
    let (answer, told) = answer();
    (Command::Hook { hook: "onNetworkMessage", arg: json!(number), answer }, told)
}

fn call() -> (Command, Told) {
    let (answer, told) = answer();
    (Command::Call { action: "pay".into(), params: json!({}), causes: Vec::new(), answer }, told)
}

fn numbers(queue: Queue) -> Vec<Json> {
    let arg = |one: Waiting| match one.command {
        Command::Hook { arg, .. } => arg,
        other => panic!("{other:?}"),
    };
    queue.into_rest().into_iter().map(arg).collect()
}

#[test]
fn pauses_double_to_a_minute_and_a_good_life_makes_them_short_again() {
    let mut back_off = BackOff::default();
    let pauses: Vec<u128> = (0..9).map(|_| back_off.after(Duration::ZERO).as_millis()).collect();
    assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000]);
    assert_eq!(back_off.after(GOOD_LIFE), FIRST_PAUSE);
    assert_eq!(back_off.after(Duration::ZERO), FIRST_PAUSE * 2);
}

#[test]
fn what_an_ended_life_leaves_goes_first_and_in_order() {
    let mut queue = Queue::default();
    queue.push(hook(3).0);
    queue.push(hook(4).0);
    let left = vec![hook(1).0.into(), hook(2).0.into()];
    assert!(queue.take_back(left, true).is_empty());
    assert_eq!(numbers(queue), [1, 2, 3, 4]);
}

#[test]
fn a_hook_that_ends_one_life_after_the_other_is_given_up_and_those_behind_it_go_on() {
    let mut queue = Queue::default();
    queue.push(hook(1).0);
    for life in 1..=MOST_TRIES {
        let poison = queue.pop().expect("it waits");
        assert_eq!(poison.tries, life - 1);
        queue.push(hook(10 + life).0);
        let given_up = queue.take_back(vec![poison], true);
        assert_eq!(given_up.len(), usize::from(life == MOST_TRIES), "life {life}");
    }
    assert_eq!(numbers(queue), [11, 12, 13]);
    // A life that ended well is nobody's fault.
    let mut queue = Queue::default();
    for _ in 0..10 {
        let left = vec![hook(1).0.into()];
        assert!(queue.take_back(left, false).is_empty());
        queue.pop().expect("it waits");
    }
}

#[test]
fn calls_are_refused_while_a_plugin_is_down_and_hooks_wait() {
    let mut queue = Queue::default();
    let ((kept, mut untold), (refused, mut told)) = (hook(1), call());
    let down = Status::Failed("so".into());
    while_down(&mut queue, kept, &down);
    while_down(&mut queue, refused, &down);
    let error = told.try_recv().expect("told at once").expect_err("refused");
    assert_eq!((error.code, &error.data["delivered"]), (code::PLUGIN_STOPPED, &json!(false)));
    assert!(error.message.contains("failed: so"), "{error}");
    assert!(untold.try_recv().is_err(), "nobody has answered the hook");
    assert_eq!(numbers(queue), [1]);
}

#[test]
fn nothing_newer_of_its_kind_overtakes_a_hook_that_is_told_again() {
    let waiting = Waiting::from(hook(1).0);
    assert!(!waiting.may_go(["onBlock", "onNetworkMessage"].into_iter()));
    assert!(waiting.may_go(["onBlock"].into_iter()));
    assert!(Waiting::from(call().0).may_go(["onNetworkMessage"].into_iter()));
}

#[test]
fn only_an_instance_in_which_nothing_can_happen_is_still() {
    assert!(Stir::default().is_still());
    for stir in [
        Stir { open: 1, ..Stir::default() },
        Stir { requests: 1, ..Stir::default() },
        Stir { timers: 1, ..Stir::default() },
        Stir { connections: 1, ..Stir::default() },
        Stir { screens: 1, ..Stir::default() },
        Stir { recorded: true, ..Stir::default() },
    ] {
        assert!(!stir.is_still(), "{stir:?}");
    }
}
