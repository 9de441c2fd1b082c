//! Design, promise 6, the smaller half: kill -9 under load, again and again, loses nothing that
//! was acknowledged; the next start needs no hands; and requests whose answers were lost give the
//! same answer when they are asked again (promise 2).

use std::time::Duration;

use ingot_tests::load::Load;
use ingot_tests::server::{Options, Server, verify};
use ingot_tests::{count, dice, say, seed};
use rand::Rng;

use crate::HEAVY;

/// Kills per engine.
const ROUNDS: usize = 100;
/// `ingot verify` looks at the store after so many rounds.
const ROUNDS_PER_VERIFY: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_acknowledged_with_fjall() {
    play("fjall").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_acknowledged_with_sled() {
    play("sled").await;
}

async fn play(engine: &str) {
    let _alone = HEAVY.lock().await;
    let seed = seed(&format!("kill, {engine}"));
    let rounds = count("INGOT_KILL_ROUNDS", ROUNDS);
    let mut dice = dice(seed, 3);
    let options = Options::default().set("INGOT_INDEX__ENGINE", engine);
    let mut server = Server::start_with(options).await;
    let mut load = Load::start(server.admin(), seed);
    let mut acknowledged = 0;
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(dice.random_range(20..400))).await;
        server.kill();
        load.pause();
        // The process is gone, so that what was acknowledged by now is all that ever was.
        let due = load.due();
        if round % ROUNDS_PER_VERIFY == 0 {
            verify(&server.data()).await;
        }
        server = server.start_again(|options| options).await;
        load.check(&due, &server.admin()).await;
        acknowledged = due.len();
        load.go_on(server.admin());
    }
    assert!(acknowledged > rounds, "hardly anything was acknowledged: {acknowledged}");
    say(&format!("kill, {engine}: {rounds} kills, {acknowledged} acknowledged, 0 lost"));
    load.stop().await;
    server.stop();
    verify(&server.data()).await;
}
