//! Channels, and what they no longer admit: revocations.

use ingot_tests::client::api;
use serde_json::{Value, json};

use super::{fresh, promoted};

async fn revoke(
    client: &ingot_tests::client::Client,
    channel: &str,
    version: &str,
) -> ingot_tests::client::Answer {
    let rows = json!([{"package": "raw:app", "ref": version}]);
    let body = json!({"releases": rows, "reason": "leaks memory"});
    client.post(&api(&format!("/channels/{channel}/revocations")), body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_has_dev_staging_and_prod() {
    let (_server, client) = fresh().await;
    // Section 4: "project `main` with channels `dev → staging → prod`"
    let channels = client.list(&api("/channels"), 100).await;
    let named = |row: &Value| row["name"].as_str().or(row["channel"].as_str()).map(str::to_owned);
    let names: Vec<_> = channels.iter().filter_map(named).collect();
    assert_eq!(names, ["dev", "staging", "prod"], "{channels:?}");
    assert_eq!(channels[0].get("from").unwrap_or(&Value::Null), &Value::Null);
    assert_eq!((&channels[1]["from"], &channels[2]["from"]), (&json!("dev"), &json!("staging")));
    client.get(&api("/channels/moon")).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_release_is_no_longer_served_there() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "A", "staging").await;
    promoted(&client, "app", "B", "staging").await;
    // "409 `is_current` for the current one"
    revoke(&client, "staging", "B").await.refused(409, "is_current");
    client.get("/raw/main@staging/app/A/app.zip").await.expect(200);
    let revoked = revoke(&client, "staging", "A").await.expect_any(&[200, 201]);
    assert!(revoked.seq() > 0);
    // "exactly what was admitted to it": elsewhere it stays.
    client.get("/raw/main@staging/app/A/app.zip").await.refused(404, "not_found");
    client.get("/raw/main@dev/app/A/app.zip").await.expect(200);
    client.get("/raw/main/app/A/app.zip").await.expect(200);
    let channels = client.release("raw:app", "A").await.expect(200).json()["channels"].clone();
    assert_ne!(channels["staging"]["admitted"], true, "{channels}");
    assert_eq!(channels["dev"]["admitted"], true);
    let rows = client.transitions("staging", "raw:app").await;
    let last = rows.last().expect("a transition");
    assert_eq!((&last["kind"], &last["reason"]), (&json!("revoke"), &json!("leaks memory")));
    // It is nothing to roll back to any more, and not "admitted in the channel's `from`".
    client.roll_back("staging", "raw:app", None).await.refused(409, "no_previous");
    client.roll_back("staging", "raw:app", Some("A")).await.refused(409, "not_admitted");
    client.promote("prod", &[("raw:app", "A")]).await.refused(409, "not_in_from");
    // What is not admitted cannot be revoked; saying so twice is no harm either way.
    revoke(&client, "staging", "A").await.expect_any(&[200, 409]);
    revoke(&client, "staging", "nope").await.expect_any(&[404, 409]).problem();
    assert_eq!(client.current("staging", "raw:app").await.as_deref(), Some("B"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_release_may_be_promoted_again() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "A", "staging").await;
    promoted(&client, "app", "B", "staging").await;
    revoke(&client, "staging", "A").await.expect_any(&[200, 201]);
    client.promote("staging", &[("raw:app", "A")]).await.expect(201);
    client.get("/raw/main@staging/app/A/app.zip").await.expect(200);
    assert_eq!(client.current("staging", "raw:app").await.as_deref(), Some("A"));
}
