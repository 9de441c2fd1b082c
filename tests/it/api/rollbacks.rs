//! "Rollback goes back along the line of distinct currents […] and holds the package in that
//! channel; while held, promotion and a rollback without `to` are 409 `held`".

use ingot_tests::client::Client;
use serde_json::json;

use super::{fresh, promoted};

const APP: &str = "raw:app";

async fn line(client: &Client, versions: &[&str]) {
    for version in versions {
        promoted(client, "app", version, "dev").await;
    }
}

async fn lift(client: &Client) {
    client.hold_or_lift("lifts", "dev", APP).await.expect_any(&[200, 201]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_back_walks_the_line_of_distinct_currents() {
    let (_server, client) = fresh().await;
    line(&client, &["A", "B", "C"]).await;
    let answer = client.roll_back("dev", APP, None).await.expect(201);
    let body = answer.json();
    assert_eq!(body["seq"], answer.seq());
    let step = &body["transitions"][0];
    assert_eq!(step["kind"], "rollback");
    assert_eq!((&step["from"], &step["to"]), (&json!("C"), &json!("B")));
    lift(&client).await;
    client.roll_back("dev", APP, None).await.expect(201);
    assert_eq!(client.current("dev", APP).await.as_deref(), Some("A"));
    lift(&client).await;
    client.roll_back("dev", APP, None).await.refused(409, "no_previous");
    assert_eq!(client.current("dev", APP).await.as_deref(), Some("A"));
}

#[tokio::test(flavor = "multi_thread")]
async fn previous_is_never_what_was_rolled_back_from() {
    let (_server, client) = fresh().await;
    // "after A, B, rollback to A, "previous" is what stood before A, never B"
    line(&client, &["Z", "A", "B"]).await;
    client.roll_back("dev", APP, Some("A")).await.expect(201);
    lift(&client).await;
    client.roll_back("dev", APP, None).await.expect(201);
    assert_eq!(client.current("dev", APP).await.as_deref(), Some("Z"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_promoted_again_stands_once_in_the_line() {
    let (_server, client) = fresh().await;
    line(&client, &["A", "B"]).await;
    client.promote("dev", &[(APP, "A")]).await.expect(201);
    // "the previous distinct current": B, though A stood before it too.
    client.roll_back("dev", APP, None).await.expect(201);
    assert_eq!(client.current("dev", APP).await.as_deref(), Some("B"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolled_back_package_is_held_until_lifted() {
    let (_server, client) = fresh().await;
    line(&client, &["A", "B", "C"]).await;
    client.roll_back("dev", APP, None).await.expect(201);
    let standing = client.standing("dev", APP).await.expect("it stands");
    assert_eq!((&standing["version"], &standing["held"]), (&json!("B"), &json!(true)));
    for answer in
        [client.promote("dev", &[(APP, "C")]).await, client.roll_back("dev", APP, None).await]
    {
        let problem = answer.refused(409, "held").to_string();
        // "the answer says how to lift"
        assert!(problem.contains("lift"), "{problem}");
    }
    assert_eq!(client.current("dev", APP).await.as_deref(), Some("B"));
    // With `to`, one may go on back while held.
    client.roll_back("dev", APP, Some("A")).await.expect(201);
    assert_eq!(client.current("dev", APP).await.as_deref(), Some("A"));
    lift(&client).await;
    assert_eq!(client.standing("dev", APP).await.expect("stands")["held"], false);
    client.promote("dev", &[(APP, "C")]).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_stops_one_package_in_one_channel() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "A", "staging").await;
    promoted(&client, "other", "A", "dev").await;
    promoted(&client, "app", "B", "dev").await;
    let held = client.hold_or_lift("holds", "staging", APP).await.expect_any(&[200, 201]);
    assert!(held.seq() > 0);
    client.promote("staging", &[(APP, "B")]).await.refused(409, "held");
    // All or none, again.
    let both = [("raw:other", "A"), (APP, "B")];
    client.promote("staging", &both).await.refused(409, "held");
    assert_eq!(client.current("staging", "raw:other").await, None);
    promoted(&client, "app", "C", "dev").await;
    client.hold_or_lift("lifts", "staging", APP).await.expect_any(&[200, 201]);
    client.promote("staging", &both).await.expect(201);
    let kinds: Vec<_> =
        client.transitions("staging", APP).await.iter().map(|row| row["kind"].clone()).collect();
    assert_eq!(kinds, ["promote", "hold", "lift", "promote"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_was_admitted_can_be_gone_back_to() {
    let (_server, client) = fresh().await;
    line(&client, &["A", "B"]).await;
    super::published(&client, "app", "C").await;
    client.roll_back("dev", APP, Some("C")).await.refused(409, "not_admitted");
    client.roll_back("dev", APP, Some("nope")).await.expect_any(&[404, 409]).problem();
    client.roll_back("dev", "raw:none", None).await.expect_any(&[404, 409]).problem();
    assert_eq!(client.current("dev", APP).await.as_deref(), Some("B"));
    assert_eq!(client.standing("dev", APP).await.expect("stands")["held"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_was_rolled_back_from_stays_admitted() {
    let (_server, client) = fresh().await;
    let zip = promoted(&client, "app", "A", "dev").await;
    promoted(&client, "app", "B", "dev").await;
    client.roll_back("dev", APP, None).await.expect(201);
    // admitted: "the set of all releases promoted there and not revoked"
    let release = client.release(APP, "B").await.expect(200).json();
    assert_eq!(release["channels"]["dev"]["admitted"], true);
    assert_eq!(release["channels"]["dev"]["current"], false);
    client.get("/raw/main@dev/app/B/app.zip").await.expect(200);
    assert_eq!(client.get("/raw/main@dev/app/A/app.zip").await.expect(200).body, zip);
}
