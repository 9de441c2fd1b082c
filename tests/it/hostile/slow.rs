//! H57, H58, H65: clients that take their time. Smaller and quicker than the table (30 slow heads
//! for 500, 300 idle connections for 5,000, deadlines of a second or two), so that the suite stays
//! quick; whether others are slowed down is not timed here, only that they are served.

use std::time::Duration;

use ingot_tests::client::raw;
use ingot_tests::server::Options;
use ingot_tests::wire::{PATIENCE, Wire, exchange, request};

use super::{Victim, refused, turned_away};

/// Clients that send their heads slowly.
const SLOW_HEADS: usize = 30;
/// Connections that say nothing after one request.
const IDLE: usize = 300;
/// How often a slow client sends a byte.
const DRIP: Duration = Duration::from_millis(200);
/// More bytes than a slow client gets to send.
const DRIPS_MAX: usize = 200;

fn impatient() -> Options {
    Options::default()
        .set("INGOT_SERVER__HEAD_TIMEOUT_MS", "1000")
        .set("INGOT_SERVER__BODY_IDLE_TIMEOUT_MS", "1000")
}

#[tokio::test(flavor = "multi_thread")]
async fn h57_slow_heads_are_ended_and_hold_nobody_up() {
    let victim = Victim::with(impatient()).await;
    let mut slow = Vec::new();
    for _ in 0..SLOW_HEADS {
        let mut wire = Wire::connect(victim.server.address()).await;
        wire.write(b"GET /livez HTTP/1.1\r\nHost: 127").await;
        slow.push(wire);
    }
    for _ in 0..10 {
        victim.admin.get(&raw("known", "1", "known.zip")).await.expect(200);
    }
    for mut wire in slow {
        // "408 by 10 s", here by the shorter timeout that was set.
        turned_away("H57", &wire.rest(PATIENCE).await, &[408]);
    }
    // One byte now and then does not help.
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(b"GET /livez HTTP/1.1\r\nX-Slow: ").await;
    for sent in 0.. {
        assert!(sent < DRIPS_MAX, "H57: a head that drips in is read for ever");
        let said = wire.answer(DRIP).await;
        if said.closed || !said.bytes.is_empty() {
            turned_away("H57 dripping", &said, &[408]);
            break;
        }
        wire.write(b"x").await;
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h58_slow_bodies_are_ended() {
    let victim = Victim::with(impatient()).await;
    let bearer = format!("Bearer {}", victim.token);
    let auth = [("Authorization", bearer.as_str())];
    let path = raw("slow", "1", "f.bin");
    let bytes = request("PUT", &path, &auth, &[b'x'; 5000]);
    // "stops half-way"
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(&bytes[..bytes.len() - 2500]).await;
    turned_away("H58 stops", &wire.rest(PATIENCE).await, &[408]);
    victim.admin.get(&path).await.expect(404);
    // A byte now and then.
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(&bytes[..bytes.len() - 4900]).await;
    for sent in 0.. {
        assert!(sent < DRIPS_MAX, "H58: a body that drips in is read for ever");
        let said = wire.answer(DRIP).await;
        if said.closed || !said.bytes.is_empty() {
            turned_away("H58 dripping", &said, &[408]);
            break;
        }
        wire.write(b"x").await;
    }
    victim.admin.get(&path).await.expect(404);
    victim.admin.put(&path, b"free").await.expect(201);
    // The API's bodies have the same deadline.
    let path = ingot_tests::client::api("/channels/dev/promotions");
    let headers = [("Authorization", bearer.as_str()), ("Content-Type", "application/json")];
    let bytes = request("POST", &path, &headers, &[b' '; 100]);
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(&bytes[..bytes.len() - 50]).await;
    turned_away("H58 API", &wire.rest(PATIENCE).await, &[408]);
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h65_idle_connections_hold_nobody_up() {
    let victim = Victim::new().await;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut wire = Wire::connect(victim.server.address()).await;
        wire.write(&request("GET", "/livez", &[], b"")).await;
        assert_eq!(wire.answer(PATIENCE).await.status(), Some(200));
        idle.push(wire);
    }
    for _ in 0..10 {
        let reply = exchange(victim.server.address(), &request("GET", "/livez", &[], b"")).await;
        assert_eq!(reply.status(), Some(200), "H65: {}", reply.shown());
        victim.admin.get(&raw("known", "1", "known.zip")).await.expect(200);
    }
    drop(idle);
    let gone = victim.send("GET", &raw("none", "1", "f"), &[], b"").await;
    refused("H65 and after", &gone, &[404]);
    victim.unharmed().await;
}
