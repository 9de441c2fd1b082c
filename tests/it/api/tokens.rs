//! Tokens: shown once, narrower than who mints them, and gone when revoked or expired.

use std::time::{Duration, Instant};

use ingot_tests::client::{Answer, Client, api, raw};
use serde_json::{Value, json};

use super::{fresh, published};

/// How long an expired token may go on being taken. Clocks are read, not waited for.
const EXPIRY_TIMEOUT: Duration = Duration::from_secs(70);

async fn mint(client: &Client, grants: Value, expires_in: &str) -> Answer {
    let body = json!({"name": "a-test", "grants": grants, "expires_in": expires_in});
    client.post(&api("/tokens"), body).await
}

fn read_everything() -> Value {
    json!([{"actions": ["read"], "packages": "*"}])
}

fn token(answer: &Answer) -> String {
    answer.json()["token"].as_str().expect("token").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_has_its_format_and_is_shown_once() {
    let (server, admin) = fresh().await;
    let minted = mint(&admin, read_everything(), "90d").await.expect_any(&[200, 201]);
    assert!(minted.json()["id"].is_string(), "{}", minted.shown());
    for text in [token(&minted), server.admin_token()] {
        // `ingot_` + kind + `_` + 32 base62 + 6 base62 of a CRC32 (security.md 3.2)
        let rest = text.strip_prefix("ingot_").expect("its prefix");
        let (kind, rest) = rest.split_once('_').expect("its kind");
        assert!(["u", "d", "c", "b"].contains(&kind), "{kind}");
        assert!(rest.len() == 38 && rest.bytes().all(|b| b.is_ascii_alphanumeric()));
    }
    let id = minted.json()["id"].as_str().expect("id").to_owned();
    let listed = admin.get(&api("/tokens")).await.expect(200);
    let list = String::from_utf8_lossy(&listed.body).into_owned();
    assert!(list.contains(&id) && !list.contains(&token(&minted)), "{list}");
    // The whole secret part must be nowhere, not in the ledger either.
    let ledger = admin.get(&api("/ledger")).await.expect(200);
    let secret = &token(&minted)[8..];
    for text in [list, String::from_utf8_lossy(&ledger.body).into_owned(), server.log()] {
        assert!(!text.contains(secret), "a token is kept or logged");
        assert!(!text.contains(&server.admin_token()));
    }
    server.client(&token(&minted)).get("/api/v1/whoami").await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_admin_token_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (server, _) = fresh().await;
    // "first admin token written to `<data>/admin-token`, mode 0600"
    let path = server.data().join("admin-token");
    let mode = std::fs::metadata(path).expect("the token file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_mints_only_narrower_ones() {
    let (server, admin) = fresh().await;
    let grants = json!([{"actions": ["admin"], "packages": "raw:app*"}]);
    let answer = mint(&admin, grants, "10d").await.expect_any(&[200, 201]);
    let owner = server.client(&token(&answer));
    let narrower = json!([{"actions": ["publish"], "packages": "raw:app-one"}]);
    mint(&owner, narrower, "1d").await.expect_any(&[200, 201]);
    for (grants, expires_in) in [
        (json!([{"actions": ["read"], "packages": "*"}]), "1d"),
        (json!([{"actions": ["read"], "packages": "raw:other"}]), "1d"),
        (json!([{"actions": ["admin"], "packages": "raw:*"}]), "1d"),
        // "narrower, shorter-lived"
        (json!([{"actions": ["read"], "packages": "raw:app"}]), "80d"),
    ] {
        let answer = mint(&owner, grants.clone(), expires_in).await;
        assert!([403, 422].contains(&answer.status), "{grants}: {}", answer.shown());
        answer.problem();
    }
    // Without admin, none at all.
    let reader = mint(&admin, read_everything(), "1d").await;
    let reader = server.client(&token(&reader));
    mint(&reader, read_everything(), "1h").await.refused(403, "forbidden");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_at_once() {
    let (server, admin) = fresh().await;
    published(&admin, "app", "1").await;
    let minted = mint(&admin, read_everything(), "1d").await.expect_any(&[200, 201]);
    let reader = server.client(&token(&minted));
    reader.get(&raw("app", "1", "app.zip")).await.expect(200);
    let id = minted.json()["id"].as_str().expect("id").to_owned();
    let path = api(&format!("/tokens/{id}"));
    admin.send("DELETE", &path, &[], "").await.expect_any(&[200, 204]);
    reader.get(&raw("app", "1", "app.zip")).await.refused(401, "unauthenticated");
    let listed = admin.get(&api("/tokens")).await.expect(200);
    assert!(!String::from_utf8_lossy(&listed.body).contains(&id), "{}", listed.shown());
    admin.send("DELETE", &path, &[], "").await.expect_any(&[200, 204, 404]);
    admin.send("DELETE", &api("/tokens/00000000"), &[], "").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expired_token_is_refused() {
    let (server, admin) = fresh().await;
    published(&admin, "app", "1").await;
    let minted = mint(&admin, read_everything(), "1s").await.expect_any(&[200, 201]);
    let reader = server.client(&token(&minted));
    let deadline = Instant::now() + EXPIRY_TIMEOUT;
    loop {
        let answer = reader.get(&raw("app", "1", "app.zip")).await;
        if answer.status == 401 {
            answer.refused(401, "unauthenticated");
            return;
        }
        answer.expect(200);
        assert!(Instant::now() < deadline, "it is still taken");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn grants_that_make_no_sense_are_refused() {
    let (_server, admin) = fresh().await;
    for grants in [
        json!([]),
        json!([{"actions": [], "packages": "*"}]),
        json!([{"actions": ["fly"], "packages": "*"}]),
        json!([{"actions": ["read"], "packages": "raw:*app*"}]),
        json!([{"actions": ["read"], "packages": ""}]),
        json!([{"actions": ["read"], "views": ["../x"]}]),
        json!([{"actions": ["read"], "pakages": "raw:app"}]),
        json!("read"),
        Value::Array(vec![json!({"actions": ["read"], "packages": "*"}); 33]),
    ] {
        let answer = mint(&admin, grants.clone(), "1d").await;
        assert!([400, 422].contains(&answer.status), "{grants}: {}", answer.shown());
        answer.problem();
    }
    for expires_in in ["", "soon", "0d", "-1d", "100000d", "1"] {
        mint(&admin, read_everything(), expires_in).await.expect_any(&[400, 422]).problem();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_project_token_is_good_in_its_project_only() {
    let (server, admin) = fresh().await;
    let body = json!({"channels": [{"name": "dev"}]}).to_string();
    admin
        .send("PUT", "/api/v1/projects/other", &[("content-type", "application/json")], body)
        .await
        .expect(201);
    admin.put("/raw/other/app/1/f.txt", b"x").await.expect(201);
    let minted = mint(&admin, json!([{"actions": ["admin"], "packages": "*"}]), "1d").await;
    let here = server.client(&token(&minted));
    here.put("/raw/main/app/1/f.txt", b"x").await.expect(201);
    here.get("/raw/other/app/1/f.txt").await.refused(404, "not_found");
    // What it cannot even see it cannot write to: whether 403 or 404 is left open.
    here.put("/raw/other/app/2/f.txt", b"x").await.expect_any(&[403, 404]).problem();
    let listed = here.get("/api/v1/projects").await.expect(200);
    assert!(!String::from_utf8_lossy(&listed.body).contains("\"other\""), "{}", listed.shown());
}
