//! Changes that meet: promotions, aliases, seals and blocks asked for at the same moment are put
//! into one order, and every answer is true in that order (H86: "serialised; one wins").

use ingot_tests::archive::tiny;
use ingot_tests::client::{Answer, Client, api, promotion, raw, release_path};
use ingot_tests::digest;
use ingot_tests::server::{Server, verify};
use serde_json::{Value, json};

/// Clients that ask at once.
const CLIENTS: usize = 24;
/// How often two requests are made to meet.
const MEETINGS: usize = 20;

async fn publish(client: &Client, package: &str, versions: usize) {
    for n in 0..versions {
        let zip = tiny(n as u64, 80);
        client.publish(package, &format!("1.{n}"), "a.zip", &zip, None).await.expect(201);
    }
}

/// Starts all requests before waiting for any.
async fn all(
    requests: impl Iterator<Item = impl Future<Output = Answer> + Send + 'static>,
) -> Vec<Answer> {
    let running: Vec<_> = requests.map(tokio::spawn).collect();
    let mut answers = Vec::new();
    for request in running {
        answers.push(request.await.expect("answered"));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn promotions_that_meet_are_put_in_one_order() {
    let server = Server::start().await;
    let client = server.admin();
    publish(&client, "app", CLIENTS).await;
    let answers = all((0..CLIENTS).map(|n| {
        let client = client.clone();
        async move { client.promote("dev", &[("raw:app", &format!("1.{n}"))]).await }
    }));
    for answer in answers.await {
        let answer = answer.expect(201).json();
        assert_eq!(answer["transitions"].as_array().map(Vec::len), Some(1), "{answer}");
    }
    let rows = client.transitions("dev", "raw:app").await;
    assert_eq!(rows.len(), CLIENTS);
    // Each says truly what was current before it.
    assert_eq!(rows[0]["from"], Value::Null);
    for pair in rows.windows(2) {
        assert_eq!(pair[1]["from"], pair[0]["to"], "{pair:?}");
    }
    let last = rows.last().expect("rows")["to"].as_str().map(str::to_owned);
    assert_eq!(client.current("dev", "raw:app").await, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_promotions_from_one_seen_state_one_goes_through() {
    let server = Server::start().await;
    let client = server.admin();
    publish(&client, "app", CLIENTS).await;
    let etag = client.get(&api("/channels/dev")).await.expect(200).need("etag").to_owned();
    let answers = all((0..CLIENTS).map(|n| {
        let (client, etag) = (client.clone(), etag.clone());
        async move {
            let body = promotion(&[("raw:app", &format!("1.{n}"))]);
            let headers = [("if-match", etag.as_str())];
            client.post_with(&api("/channels/dev/promotions"), body, &headers).await
        }
    }));
    let answers = answers.await;
    // "If-Match […] 412 if it moved": compare and set, not check and then act.
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), CLIENTS - 1);
    assert_eq!(client.transitions("dev", "raw:app").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_that_many_want_names_one_release() {
    let server = Server::start().await;
    let client = server.admin();
    publish(&client, "app", CLIENTS).await;
    let answers = all((0..CLIENTS).map(|n| {
        let client = client.clone();
        async move {
            let path = release_path("raw:app", &format!("1.{n}")) + "/aliases";
            client.post(&path, json!({"name": "the-one"})).await
        }
    }));
    let answers = answers.await;
    let winner = answers.iter().position(|answer| answer.status == 201).expect("a winner");
    for (_, answer) in answers.iter().enumerate().filter(|(n, _)| *n != winner) {
        answer.clone().refused(409, "alias_taken");
    }
    let named = client.release("raw:app", "the-one").await.expect(200).json();
    assert_eq!(named["version"], format!("1.{winner}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_meets_a_seal_is_in_the_digest_or_refused() {
    let mut server = Server::start().await;
    let client = server.admin();
    for n in 0..MEETINGS {
        let version = format!("1.{n}");
        client.put(&raw("app", &version, "a.txt"), b"first").await.expect(201);
        let (one, two, at) = (client.clone(), client.clone(), version.clone());
        let seal = tokio::spawn(async move {
            one.post(&(release_path("raw:app", &at) + "/seal"), json!({})).await
        });
        let put = tokio::spawn({
            let path = raw("app", &version, "b.txt");
            async move { two.put(&path, b"second").await }
        });
        seal.await.expect("answered").expect_any(&[200, 201]);
        let put = put.await.expect("answered");
        let taken = put.status == 201;
        if !taken {
            put.refused(409, "sealed");
        }
        let release = client.release("raw:app", &version).await.expect(200).json();
        let second = format!(r#",{{"digest":"{}","path":"b.txt","size":6}}"#, digest(b"second"));
        let listing = format!(
            r#"{{"files":[{{"digest":"{}","path":"a.txt","size":5}}{}],"origin":{{}}}}"#,
            digest(b"first"),
            if taken { second.as_str() } else { "" }
        );
        assert_eq!(release["digest"], digest(listing.as_bytes()), "taken: {taken}, {release}");
    }
    server.stop();
    verify(&server.data()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_meets_a_hold_is_before_it_or_refused() {
    let server = Server::start().await;
    let client = server.admin();
    publish(&client, "app", MEETINGS + 1).await;
    for n in 0..MEETINGS {
        let (one, two) = (client.clone(), client.clone());
        let hold = tokio::spawn(async move { one.hold_or_lift("holds", "dev", "raw:app").await });
        let promote =
            tokio::spawn(
                async move { two.promote("dev", &[("raw:app", &format!("1.{n}"))]).await },
            );
        let hold = hold.await.expect("answered").expect_any(&[200, 201]).seq();
        let promoted = promote.await.expect("answered");
        if promoted.status == 201 {
            assert!(promoted.seq() <= hold, "promoted while held");
        } else {
            promoted.refused(409, "held");
        }
        client.hold_or_lift("lifts", "dev", "raw:app").await.expect_any(&[200, 201]);
    }
}
