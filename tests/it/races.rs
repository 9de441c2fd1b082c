//! Promise 3: "Of any number of concurrent publishes of one coordinate with different bytes […]
//! exactly one gets 201." Promise 2: "Same bytes again is success"; "a lost answer can always be
//! retried".

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ingot_tests::archive::tiny;
use ingot_tests::client::{Answer, Client, api, promotion, raw, release_path};
use ingot_tests::server::{Options, Server, verify};
use ingot_tests::wire::{Wire, request};
use ingot_tests::{count, digest, seed};
use serde_json::json;
use tokio::sync::Barrier;

use crate::HEAVY;

/// Clients that race for each coordinate.
const CLIENTS: usize = 64;
/// Coordinates raced for.
const COORDINATES: usize = 500;
/// Packages they are spread over.
const PACKAGES: usize = 20;
/// Versions of one package published at once.
const VERSIONS: usize = 200;
/// Requests of each kind whose connection is cut.
const CUTS: usize = 20;

fn coordinate(number: usize) -> (String, String) {
    (format!("race-{}", number % PACKAGES), format!("1.{}.0", number / PACKAGES))
}

fn path(number: usize) -> String {
    let (package, version) = coordinate(number);
    raw(&package, &version, "race.zip")
}

/// Has all clients put their own (or the same) bytes to every coordinate, in the same order, so
/// that they stay together. Answers by coordinate, one of each client.
async fn race(client: &Client, bytes: impl Fn(usize, usize) -> Vec<u8>) -> Vec<Vec<Answer>> {
    let coordinates = count("INGOT_RACE_COORDINATES", COORDINATES);
    let start = Arc::new(Barrier::new(CLIENTS));
    let bytes = Arc::new(
        (0..CLIENTS)
            .map(|c| (0..coordinates).map(|n| bytes(c, n)).collect())
            .collect::<Vec<Vec<_>>>(),
    );
    let mut racers = Vec::new();
    for racer in 0..CLIENTS {
        let (client, start, bytes) = (client.clone(), start.clone(), bytes.clone());
        racers.push(tokio::spawn(async move {
            start.wait().await;
            let mut answers = Vec::new();
            for (number, bytes) in bytes[racer].iter().enumerate() {
                answers.push(client.put(&path(number), bytes).await);
            }
            answers
        }));
    }
    let mut answers = vec![Vec::new(); coordinates];
    for racer in racers {
        for (number, answer) in racer.await.expect("the racer lives").into_iter().enumerate() {
            answers[number].push(answer);
        }
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn of_differing_bytes_exactly_one_wins_each_coordinate() {
    let _alone = HEAVY.lock().await;
    let seed = seed("publish race");
    let mut server = Server::start().await;
    let client = server.admin();
    let bytes = |racer: usize, number: usize| tiny(seed ^ (racer * 10_000 + number) as u64, 200);
    let answers = race(&client, bytes).await;
    for (number, answers) in answers.iter().enumerate() {
        let winners: Vec<_> = (0..CLIENTS).filter(|c| answers[*c].status == 201).collect();
        let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
        assert_eq!(winners.len(), 1, "coordinate {number}: {statuses:?}");
        let winning = bytes(winners[0], number);
        for (racer, answer) in answers.iter().enumerate().filter(|(c, _)| *c != winners[0]) {
            // "other bytes are 409 and name both digests"
            let problem = answer.clone().refused(409, "content_conflict").to_string();
            assert!(problem.contains(&ingot_tests::hex(&winning)), "{problem}");
            assert!(problem.contains(&ingot_tests::hex(&bytes(racer, number))), "{problem}");
        }
        let served = client.get(&path(number)).await.expect(200);
        assert_eq!(digest(&served.body), digest(&winning), "coordinate {number}");
    }
    server.stop();
    verify(&server.data()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_same_bytes_nobody_is_refused() {
    let _alone = HEAVY.lock().await;
    let seed = seed("same bytes");
    let server = Server::start().await;
    let client = server.admin();
    let answers = race(&client, |_, number| tiny(seed ^ number as u64, 200)).await;
    for (number, answers) in answers.iter().enumerate() {
        // "First time 201, again 200 with the same body"
        let first = answers.iter().filter(|answer| answer.status == 201).count();
        let again = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!((first, again), (1, CLIENTS - 1), "coordinate {number}");
        let bodies = answers.iter().map(|answer| answer.body.clone());
        assert!(bodies.into_iter().all(|body| body == answers[0].body), "coordinate {number}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_published_at_once_are_all_listed() {
    let server = Server::start().await;
    let client = server.admin();
    let start = Arc::new(Barrier::new(VERSIONS));
    let mut publishers = Vec::new();
    for number in 0..VERSIONS {
        let (client, start) = (client.clone(), start.clone());
        publishers.push(tokio::spawn(async move {
            let zip = tiny(number as u64, 100);
            start.wait().await;
            client.publish("many", &format!("0.{number}.0"), "m.zip", &zip, None).await.expect(201)
        }));
    }
    for publisher in publishers {
        publisher.await.expect("published");
    }
    // Promise 4: visible "in every document at once".
    let path = api("/packages/raw:many");
    let mut versions: Vec<_> = crate::api::releases_of(&client, &path, 50)
        .await
        .iter()
        .map(|release| release["version"].as_str().expect("version").to_owned())
        .collect();
    versions.sort();
    versions.dedup();
    assert_eq!(versions.len(), VERSIONS);
}

/// Sends a request, closes the socket without reading a byte, and lets the client ask again.
async fn cut(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) {
    let admin = server.admin();
    let mut all = vec![("Authorization", admin.authorization())];
    all.extend(headers);
    let mut wire = Wire::connect(server.address()).await;
    assert!(wire.write(&request(method, path, &all, body)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publish_whose_answer_was_lost_is_repeated_without_harm() {
    let server = Server::start().await;
    let client = server.admin();
    for number in 0..CUTS {
        let (path, zip) = (path(number), tiny(number as u64, 5000));
        cut(&server, "PUT", &path, &[], &zip).await;
        let again = client.put(&path, &zip).await.expect_any(&[200, 201]);
        let third = client.put(&path, &zip).await.expect(200);
        assert_eq!(again.body, third.body, "the same answer");
        assert_eq!(client.get(&path).await.expect(200).body, zip);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_and_a_rollback_whose_answer_was_lost_happen_once() {
    let server = Server::start().await;
    let client = server.admin();
    let package = "raw:cut";
    let mut expected: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..CUTS {
        let version = format!("1.0.{number}");
        let zip = tiny(number as u64, 100);
        client.publish("cut", &version, "c.zip", &zip, None).await.expect(201);
        let body = promotion(&[(package, &version)]);
        once(&server, "promotions", &body, &format!("p-{number}"), &version).await;
        *expected.entry("promote").or_default() += 1;
        if number % 3 == 2 {
            let body = json!({"packages": [{"package": package}], "reason": "cut"});
            let before = format!("1.0.{}", number - 1);
            once(&server, "rollbacks", &body, &format!("r-{number}"), &before).await;
            client.hold_or_lift("lifts", "dev", package).await.expect_any(&[200, 201]);
            *expected.entry("rollback").or_default() += 1;
            *expected.entry("lift").or_default() += 1;
        }
    }
    // "changes nothing twice": the history has each of them once.
    let rows = client.transitions("dev", package).await;
    for (kind, count) in expected {
        assert_eq!(
            rows.iter().filter(|row| row["kind"] == kind).count(),
            count,
            "{kind}: {rows:?}"
        );
    }
}

/// Cuts a POST off, repeats it twice with its key, and expects one answer and the right state.
async fn once(server: &Server, verb: &str, body: &serde_json::Value, key: &str, current: &str) {
    let client = server.admin();
    let path = api(&format!("/channels/dev/{verb}"));
    let text = body.to_string();
    let headers = [("Content-Type", "application/json"), ("Idempotency-Key", key)];
    cut(server, "POST", &path, &headers, text.as_bytes()).await;
    let headers = [("idempotency-key", key)];
    let second = client.post_with(&path, body.clone(), &headers).await.expect(201);
    let third = client.post_with(&path, body.clone(), &headers).await.expect(201);
    assert_eq!(second.json(), third.json(), "the first answer is given again");
    assert_eq!(second.json()["transitions"].as_array().map(Vec::len), Some(1));
    assert_eq!(client.current("dev", "raw:cut").await.as_deref(), Some(current));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_from_many_clients_at_once_changes_one_thing() {
    let server = Server::start_with(Options::default()).await;
    let client = server.admin();
    client.publish("twice", "1.0.0", "t.zip", &tiny(1, 100), None).await.expect(201);
    let mut callers = Vec::new();
    for _ in 0..16 {
        let client = client.clone();
        callers.push(tokio::spawn(async move {
            let body = promotion(&[("raw:twice", "1.0.0")]);
            let headers = [("idempotency-key", "a-double-click")];
            client.post_with(&api("/channels/dev/promotions"), body, &headers).await
        }));
    }
    let mut answers = Vec::new();
    for caller in callers {
        let answer = tokio::time::timeout(Duration::from_secs(60), caller).await;
        answers.push(answer.expect("in time").expect("answered").expect(201).json());
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    assert_eq!(client.transitions("dev", "raw:twice").await.len(), 1);
}

/// Files of each release that readers watch becoming visible.
const WATCHED_FILES: usize = 5;
/// Releases they watch.
const WATCHED: usize = 20;

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_see_part_of_a_release_or_of_a_promotion() {
    let server = Server::start().await;
    let client = server.admin();
    // Whoever uploads a draft may look at it; others must see nothing of it.
    let grants = json!([{"actions": ["read"], "packages": "*"}]);
    let body = json!({"name": "reader", "grants": grants, "expires_in": "1d"});
    let minted = client.post(&api("/tokens"), body).await.expect_any(&[200, 201]).json();
    let reader = server.client(minted["token"].as_str().expect("token"));
    let (done, watch) = tokio::sync::watch::channel(false);
    let mut readers = Vec::new();
    for _ in 0..4 {
        readers.push(tokio::spawn(read_until(reader.clone(), watch.clone())));
    }
    for n in 0..WATCHED {
        let version = format!("1.{n}");
        for package in ["left", "right"] {
            for file in 0..WATCHED_FILES {
                let path = raw(package, &version, &format!("{file}.txt")) + "?draft=true";
                client.put(&path, format!("{package} {n} {file}").as_bytes()).await.expect(201);
            }
            let path = release_path(&format!("raw:{package}"), &version) + "/publish";
            client.post(&path, json!({})).await.expect_any(&[200, 201]);
        }
        let both = [("raw:left", version.as_str()), ("raw:right", version.as_str())];
        client.promote("dev", &both).await.expect(201);
    }
    done.send(true).expect("readers listen");
    let mut looks = 0;
    for reader in readers {
        looks += reader.await.expect("the reader saw nothing wrong");
    }
    assert!(looks > WATCHED, "hardly anybody looked: {looks}");
}

/// Looks again and again. Promise 4: "A release becomes visible with all files of its draft at
/// once […]; a promotion of several packages […] moves all or none."
async fn read_until(client: Client, done: tokio::sync::watch::Receiver<bool>) -> usize {
    let mut looks = 0;
    while !*done.borrow() {
        let page = client.get(&api("/packages/raw:left/releases/1.7")).await;
        if page.status != 404 {
            let files = page.expect(200).json()["files"].as_array().map(Vec::len);
            assert_eq!(files, Some(WATCHED_FILES));
        }
        let state = client.status("dev").await;
        let versions: Vec<_> = state["packages"].as_array().expect("packages").clone();
        assert!(versions.is_empty() || versions.len() == 2, "{state}");
        assert!(versions.windows(2).all(|two| two[0]["version"] == two[1]["version"]), "{state}");
        looks += 1;
    }
    looks
}
