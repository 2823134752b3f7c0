//! Fifty hostile plugins of every kind, installed and at work at once, beside an honest one.

#[path = "neighbours/crowd.rs"]
mod crowd;

use crate::support::*;
use crate::{about, says};
use crowd::{Hostile, Watch, arm_all, ask_honest, handle, hostile, inspect, install_all, met_its_fate, sum_of_caps};
use entresol_host::error::code;
use std::time::Duration;
use tokio::time::Instant;

/// Milliseconds of CPU that a turn may take, the least that a manifest can ask for.
const TURN: u64 = 100;
/// The honest one rests between two calls: somebody, or a page, asks now and then.
const REST: Duration = Duration::from_millis(5);
/// Reached only when the test fails.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_15_fifty_hostile_plugins_are_stopped_and_reported_and_an_honest_one_answers() {
    let anvil = Anvil::start().await;
    let wallet = Wallet::new(&anvil).await;
    install_all(&wallet, TURN).await;
    assert_eq!(hostile().len(), 50);
    ask_honest(&wallet, "greet", 0).await;
    let watch = Watch::start();
    // The honest one is asked all the while, also while they are let loose.
    let attacked = async {
        arm_all(&wallet).await;
        let deadline = Instant::now() + PATIENCE;
        let mut left = hostile();
        while !left.is_empty() {
            let mut still = Vec::new();
            for one in left {
                let view = inspect(&wallet, &one).await;
                assert!(view.memory_bytes <= view.memory_limit, "{view:?}");
                assert!(Instant::now() < deadline, "{} goes on: {view:?}", one.name);
                if met_its_fate(&one, &view) {
                    is_reported_and_removed(&wallet, &one).await;
                } else {
                    still.push(one);
                }
            }
            left = still;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let mut asked = 0;
    let honest = async {
        loop {
            asked += 1;
            ask_honest(&wallet, if asked % 4 == 0 { "note" } else { "greet" }, asked).await;
            tokio::time::sleep(REST).await;
        }
    };
    tokio::select! {
        () = attacked => {}
        () = honest => {}
    }
    let most = watch.most();
    assert!(asked > 100, "{asked} honest calls in all");
    ask_honest(&wallet, "note", asked + 1).await;
    assert!(most < sum_of_caps() as u64, "{most} bytes, of {}", sum_of_caps());
    // The honest one had one life, and nothing is said of it.
    let view = wallet.host().plugin_inspect(&USER, crowd::HONEST_NAME).await.expect("it is there");
    assert_eq!((view.starts, view.ended, view.threw, view.errors.len()), (1, 0, 0, 0), "{view:?}");
    wallet.host().shutdown().await;
}

/// The journal says who was stopped and for what; and by the user's word it is gone, whatever it is doing.
async fn is_reported_and_removed(wallet: &Wallet, one: &Hostile) {
    let name = handle(one.name);
    let rows = async || {
        let rows = wallet.host().activity(&USER, about(&name)).await.expect("a journal");
        rows.into_iter().filter(|row| row.action == "plugin stopped").collect::<Vec<_>>()
    };
    if one.fate.lives_on() {
        assert_eq!(rows().await.len(), 0, "{name}");
    } else {
        until("it is in the journal", async || {
            rows().await.iter().any(|row| one.fate.is_told_by(&format!("{row:?}"))).then_some(())
        })
        .await;
    }
    wallet.host().solution_remove(&USER, &name).await.expect("removed");
    says(wallet.host().plugin_inspect(&USER, &name).await, code::NOT_FOUND, "there is no solution");
}
