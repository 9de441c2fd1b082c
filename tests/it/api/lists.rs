//! list {"items":[…],"next":"cursor or null"}

use ingot_tests::archive::tiny;
use ingot_tests::client::{Client, api};
use serde_json::Value;

use super::{fresh, releases_of};

fn name(row: &Value) -> String {
    let text = row.as_str().or(row["package"].as_str()).or(row["name"].as_str());
    text.unwrap_or_else(|| panic!("a package without a name: {row}")).to_owned()
}

async fn publish_many(client: &Client, coordinates: impl Iterator<Item = (String, String)>) {
    for (n, (package, version)) in coordinates.enumerate() {
        let zip = tiny(n as u64, 50);
        client.publish(&package, &version, "f.zip", &zip, None).await.expect(201);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn packages_are_paged_filtered_and_none_is_missed() {
    let (_server, client) = fresh().await;
    let all = ["alpha", "beta", "gamma", "delta"].into_iter();
    let all = all.flat_map(|stem| (0..6).map(move |n| (format!("{stem}-{n}"), "1".to_owned())));
    publish_many(&client, all).await;
    let path = api("/packages");
    for limit in [1, 5, 7, 24, 100] {
        let mut names: Vec<_> = client.list(&path, limit).await.iter().map(name).collect();
        assert_eq!(names.len(), 24, "limit {limit}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 24, "limit {limit}: one came twice");
    }
    let raw = client.list(&format!("{path}?format=raw"), 10).await;
    assert_eq!(raw.len(), 24);
    assert_eq!(client.list(&format!("{path}?format=npm"), 10).await.len(), 0);
    // A prefix of the name, with or without its format.
    let some = client.list(&format!("{path}?format=raw&prefix=gam"), 4).await;
    let mut some: Vec<_> = some.iter().map(name).collect();
    some.sort();
    let expected: Vec<_> = (0..6).map(|n| format!("raw:gamma-{n}")).collect();
    assert_eq!(some, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_come_newest_first() {
    let (_server, client) = fresh().await;
    publish_many(&client, (0..12).map(|n| ("app".to_owned(), format!("1.{n}.0")))).await;
    let path = api("/packages/raw:app");
    for limit in [1, 5, 12, 100] {
        // "releases (newest first, paged)"
        let versions: Vec<_> = releases_of(&client, &path, limit)
            .await
            .iter()
            .map(|release| release["version"].as_str().expect("version").to_owned())
            .collect();
        let expected: Vec<_> = (0..12).rev().map(|n| format!("1.{n}.0")).collect();
        assert_eq!(versions, expected, "limit {limit}");
    }
    let package = client.get(&path).await.expect(200).json();
    assert!(package.get("channels").is_some(), "releases and channels: {package}");
    client.get(&api("/packages/raw:none")).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_never_larger_than_asked_nor_asked_for_without_bounds() {
    let (_server, client) = fresh().await;
    for path in [api("/packages"), api("/ledger"), api("/channels/dev/transitions")] {
        for bad in ["limit=0", "limit=-1", "limit=ten", "limit=99999999999999999999"] {
            let answer = client.get(&format!("{path}?{bad}")).await;
            // Refused, or brought back into bounds; never an error of ours.
            answer.expect_any(&[200, 400, 422]);
        }
        let answer = client.get(&format!("{path}?after=no%20such%20cursor")).await;
        answer.expect_any(&[200, 400, 422]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_listed_whole_in_order_and_chained() {
    let (_server, client) = fresh().await;
    publish_many(&client, (0..5).map(|n| ("app".to_owned(), format!("1.{n}.0")))).await;
    let last = client.promote("dev", &[("raw:app", "1.0.0")]).await.expect(201).seq();
    for limit in [2, 100] {
        let commits = client.list(&api("/ledger"), limit).await;
        let seqs: Vec<_> = commits.iter().map(|row| row["seq"].as_u64().expect("seq")).collect();
        // "the totally ordered […] record of every change": 1 to the last, none missing.
        let expected: Vec<_> = (1..=last).collect();
        assert_eq!(seqs, expected, "limit {limit}");
        check_chain(&commits);
    }
    // "Every change is in the ledger with who, when, why and request id"
    let commits = client.list(&api("/ledger"), 100).await;
    let text = commits.last().expect("a commit").to_string();
    for part in ["promote", "1.0.0", "a test promotes", "request_id", "\"by\"", "\"at\""] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

/// "hash-chained": each commit carries the hash of the one before. The member that holds a
/// commit's own hash is `hash`, the one before `previous`.
fn check_chain(commits: &[Value]) {
    for pair in commits.windows(2) {
        let hash = pair[0]["hash"].as_str().expect("hash");
        assert_eq!(pair[1]["previous"].as_str(), Some(hash), "the chain breaks: {pair:?}");
    }
}
