//! The full view and the channel views: who sees what, and how it is refused.

use ingot_tests::archive::tiny;
use ingot_tests::client::{Client, api, raw};
use ingot_tests::server::Server;
use serde_json::{Value, json};

use super::{fresh, promoted, published};

async fn mint(server: &Server, grant: Value) -> Client {
    let body = json!({"name": "a-test", "grants": [grant], "expires_in": "1d"});
    let answer = server.admin().post(&api("/tokens"), body).await.expect_any(&[200, 201]);
    server.client(answer.json()["token"].as_str().expect("token"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_current_release_is_reached_through_a_redirect_in_the_same_view() {
    let (_server, client) = fresh().await;
    let zip = promoted(&client, "app", "1.0.0", "prod").await;
    // "→ 307 to the pinned URL in the same view, `Cache-Control: no-store`"
    for path in ["/raw/main@prod/app/app.zip", "/raw/main@prod/app"] {
        for method in ["GET", "HEAD"] {
            let answer = client.send(method, path, &[], "").await.expect(307);
            let target = answer.need("location");
            assert!(target.ends_with("/raw/main@prod/app/1.0.0/app.zip"), "{target}");
            assert!(answer.need("cache-control").contains("no-store"));
        }
    }
    // What is served there is "byte for byte, what staging served" (promise 5).
    for view in ["main", "main@dev", "main@staging", "main@prod"] {
        let got = client.get(&format!("/raw/{view}/app/1.0.0/app.zip")).await.expect(200);
        assert_eq!(got.body, zip, "{view}");
    }
    let pinned = client.get("/raw/main@prod/app/1.0.0/app.zip").await;
    let location = pinned.need("content-location");
    assert!(location.ends_with("/app/1.0.0/app.zip"), "{location}");
    // After the next promotion the pointer moved, and the old one is still admitted.
    promoted(&client, "app", "1.1.0", "prod").await;
    let answer = client.get("/raw/main@prod/app/app.zip").await.expect(307);
    assert!(answer.need("location").ends_with("/raw/main@prod/app/1.1.0/app.zip"));
    assert_eq!(client.get("/raw/main@prod/app/1.0.0/app.zip").await.expect(200).body, zip);
    client.get("/raw/main@prod/app/other.zip").await.refused(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_several_files_none_is_guessed() {
    let (_server, client) = fresh().await;
    published(&client, "app", "1").await;
    client.put(&raw("app", "1", "other.zip"), &tiny(3, 50)).await.expect(201);
    client.promote("dev", &[("raw:app", "1")]).await.expect(201);
    // "(or `/{package}` when the release has one file)"
    client.get("/raw/main@dev/app").await.expect_any(&[404, 409]).problem();
    client.get("/raw/main@dev/app/other.zip").await.expect(307);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_view_holds_exactly_what_was_admitted() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1", "dev").await;
    published(&client, "app", "2").await;
    published(&client, "never", "1").await;
    client.get("/raw/main@dev/app/1/app.zip").await.expect(200);
    // "Not admitted, not existing, or not readable by this token: plain 404, never 403"
    for path in [
        "/raw/main@dev/app/2/app.zip",
        "/raw/main@dev/never/1/app.zip",
        "/raw/main@dev/never/app.zip",
        "/raw/main@dev/none",
        "/raw/main@staging/app/1/app.zip",
        "/raw/main@staging/app/app.zip",
        "/raw/main@moon/app/1/app.zip",
        "/raw/moon/app/1/app.zip",
        "/raw/moon@dev/app/1/app.zip",
        "/raw/main/app/1/none.zip",
        "/raw/main/none/1/app.zip",
        "/nosuchformat/main/app",
    ] {
        client.get(path).await.refused(404, "not_found");
    }
    // An alias, a digest, a commit: "`/{package}/{ref}/{file}`: 200 if admitted".
    let digest = client.release("raw:app", "1").await.json()["digest"].clone();
    let digest = digest.as_str().expect("sealed");
    client.get(&format!("/raw/main@dev/app/{digest}/app.zip")).await.expect(200);
    let listing = client.get("/raw/main@dev/").await.expect(200);
    let html = String::from_utf8_lossy(&listing.body).into_owned();
    assert!(html.contains("app") && !html.contains("never"), "{html}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_view_is_read_only() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1", "dev").await;
    // "Writing to a channel view: 405."
    for method in ["PUT", "POST", "DELETE"] {
        let answer = client.send(method, "/raw/main@dev/app/2/app.zip", &[], tiny(1, 50)).await;
        answer.refused(405, "method_not_allowed");
    }
    client.get(&raw("app", "2", "app.zip")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn anonymous_clients_are_asked_for_a_token() {
    let (server, client) = fresh().await;
    promoted(&client, "app", "1", "prod").await;
    let nobody = server.anonymous();
    // "Anonymous where reading needs a token: 401 with `WWW-Authenticate: Basic realm="ingot"`";
    // the same for what does not exist, or it would tell what does.
    for path in [
        "/raw/main/app/1/app.zip",
        "/raw/main@prod/app/1/app.zip",
        "/raw/main@prod/app/app.zip",
        "/raw/main/none/1/none.zip",
        "/raw/none/none/1/none.zip",
        "/raw/main/",
        "/api/v1/whoami",
        "/api/v1/projects",
        "/api/v1/projects/main",
        "/api/v1/projects/none",
        "/api/v1/projects/main/channels/prod",
        "/api/v1/projects/main/ledger",
        "/api/v1/projects/main/tokens",
    ] {
        let answer = nobody.get(path).await;
        assert_eq!(answer.status, 401, "{}", answer.shown());
        assert_eq!(answer.need("www-authenticate"), "Basic realm=\"ingot\"", "{path}");
        answer.refused(401, "unauthenticated");
    }
    // "Writing without the right: 401 anonymous"
    nobody.put(&raw("app", "2", "app.zip"), b"PK").await.refused(401, "unauthenticated");
    let answer = nobody.promote("dev", &[("raw:app", "1")]).await;
    answer.refused(401, "unauthenticated");
    // A wrong token is nobody's, in both spellings.
    let wrong = server.client(&format!("ingot_u_{}", "a".repeat(38)));
    for client in [&wrong, &wrong.basic("me")] {
        client.get("/raw/main/app/1/app.zip").await.refused(401, "unauthenticated");
        client.put(&raw("app", "2", "f"), b"x").await.refused(401, "unauthenticated");
    }
    client.get(&raw("app", "2", "app.zip")).await.expect(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_and_bearer_are_one() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1", "prod").await;
    // "Basic (any user name, token as password) and Bearer carry the same token"
    for client in [client.clone(), client.basic("anyone"), client.basic("")] {
        client.get("/raw/main@prod/app/1/app.zip").await.expect(200);
        client.get("/api/v1/whoami").await.expect(200);
    }
    let zip = tiny(8, 100);
    client.basic("ci").put(&raw("app", "2", "app.zip"), &zip).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lacks_the_right_to_write_is_403() {
    let (server, admin) = fresh().await;
    promoted(&admin, "app", "1", "dev").await;
    let reader = mint(&server, json!({"actions": ["read"], "packages": "*"})).await;
    reader.get(&raw("app", "1", "app.zip")).await.expect(200);
    // "403 with a token that lacks it"
    reader.put(&raw("app", "2", "app.zip"), &tiny(1, 50)).await.refused(403, "forbidden");
    reader.promote("staging", &[("raw:app", "1")]).await.refused(403, "forbidden");
    reader.roll_back("dev", "raw:app", None).await.refused(403, "forbidden");
    reader.hold_or_lift("holds", "dev", "raw:app").await.refused(403, "forbidden");
    let block = ingot_tests::client::release_path("raw:app", "1") + "/block";
    reader.post(&block, json!({"reason": "no"})).await.refused(403, "forbidden");
    let body = json!({"channels": [{"name": "dev"}]});
    let answer = reader.send("PUT", "/api/v1/projects/main", &[], body.to_string()).await;
    answer.refused(403, "forbidden");
    admin.get(&raw("app", "2", "app.zip")).await.expect(404);
    // A publisher does not promote, a promoter does not publish (T1: publish ≠ promote).
    let publisher =
        mint(&server, json!({"actions": ["read", "publish"], "packages": "raw:app*"})).await;
    publisher.put(&raw("app", "3", "app.zip"), &tiny(3, 50)).await.expect(201);
    publisher.put(&raw("app-two", "3", "app.zip"), &tiny(3, 50)).await.expect(201);
    publisher.put(&raw("zapp", "3", "app.zip"), &tiny(3, 50)).await.refused(403, "forbidden");
    publisher.promote("dev", &[("raw:app", "3")]).await.refused(403, "forbidden");
    let promoter =
        mint(&server, json!({"actions": ["read", "promote"], "packages": "raw:app"})).await;
    promoter.put(&raw("app", "4", "app.zip"), &tiny(4, 50)).await.refused(403, "forbidden");
    promoter.promote("dev", &[("raw:app", "3")]).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_token_may_not_read_does_not_exist() {
    let (server, admin) = fresh().await;
    promoted(&admin, "mine", "1", "prod").await;
    promoted(&admin, "secret", "1", "prod").await;
    let reader = mint(&server, json!({"actions": ["read"], "packages": "raw:mine"})).await;
    reader.get(&raw("mine", "1", "app.zip")).await.expect(200);
    for path in ["/raw/main/secret/1/app.zip", "/raw/main@prod/secret/app.zip"] {
        let hidden = reader.get(path).await;
        let missing = reader.get(&path.replace("secret", "absent")).await;
        hidden.clone().refused(404, "not_found");
        // The same words for what is hidden and what is not there.
        let words = |answer: &ingot_tests::client::Answer| {
            let detail = answer.json()["detail"].as_str().map(str::to_owned);
            detail.map(|text| text.replace("secret", "…").replace("absent", "…"))
        };
        assert_eq!(words(&hidden), words(&missing));
    }
    reader.release("raw:secret", "1").await.refused(404, "not_found");
    for path in [
        "/raw/main/",
        "/raw/main@prod/",
        "/api/v1/projects/main/channels/prod",
        "/api/v1/projects/main/packages",
    ] {
        let answer = reader.get(path).await;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        assert!(!text.contains("secret"), "{}", answer.shown());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deploy_token_reads_one_channel_and_nothing_else() {
    let (server, admin) = fresh().await;
    let zip = promoted(&admin, "app", "1", "prod").await;
    promoted(&admin, "app", "2", "staging").await;
    // "a prod deploy token reads `{project}@prod` and nothing else"
    let deploy =
        mint(&server, json!({"actions": ["read"], "packages": "*", "views": ["prod"]})).await;
    deploy.get("/raw/main@prod/app/app.zip").await.expect(307);
    assert_eq!(deploy.get("/raw/main@prod/app/1/app.zip").await.expect(200).body, zip);
    for path in [
        "/raw/main/app/1/app.zip",
        "/raw/main@staging/app/1/app.zip",
        "/raw/main@dev/app/1/app.zip",
        "/raw/main@prod/app/2/app.zip",
        &format!("/raw/main/-/sha256/{}", ingot_tests::hex(&zip)),
    ] {
        deploy.get(path).await.refused(404, "not_found");
    }
    deploy.put(&raw("app", "3", "f"), b"x").await.expect_any(&[403, 404]).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn reserved_words_are_never_versions() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1.0.0", "prod").await;
    // "Reserved versions (`latest`, `current`, `stable`, `head`, channel names): 422 on publish,
    // and on read 404 whose problem document names the pinned URLs to use instead."
    for word in ["latest", "current", "stable", "head", "dev", "staging", "prod"] {
        let answer = client.put(&raw("app", word, "app.zip"), &tiny(2, 50)).await;
        answer.refused(422, "reserved");
        let problem = client.get(&raw("app", word, "app.zip")).await.expect(404).problem();
        let text = problem.to_string();
        assert!(text.contains("/app/1.0.0/app.zip"), "{word}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_to_anonymous_opens_what_it_names_and_nothing_more() {
    let (server, admin) = fresh().await;
    let zip = promoted(&admin, "open", "1", "prod").await;
    promoted(&admin, "closed", "1", "prod").await;
    let nobody = server.anonymous();
    nobody.get("/raw/main@prod/open/1/app.zip").await.refused(401, "unauthenticated");
    // "reading needs a token unless a grant to `anonymous` says otherwise": how it is given the
    // contract leaves open; Ingot takes a token of that name, whose secret nobody gets.
    let grants = json!([{"actions": ["read"], "packages": "raw:open", "views": ["prod"]}]);
    let body = json!({"name": "anonymous", "grants": grants, "expires_in": "30d"});
    let minted = admin.post(&api("/tokens"), body).await.expect_any(&[200, 201]).json();
    assert!(minted["token"].is_null(), "{minted}");
    assert_eq!(nobody.get("/raw/main@prod/open/1/app.zip").await.expect(200).body, zip);
    nobody.get("/raw/main@prod/open/app.zip").await.expect(307);
    for path in [
        "/raw/main/open/1/app.zip",
        "/raw/main@staging/open/1/app.zip",
        "/raw/main@prod/closed/1/app.zip",
    ] {
        nobody.get(path).await.expect_any(&[401, 404]).problem();
    }
    nobody.put(&raw("open", "2", "f"), b"x").await.refused(401, "unauthenticated");
    // Nobody gets more than reading, by whatever grant.
    let grants = json!([{"actions": ["publish"], "packages": "*"}]);
    let body = json!({"name": "anonymous", "grants": grants, "expires_in": "30d"});
    let answer = admin.post(&api("/tokens"), body).await;
    assert!([400, 403, 422].contains(&answer.status), "{}", answer.shown());
    nobody.put(&raw("open", "2", "f"), b"x").await.refused(401, "unauthenticated");
    // And it ends like any other.
    let path = api(&format!("/tokens/{}", minted["id"].as_str().expect("id")));
    admin.send("DELETE", &path, &[], "").await.expect_any(&[200, 204]);
    nobody.get("/raw/main@prod/open/1/app.zip").await.refused(401, "unauthenticated");
}
