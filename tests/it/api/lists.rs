//! list {"items":[…],"next":"cursor or null"}

use ingot_tests::archive::tiny;
use ingot_tests::client::{Client, api, encode};
use ingot_tests::digest;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

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

/// A commit as the ledger is listed; its entries as the exact text they were stored as.
#[derive(Deserialize)]
struct Commit {
    seq: u64,
    hash: String,
    prev: String,
    at: String,
    writer: String,
    entries: Vec<Box<RawValue>>,
}

/// Every commit, through pages of so many.
async fn ledger(client: &Client, limit: usize) -> Vec<Commit> {
    #[derive(Deserialize)]
    struct Page {
        items: Vec<Commit>,
        next: Option<String>,
    }
    let mut commits = Vec::new();
    let mut after = "0".to_owned();
    loop {
        let path = api(&format!("/ledger?limit={limit}&after={}", encode(&after)));
        let answer = client.get(&path).await.expect(200);
        let page: Page = serde_json::from_slice(&answer.body).expect("a page of commits");
        assert!(page.items.len() <= limit);
        commits.extend(page.items);
        match page.next {
            Some(next) => after = next,
            None => return commits,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_listed_whole_in_order_and_chained() {
    let (_server, client) = fresh().await;
    publish_many(&client, (0..5).map(|n| ("app".to_owned(), format!("1.{n}.0")))).await;
    let last = client.promote("dev", &[("raw:app", "1.0.0")]).await.expect(201).seq();
    for limit in [2, 100] {
        let commits = ledger(&client, limit).await;
        let seqs: Vec<_> = commits.iter().map(|commit| commit.seq).collect();
        // "the totally ordered […] record of every change": 1 to the last, none missing.
        let expected: Vec<_> = (1..=last).collect();
        assert_eq!(seqs, expected, "limit {limit}");
        check_chain(&commits);
    }
    // "Every change is in the ledger with who, when, why and request id"
    let commits = ledger(&client, 100).await;
    let entries = &commits.last().expect("a commit").entries;
    let text: String = entries.iter().map(|entry| entry.get()).collect();
    for part in ["promote", "1.0.0", "a test promotes", "request_id", "\"by\"", "\"at\""] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
}

/// "hash-chained": each commit names the hash of the one before, and its own hash is the sha256
/// of its canonical form, written out here by hand.
fn check_chain(commits: &[Commit]) {
    for commit in commits {
        let entries: Vec<_> = commit.entries.iter().map(|entry| entry.get()).collect();
        let Commit { at, prev, seq, writer, .. } = commit;
        let entries = entries.join(",");
        let text = format!(
            r#"{{"at":"{at}","entries":[{entries}],"prev":"{prev}","seq":{seq},"v":1,"writer":"{writer}"}}"#
        );
        assert_eq!(commit.hash, digest(text.as_bytes()), "commit {seq}: {text}");
    }
    for pair in commits.windows(2) {
        assert_eq!(pair[1].prev, pair[0].hash, "the chain breaks at commit {}", pair[1].seq);
    }
}
