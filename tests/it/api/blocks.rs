//! "`block` works at once and everywhere: files 403 with the reason in every view (so that no
//! client falls through to another source), documents leave the release out, a channel where it
//! was current shows `blocked` until rolled back."

use ingot_tests::client::release_path;
use ingot_tests::hex;
use serde_json::json;

use super::{fresh, promoted};

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_release_is_served_nowhere_and_says_why() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1.0.0", "prod").await;
    let zip = promoted(&client, "app", "1.1.0", "prod").await;
    let block = release_path("raw:app", "1.1.0") + "/block";
    let reason = json!({"reason": "CVE-2026-4242 inside"});
    let blocked = client.post(&block, reason.clone()).await.expect_any(&[200, 201]);
    assert!(blocked.seq() > 0);
    let by_content = format!("/raw/main/-/sha256/{}", hex(&zip));
    let views = ["main", "main@dev", "main@staging", "main@prod"];
    let pinned: Vec<_> =
        views.iter().map(|view| format!("/raw/{view}/app/1.1.0/app.zip")).collect();
    for path in pinned.iter().chain([&by_content, &"/raw/main@prod/app/app.zip".to_owned()]) {
        let problem = client.get(path).await.refused(403, "blocked").to_string();
        assert!(problem.contains("CVE-2026-4242 inside"), "{path}: {problem}");
        client.send("HEAD", path, &[], "").await.expect(403);
    }
    for view in views {
        let listing = client.get(&format!("/raw/{view}/app/")).await.expect(200);
        let html = String::from_utf8_lossy(&listing.body).into_owned();
        assert!(!html.contains("1.1.0") && html.contains("1.0.0"), "{view}: {html}");
    }
    let standing = client.standing("prod", "raw:app").await.expect("it stands there still");
    assert_eq!(standing["version"], "1.1.0");
    let shown = &standing["blocked"];
    assert!(!(shown.is_null() || shown == &json!(false)), "{standing}");
    // Others are served as before; and one rolls back from it.
    client.get("/raw/main@prod/app/1.0.0/app.zip").await.expect(200);
    client.roll_back("prod", "raw:app", None).await.expect(201);
    assert_eq!(client.current("prod", "raw:app").await.as_deref(), Some("1.0.0"));
    client.get("/raw/main@prod/app/app.zip").await.expect(307);
    // A blocked release goes nowhere, neither forward nor back.
    client.hold_or_lift("lifts", "prod", "raw:app").await.expect_any(&[200, 201]);
    client.promote("prod", &[("raw:app", "1.1.0")]).await.expect_any(&[403, 409, 422]).problem();
    client.roll_back("prod", "raw:app", Some("1.1.0")).await.expect_any(&[403, 409, 422]).problem();
    // Nor can its name be used for other bytes (promise 1: "through delete, block").
    let other = ingot_tests::archive::tiny(99, 50);
    client.put("/raw/main/app/1.1.0/app.zip", &other).await.expect_any(&[403, 409]).problem();
    // Again is success; unblocked it is what it was.
    client.post(&block, reason).await.expect(200);
    let unblock = release_path("raw:app", "1.1.0") + "/unblock";
    client.post(&unblock, json!({"reason": "a false alarm"})).await.expect_any(&[200, 201]);
    for path in pinned.iter().chain([&by_content]) {
        assert_eq!(client.get(path).await.expect(200).body, zip, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_no_way_to_learn_what_one_may_not_read() {
    let (server, admin) = fresh().await;
    promoted(&admin, "secret", "1", "dev").await;
    let block = release_path("raw:secret", "1") + "/block";
    admin.post(&block, json!({"reason": "leaked key"})).await.expect_any(&[200, 201]);
    let grants = json!([{"actions": ["read"], "packages": "raw:mine"}]);
    let body = json!({"name": "reader", "grants": grants, "expires_in": "1d"});
    let minted = admin.post("/api/v1/projects/main/tokens", body).await.expect_any(&[200, 201]);
    let reader = server.client(minted.json()["token"].as_str().expect("token"));
    reader.get("/raw/main/secret/1/app.zip").await.refused(404, "not_found");
    server.anonymous().get("/raw/main/secret/1/app.zip").await.refused(401, "unauthenticated");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_blocked_without_a_release() {
    let (_server, client) = fresh().await;
    let path = release_path("raw:app", "1") + "/block";
    client.post(&path, json!({"reason": "nothing there"})).await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_shows_to_who_asks_whether_the_channel_changed() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1", "dev").await;
    let path = ingot_tests::client::api("/channels/dev");
    let before = client.get(&path).await.expect(200);
    let etag = before.need("etag").to_owned();
    client.get_with(&path, &[("if-none-match", &etag)]).await.expect(304);
    let block = release_path("raw:app", "1") + "/block";
    client.post(&block, json!({"reason": "malware"})).await.expect_any(&[200, 201]);
    // "ETag = seq", and "a channel where it was current shows `blocked`": then a client that
    // holds the old answer must not be told that it is still good.
    let after = client.get_with(&path, &[("if-none-match", &etag)]).await.expect(200);
    assert_ne!(after.json()["packages"][0]["blocked"], false);
    assert_eq!(after.need("etag"), format!("\"{}\"", after.json()["seq"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_does_not_change_the_past() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1", "dev").await;
    // This machine's clock is the server's; it must have moved on before the block comes.
    let then = jiff::Timestamp::now();
    while jiff::Timestamp::now().as_millisecond() <= then.as_millisecond() {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let then = ingot_tests::client::encode(&then.to_string());
    let past = ingot_tests::client::api(&format!("/channels/dev?at={then}"));
    let before = client.get(&past).await.expect(200).json();
    let block = release_path("raw:app", "1") + "/block";
    client.post(&block, json!({"reason": "malware"})).await.expect_any(&[200, 201]);
    // Promise 8: "state at any past time is a pure function of" the ledger up to that time.
    assert_eq!(client.get(&past).await.expect(200).json(), before);
}
