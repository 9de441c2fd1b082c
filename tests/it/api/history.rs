//! "state at any past time is a pure function of" the ledger; and who did what, when and why.

use ingot_tests::client::{api, encode};
use jiff::{Timestamp, ToSpan};
use serde_json::json;

use super::{commit, fresh, promoted};

fn at(row: &serde_json::Value) -> Timestamp {
    row["at"].as_str().and_then(|text| text.parse().ok()).expect("RFC 3339")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_says_what_was_current_at_any_time() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "A", "dev").await;
    promoted(&client, "app", "B", "dev").await;
    client.roll_back("dev", "raw:app", None).await.expect(201);
    let rows = client.transitions("dev", "raw:app").await;
    let times: Vec<_> = rows.iter().map(at).collect();
    let when = |time: Timestamp| api(&format!("/channels/dev?at={}", encode(&time.to_string())));
    let version_at = async |time: Timestamp| {
        let state = client.get(&when(time)).await.expect(200).json();
        assert_eq!(state["channel"], "dev");
        state["packages"].as_array().expect("packages").first().map(|row| row["version"].clone())
    };
    assert_eq!(version_at(times[0] - 1.second()).await, None);
    for (n, expected) in ["A", "B", "A"].into_iter().enumerate() {
        // Two changes may fall into one instant; then the later one is what stood there.
        if n + 1 < times.len() && times[n] == times[n + 1] {
            continue;
        }
        assert_eq!(version_at(times[n]).await, Some(json!(expected)), "at {}", times[n]);
    }
    // Asked again, the past is the same; asked without a time, it is now.
    assert_eq!(version_at(times[1]).await, version_at(times[1]).await);
    assert_eq!(client.current("dev", "raw:app").await.as_deref(), Some("A"));
    for bad in ["yesterday", "2026-13-01T00:00:00Z", ""] {
        let answer = client.get(&api(&format!("/channels/dev?at={}", encode(bad)))).await;
        answer.expect_any(&[400, 422]).problem();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_has_the_shape_of_the_contract() {
    let (_server, client) = fresh().await;
    let sha = commit('a');
    let zip = ingot_tests::archive::tiny(1, 100);
    client.publish("app", "1.4.2", "app.zip", &zip, Some(&sha)).await.expect(201);
    let seq = client.promote("dev", &[("raw:app", "1.4.2")]).await.expect(201).seq();
    let answer = client.get(&api("/channels/dev")).await.expect(200);
    assert_eq!(answer.need("etag"), format!("\"{seq}\""));
    // channel {"project","channel":"prod","at","seq":17,"packages":[{…}]}
    let body = answer.json();
    assert_eq!((&body["project"], &body["channel"]), (&json!("main"), &json!("dev")));
    assert_eq!(body["seq"], seq);
    assert!(body["at"].is_string(), "{body}");
    // {"package","version","digest","commit","since","by","held":false}
    let row = &body["packages"][0];
    assert_eq!(row["package"], "raw:app");
    assert_eq!(row["version"], "1.4.2");
    assert_eq!(row["digest"], client.release("raw:app", "1.4.2").await.json()["digest"]);
    assert_eq!(row["commit"], sha);
    assert!(row["since"].is_string() && row["by"].is_string(), "{row}");
    assert_eq!(row["held"], false);
    // "a channel's seq is the last commit that changed it": others' changes leave it alone.
    promoted(&client, "other", "1", "dev").await;
    assert_eq!(client.status("staging").await["packages"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn transitions_are_paged_and_told_by_package() {
    let (_server, client) = fresh().await;
    for n in 0..7 {
        promoted(&client, "app", &format!("1.{n}"), "dev").await;
    }
    promoted(&client, "other", "1", "dev").await;
    let path = api("/channels/dev/transitions");
    for limit in [1, 3, 100] {
        let rows = client.list(&path, limit).await;
        assert_eq!(rows.len(), 8, "limit {limit}");
        let mut seqs: Vec<_> = rows.iter().map(|row| row["seq"].as_u64().expect("seq")).collect();
        seqs.sort_unstable();
        seqs.dedup();
        assert_eq!(seqs.len(), 8, "none twice");
        let one = client.list(&format!("{path}?package=raw%3Aapp"), limit).await;
        assert_eq!(one.len(), 7, "limit {limit}");
        assert!(one.iter().all(|row| row["package"] == "raw:app"));
    }
}
