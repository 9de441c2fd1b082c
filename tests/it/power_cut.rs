//! Design, promise 6: "after a 2xx, kill -9 and power loss lose nothing. Proven under power cuts,
//! not only kills." `power_control.rs` shows that this harness can fail; and with `fsync` made to do
//! nothing (by preloading a library into the server), for all files or for directories alone, this
//! very suite fails within a few rounds.
//!
//! A server lives on a disk whose image is copied at random moments under load. Each copy is
//! mounted as after a power loss, and a second server is started on it, with another boot id
//! (the copies share this machine's), so that it must rebuild its index by itself.

use std::path::Path;
use std::time::Duration;

use ingot_tests::disk::{Disk, skip};
use ingot_tests::load::Load;
use ingot_tests::server::{Options, Server, verify};
use ingot_tests::{count, dice, say, seed};
use rand::Rng;

use crate::HEAVY;

/// Copies taken per engine.
const ROUNDS: usize = 60;
/// The server under load is stopped, or killed, and started again after so many rounds.
const ROUNDS_PER_LIFE: usize = 15;

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_acknowledged_with_fjall() {
    play("fjall").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_loses_nothing_acknowledged_with_sled() {
    play("sled").await;
}

fn options(engine: &str, data: &Path, boot: &str) -> Options {
    Options::default()
        .data(data)
        .set("INGOT_INDEX__ENGINE", engine)
        .set("INGOT_INDEX__BOOT_ID", boot)
}

async fn play(engine: &str) {
    let _alone = HEAVY.lock().await;
    let seed = seed(&format!("power cut, {engine}"));
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let rounds = count("INGOT_POWER_ROUNDS", ROUNDS);
    let mut dice = dice(seed, 2);
    let data = disk.path().join("data");
    let mut server = Server::start_with(options(engine, &data, "the-live-one")).await;
    let mut load = Load::start(server.admin(), seed);
    let mut acknowledged = 0;
    for round in 0..rounds {
        tokio::time::sleep(Duration::from_millis(dice.random_range(50..500))).await;
        // What was acknowledged before the copy began must be on it.
        let due = load.due();
        let copy = disk.cut(&format!("round-{round}")).expect("the disk is copied");
        load.pause();
        let revived = copy.mount().expect("the copy mounts");
        let boot = format!("after-cut-{round}");
        let copied = revived.path().join("data");
        let mut second = Server::start_with(options(engine, &copied, &boot)).await;
        load.check(&due, &second.admin()).await;
        // Section 4: verify is "safe beside a running server"; and as safe without one.
        if round % 2 == 0 {
            verify(&copied).await;
        }
        assert!(second.stop().success(), "a graceful stop exits with 0");
        if round % 2 == 1 {
            verify(&copied).await;
        }
        drop(second);
        drop(revived);
        acknowledged = due.len();
        if round % ROUNDS_PER_LIFE == ROUNDS_PER_LIFE - 1 {
            if dice.random_bool(0.5) {
                server.kill();
            } else {
                server.stop();
            }
            server = server.start_again(|options| options).await;
        }
        load.go_on(server.admin());
    }
    assert!(acknowledged > rounds, "hardly anything was acknowledged: {acknowledged}");
    say(&format!("power cut, {engine}: {rounds} cuts, {acknowledged} acknowledged, 0 lost"));
    load.stop().await;
}
