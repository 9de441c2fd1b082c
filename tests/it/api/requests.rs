//! What holds for requests of every kind: keys, sequence numbers, problem documents.

use ingot_tests::archive::tiny;
use ingot_tests::client::{api, promotion, raw, release_path};
use serde_json::json;

use super::{fresh, promoted, published};

#[tokio::test(flavor = "multi_thread")]
async fn a_key_gives_the_first_answer_again() {
    let (_server, client) = fresh().await;
    published(&client, "app", "1").await;
    let path = api("/channels/dev/promotions");
    let key = [("idempotency-key", "deploy-17")];
    let body = promotion(&[("raw:app", "1")]);
    let first = client.post_with(&path, body.clone(), &key).await.expect(201);
    promoted(&client, "app", "2", "dev").await;
    // "`Idempotency-Key` on any POST: the first answer is given again": though by now another
    // release is current, and asked anew it would have been another answer.
    let again = client.post_with(&path, body, &key).await.expect(201);
    assert_eq!(first.json(), again.json());
    assert_eq!(first.seq(), again.seq());
    assert_eq!(client.current("dev", "raw:app").await.as_deref(), Some("2"));
    // The key belongs to its request: another one may not borrow it.
    let other = promotion(&[("raw:app", "2")]);
    let answer = client.post_with(&path, other, &key).await;
    assert!([409, 422].contains(&answer.status), "{}", answer.shown());
    assert_eq!(answer.problem()["code"], "idempotency_key_reused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_on_every_kind_of_post() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1", "dev").await;
    promoted(&client, "app", "2", "dev").await;
    let release = |verb: &str| release_path("raw:app", "1") + verb;
    let package = json!({"packages": ["raw:app"], "reason": "r"});
    let posts = [
        (release("/aliases"), json!({"name": "build-1"})),
        (release("/block"), json!({"reason": "r"})),
        (release("/unblock"), json!({"reason": "r"})),
        (api("/channels/dev/holds"), package.clone()),
        (api("/channels/dev/lifts"), package),
        (
            api("/channels/dev/rollbacks"),
            json!({"packages": [{"package": "raw:app"}], "reason": "r"}),
        ),
    ];
    for (n, (path, body)) in posts.into_iter().enumerate() {
        let key = format!("key-{n}");
        let headers = [("idempotency-key", key.as_str())];
        let first = client.post_with(&path, body.clone(), &headers).await;
        assert!([200, 201].contains(&first.status), "{}", first.shown());
        let again = client.post_with(&path, body, &headers).await;
        assert_eq!((first.status, first.seq()), (again.status, again.seq()), "{path}");
        assert_eq!(first.body, again.body, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_binds_no_key() {
    let (_server, client) = fresh().await;
    let path = api("/channels/dev/promotions");
    let key = [("idempotency-key", "too-early")];
    let body = promotion(&[("raw:app", "1")]);
    client.post_with(&path, body.clone(), &key).await.expect_any(&[404, 409, 422]);
    published(&client, "app", "1").await;
    // Keys are "kept in the commit": what changed nothing left no commit behind.
    client.post_with(&path, body, &key).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_carry_their_seq_and_reads_may_ask_for_one() {
    let (_server, client) = fresh().await;
    let zip = tiny(1, 50);
    let seq = client.put(&raw("app", "1", "app.zip"), &zip).await.expect(201).seq();
    let min = seq.to_string();
    let paths = [raw("app", "1", "app.zip"), api("/channels/dev"), release_path("raw:app", "1")];
    for path in &paths {
        // "answered from a state at least that new"
        client.get_with(path, &[("ingot-min-seq", &min)]).await.expect(200);
        let beyond = (seq + 1000).to_string();
        let answer = client.get_with(path, &[("ingot-min-seq", &beyond)]).await;
        answer.refused(503, "not_caught_up");
        let answer = client.get_with(path, &[("ingot-min-seq", "soon")]).await;
        answer.expect(400).problem();
    }
    let next = client.put(&raw("app", "2", "app.zip"), &zip).await.expect(201).seq();
    assert!(next > seq, "seq is the commit number");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_understood_is_a_problem_document() {
    let (_server, client) = fresh().await;
    published(&client, "app", "1").await;
    let path = api("/channels/dev/promotions");
    let headers = [("content-type", "application/json")];
    for body in ["", "{", "[]", "null", "\"x\"", "{\"releases\":{}}", "{\"releases\":[1]}"] {
        let answer = client.send("POST", &path, &headers, body).await;
        answer.expect_any(&[400, 422]).problem();
    }
    // A misspelt member would otherwise be a promotion without what it said.
    let body = json!({"releases": [{"package": "raw:app", "ref": "1"}], "raeson": "typo"});
    client.post(&path, body).await.expect_any(&[400, 422]).problem();
    for (method, path) in [
        ("DELETE", raw("app", "1", "app.zip")),
        ("PATCH", raw("app", "1", "app.zip")),
        ("PUT", api("/channels/dev/promotions")),
        ("DELETE", api("/ledger")),
        ("POST", "/livez".to_owned()),
    ] {
        let answer = client.send(method, &path, &[], "").await;
        let allow = answer.need("allow").to_owned();
        answer.refused(405, "method_not_allowed");
        assert!(!allow.contains(method), "{allow}");
    }
    for path in
        ["/", "/api/v1/none", "/api/v2/projects", "/none", "/raw", "/api/v1/projects/main/none"]
    {
        let answer = client.get(path).await;
        if path != "/" {
            answer.refused(404, "not_found");
        }
    }
    assert_eq!(client.status("dev").await["packages"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_refusal_has_a_request_id_of_its_own() {
    let (server, client) = fresh().await;
    let one = client.get(&raw("none", "1", "f")).await.problem()["request_id"].clone();
    let two = client.get(&raw("none", "1", "f")).await.problem()["request_id"].clone();
    assert_ne!(one, two);
    assert!(one.as_str().is_some_and(|id| id.len() >= 8), "{one}");
    drop(server);
}
