//! `{ref}`: "tried in this order, a version, an alias, `sha256:<release digest>`, a commit SHA
//! (full, or a prefix of 7 or more that is unique in the package; else 409 with the candidates)".

use ingot_tests::archive::tiny;
use ingot_tests::client::{Answer, Client, raw, release_path};
use serde_json::json;

use super::{commit, fresh};

async fn by(client: &Client, reference: &str) -> Answer {
    client.get(&raw("app", reference, "app.zip")).await
}

/// "Answers carry `Content-Location` with the canonical pinned URL."
#[track_caller]
fn leads_to(answer: Answer, version: &str) {
    let answer = answer.expect(200);
    let pinned = answer.need("content-location");
    assert!(pinned.ends_with(&raw("app", version, "app.zip")), "{}", answer.shown());
    assert_eq!(answer.need("ingot-release"), format!("pkg:raw/app@{version}"));
}

async fn alias(client: &Client, version: &str, name: &str) -> Answer {
    client.post(&(release_path("raw:app", version) + "/aliases"), json!({"name": name})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_answers_to_all_its_names() {
    let (_server, client) = fresh().await;
    let sha = commit('a');
    client.publish("app", "1.0.0", "app.zip", &tiny(1, 100), Some(&sha)).await.expect(201);
    client.publish("app", "2.0.0", "app.zip", &tiny(2, 100), Some(&commit('b'))).await.expect(201);
    alias(&client, "1.0.0", "build-17").await.expect_any(&[200, 201]);
    client
        .post(&(release_path("raw:app", "1.0.0") + "/seal"), json!({"reason": "done"}))
        .await
        .expect_any(&[200, 201]);
    let digest = client.release("raw:app", "1.0.0").await.expect(200).json()["digest"].clone();
    let digest = digest.as_str().expect("a sealed release has a digest");
    for reference in ["1.0.0", "build-17", digest, &sha, &sha[..7], &sha[..12]] {
        leads_to(by(&client, reference).await, "1.0.0");
        // "`{ref}` as above" in the API too.
        let release = client.release("raw:app", reference).await.expect(200).json();
        assert_eq!(release["version"], "1.0.0", "{reference}");
    }
    leads_to(by(&client, &"b".repeat(7)).await, "2.0.0");
    // Six digits are no commit; unknown names are nothing.
    for reference in
        [&sha[..6], "3.0.0", "build-18", &"c".repeat(40), &format!("sha256:{}", "0".repeat(64))]
    {
        by(&client, reference).await.refused(404, "not_found");
        client.release("raw:app", reference).await.refused(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_commit_is_409_with_the_candidates() {
    let (_server, client) = fresh().await;
    let (one, two) =
        (format!("{}{}", "abcdef0", "1".repeat(33)), format!("{}{}", "abcdef0", "2".repeat(33)));
    for (version, sha) in [("1.0.0", &one), ("1.0.1", &one), ("2.0.0", &two)] {
        let zip = tiny(version.len() as u64, 100);
        client.publish("app", version, "app.zip", &zip, Some(sha)).await.expect(201);
    }
    // A prefix that two commits share, and a commit that two releases share.
    for (reference, candidates) in
        [("abcdef0", vec!["1.0.0", "1.0.1", "2.0.0"]), (one.as_str(), vec!["1.0.0", "1.0.1"])]
    {
        for answer in [by(&client, reference).await, client.release("raw:app", reference).await] {
            let problem = answer.refused(409, "ambiguous").to_string();
            for candidate in &candidates {
                assert!(problem.contains(candidate), "{candidate} is missing: {problem}");
            }
        }
    }
    leads_to(by(&client, &two[..8]).await, "2.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_comes_before_an_alias_and_an_alias_before_a_commit() {
    let (_server, client) = fresh().await;
    client.publish("app", "1.0.0", "app.zip", &tiny(1, 100), Some(&commit('a'))).await.expect(201);
    client.publish("app", "2.0.0", "app.zip", &tiny(2, 100), None).await.expect(201);
    // An alias spelled like the commit of another release.
    alias(&client, "2.0.0", &commit('a')[..7]).await.expect_any(&[200, 201]);
    leads_to(by(&client, &commit('a')[..7]).await, "2.0.0");
    leads_to(by(&client, &commit('a')[..8]).await, "1.0.0");
    // An alias spelled like a version may be refused; if not, the version comes first.
    let answer = alias(&client, "2.0.0", "1.0.0").await;
    answer.expect_any(&[200, 201, 409, 422]);
    leads_to(by(&client, "1.0.0").await, "1.0.0");
    // A version spelled like an alias of another release: the version, or its publish refused.
    let late = client.publish("app", &commit('a')[..7], "app.zip", &tiny(3, 100), None).await;
    let expected = if late.status == 201 { &commit('a')[..7] } else { "2.0.0" };
    leads_to(by(&client, &commit('a')[..7]).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_never_moves() {
    let (_server, client) = fresh().await;
    client.publish("app", "1.0.0", "app.zip", &tiny(1, 100), None).await.expect(201);
    client.publish("app", "2.0.0", "app.zip", &tiny(2, 100), None).await.expect(201);
    alias(&client, "1.0.0", "build-1").await.expect_any(&[200, 201]);
    // "A further immutable name"; giving it again to the same release is success (promise 2).
    alias(&client, "1.0.0", "build-1").await.expect(200);
    alias(&client, "2.0.0", "build-1").await.refused(409, "alias_taken");
    let release = client.release("raw:app", "1.0.0").await.expect(200).json();
    assert_eq!(release["aliases"], json!(["build-1"]));
    leads_to(by(&client, "build-1").await, "1.0.0");
    for reserved in ["latest", "current", "stable", "head", "prod"] {
        alias(&client, "1.0.0", reserved).await.expect(422).problem();
    }
    for bad in ["", "a/b", "..", "a b"] {
        alias(&client, "1.0.0", bad).await.expect_any(&[400, 422]).problem();
    }
}
