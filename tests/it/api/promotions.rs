//! Promotion: "moves all or none", "writes no blob", and every refusal says what to do next.

use ingot_tests::archive::tiny;
use ingot_tests::client::{api, promotion};
use serde_json::{Value, json};

use super::{commit, fresh, promoted, published};

const DEV: &str = "/channels/dev/promotions";
const STAGING: &str = "/channels/staging/promotions";

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_moves_the_pointer_and_seals() {
    let (_server, client) = fresh().await;
    published(&client, "app", "1.0.0").await;
    let answer = client.promote("dev", &[("raw:app", "1.0.0")]).await.expect(201);
    let body = answer.json();
    // promotion {"seq":18,"channel":"prod","transitions":[transition…]}
    assert_eq!(body["channel"], "dev");
    assert_eq!(body["seq"], answer.seq());
    let moves = body["transitions"].as_array().expect("transitions");
    assert_eq!(moves.len(), 1);
    // transition {"seq","kind":"promote","package","from","to","by","at","reason"}
    let step = &moves[0];
    assert_eq!(step["kind"], "promote");
    assert_eq!(step["package"], "raw:app");
    assert_eq!(step["from"], Value::Null);
    assert_eq!(step["to"], "1.0.0");
    assert_eq!(step["seq"], answer.seq());
    assert_eq!(step["reason"], "a test promotes");
    assert!(step["by"].is_string() && step["at"].is_string());
    assert_eq!(client.transitions("dev", "raw:app").await, *moves);
    // "Promotion takes published or sealed releases and seals them."
    assert_eq!(client.release("raw:app", "1.0.0").await.expect(200).json()["state"], "sealed");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_current_already_is_promoted_again_without_a_transition() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1.0.0", "dev").await;
    let before = client.status("dev").await["seq"].clone();
    // "Promoting what is already current there: 200, no transition."
    let again = client.promote("dev", &[("raw:app", "1.0.0")]).await.expect(200);
    assert_eq!(again.json()["transitions"], json!([]));
    assert_eq!(client.transitions("dev", "raw:app").await.len(), 1);
    assert_eq!(client.status("dev").await["seq"], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_must_pass_through_the_channel_before() {
    let (_server, client) = fresh().await;
    published(&client, "app", "1.0.0").await;
    // "Each must be admitted in the channel's `from`, else 409 `not_in_from` naming the next step."
    let answer = client.promote("staging", &[("raw:app", "1.0.0")]).await;
    let problem = answer.refused(409, "not_in_from");
    assert!(problem.to_string().contains("dev"), "{problem}");
    client.promote("prod", &[("raw:app", "1.0.0")]).await.refused(409, "not_in_from");
    assert!(client.standing("staging", "raw:app").await.is_none());
    client.promote("dev", &[("raw:app", "1.0.0")]).await.expect(201);
    // Admitted is enough, current is not needed.
    promoted(&client, "app", "1.1.0", "dev").await;
    client.promote("staging", &[("raw:app", "1.0.0")]).await.expect(201);
    assert_eq!(client.current("staging", "raw:app").await.as_deref(), Some("1.0.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn several_packages_move_all_or_none() {
    let (_server, client) = fresh().await;
    promoted(&client, "one", "1.0.0", "dev").await;
    promoted(&client, "two", "1.0.0", "dev").await;
    published(&client, "three", "1.0.0").await;
    let all = [("raw:one", "1.0.0"), ("raw:two", "1.0.0"), ("raw:three", "1.0.0")];
    // Promise 4: "a promotion of several packages […] moves all or none."
    let problem = client.promote("staging", &all).await.refused(409, "not_in_from");
    assert!(problem.to_string().contains("raw:three"), "the one at fault is named: {problem}");
    assert_eq!(client.status("staging").await["packages"], json!([]));
    client.promote("dev", &[("raw:three", "1.0.0")]).await.expect(201);
    let answer = client.promote("staging", &all).await.expect(201).json();
    let moves = answer["transitions"].as_array().expect("transitions");
    assert_eq!(moves.len(), 3);
    assert!(moves.iter().all(|step| step["seq"] == answer["seq"]), "one commit: {answer}");
    for (package, _) in all {
        assert_eq!(client.current("staging", package).await.as_deref(), Some("1.0.0"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_promoted_whole() {
    let (_server, client) = fresh().await;
    let sha = commit('a');
    for package in ["one", "two"] {
        let zip = tiny(package.len() as u64, 100);
        client.publish(package, "1.0.0", "p.zip", &zip, Some(&sha)).await.expect(201);
    }
    client.publish("other", "1.0.0", "o.zip", &tiny(9, 100), Some(&commit('b'))).await.expect(201);
    // "Promotion by commit takes, for every package of the project, the release built from that
    // commit; two of one package, or none at all: 409 with the candidates."
    let by = |sha: &str| json!({"commit": sha, "reason": "the whole build"});
    let answer = client.post(&api(DEV), by(&sha)).await.expect(201).json();
    assert_eq!(answer["transitions"].as_array().map(Vec::len), Some(2));
    assert_eq!(client.current("dev", "raw:one").await.as_deref(), Some("1.0.0"));
    assert_eq!(client.current("dev", "raw:two").await.as_deref(), Some("1.0.0"));
    assert_eq!(client.current("dev", "raw:other").await, None);
    client.post(&api(DEV), by(&commit('c'))).await.refused(409, "ambiguous");
    client.publish("one", "1.0.1", "p.zip", &tiny(11, 100), Some(&sha)).await.expect(201);
    let problem = client.post(&api(STAGING), by(&sha)).await.refused(409, "ambiguous").to_string();
    assert!(problem.contains("1.0.0") && problem.contains("1.0.1"), "{problem}");
    assert_eq!(client.status("staging").await["packages"], json!([]));
    // Which of both ways is meant must be clear.
    let both = json!({"commit": sha, "releases": [{"package": "raw:two", "ref": "1.0.0"}]});
    client.post(&api(STAGING), both).await.expect_any(&[400, 422]).problem();
    client
        .post(&api(STAGING), json!({"reason": "neither"}))
        .await
        .expect_any(&[400, 422])
        .problem();
    let none = json!({"releases": [], "reason": "nothing"});
    client.post(&api(STAGING), none).await.expect_any(&[400, 422]).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_may_name_the_state_it_starts_from() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1.0.0", "dev").await;
    published(&client, "app", "1.1.0").await;
    let seen = client.get(&api("/channels/dev")).await.expect(200);
    // "ETag = seq"; "If-Match: "<seq>" optional, 412 if it moved"
    let etag = seen.need("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", seen.json()["seq"]));
    let body = promotion(&[("raw:app", "1.1.0")]);
    let stale = format!("\"{}\"", seen.json()["seq"].as_u64().expect("a number") - 1);
    let answer = client.post_with(&api(DEV), body.clone(), &[("if-match", &stale)]).await;
    answer.refused(412, "precondition_failed");
    assert_eq!(client.current("dev", "raw:app").await.as_deref(), Some("1.0.0"));
    client.post_with(&api(DEV), body, &[("if-match", &etag)]).await.expect(201);
    let body = promotion(&[("raw:app", "1.0.0")]);
    let answer = client.post_with(&api(DEV), body, &[("if-match", &etag)]).await;
    answer.refused(412, "precondition_failed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_says_what_every_gate_thinks_and_moves_nothing() {
    let (_server, client) = fresh().await;
    published(&client, "app", "1.0.0").await;
    promoted(&client, "ready", "1.0.0", "dev").await;
    let path = api(STAGING) + "?dry_run=true";
    let both = promotion(&[("raw:ready", "1.0.0"), ("raw:app", "1.0.0")]);
    // {"verdict":"pass|fail","gates":[{"package","gate","verdict":"pass|fail|unknown","reason"}]}
    let verdict = client.post(&path, both).await.expect(200).json();
    assert_eq!(verdict["verdict"], "fail");
    let gates = verdict["gates"].as_array().expect("gates");
    for gate in gates {
        assert!(gate["package"].is_string() && gate["gate"].is_string(), "{gate}");
        assert!(["pass", "fail", "unknown"].iter().any(|v| gate["verdict"] == *v), "{gate}");
        assert!(gate.get("reason").is_some(), "{gate}");
    }
    let fails = |package: &str| {
        gates.iter().any(|gate| gate["package"] == package && gate["verdict"] == "fail")
    };
    assert!(fails("raw:app") && !fails("raw:ready"), "{verdict}");
    let ready = promotion(&[("raw:ready", "1.0.0")]);
    assert_eq!(client.post(&path, ready).await.expect(200).json()["verdict"], "pass");
    assert_eq!(client.status("staging").await["packages"], json!([]));
    assert_eq!(client.release("raw:app", "1.0.0").await.expect(200).json()["state"], "published");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_not_promoted() {
    let (_server, client) = fresh().await;
    published(&client, "app", "1.0.0").await;
    for (package, reference) in [("raw:app", "9.9.9"), ("raw:none", "1.0.0")] {
        client.promote("dev", &[(package, reference)]).await.expect_any(&[404, 409, 422]).problem();
    }
    client.promote("moon", &[("raw:app", "1.0.0")]).await.refused(404, "not_found");
    for bad in ["app", "", "raw:", ":", "raw:../x", "nosuchformat:app"] {
        let answer = client.promote("dev", &[(bad, "1.0.0")]).await;
        answer.expect_any(&[400, 404, 409, 422]).problem();
    }
    assert_eq!(client.status("dev").await["packages"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_by_any_name_records_the_version() {
    let (_server, client) = fresh().await;
    let sha = commit('f');
    client.publish("app", "1.0.0", "a.zip", &tiny(1, 100), Some(&sha)).await.expect(201);
    let answer = client.promote("dev", &[("raw:app", &sha[..10])]).await.expect(201).json();
    assert_eq!(answer["transitions"][0]["to"], "1.0.0");
}
