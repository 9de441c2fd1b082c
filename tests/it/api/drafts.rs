//! "`draft` (uploading, invisible) → `published` (visible; every path frozen, new paths still
//! welcome) → `sealed` (file set frozen, release digest fixed)".

use ingot_tests::archive::tiny;
use ingot_tests::client::{api, raw, release_path};
use ingot_tests::{digest, hex};
use serde_json::{Value, json};

use super::{commit, fresh, published};

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_becomes_visible_all_at_once() {
    let (_server, client) = fresh().await;
    let (one, two) = (tiny(1, 100), tiny(2, 100));
    let path = |file: &str| raw("app", "1.0.0", file);
    // "`?draft=true` stages only"
    client.put(&(path("one.zip") + "?draft=true"), &one).await.expect(201);
    client.put(&(path("two.zip") + "?draft=true"), &two).await.expect(201);
    for file in ["one.zip", "two.zip"] {
        client.get(&path(file)).await.expect(404);
    }
    // Nor in any document.
    let packages = client.list(&api("/packages"), 10).await;
    assert!(!json!(packages).to_string().contains("raw:app"), "{packages:?}");
    // "SNAPSHOTs and drafts: 422"
    client.promote("dev", &[("raw:app", "1.0.0")]).await.refused(422, "not_promotable");
    let publish = release_path("raw:app", "1.0.0") + "/publish";
    client.post(&publish, json!({"reason": "complete"})).await.expect_any(&[200, 201]);
    assert_eq!(client.get(&path("one.zip")).await.expect(200).body, one);
    assert_eq!(client.get(&path("two.zip")).await.expect(200).body, two);
    let release = client.release("raw:app", "1.0.0").await.expect(200).json();
    assert_eq!(release["state"], "published");
    assert_eq!(release["files"].as_array().map(Vec::len), Some(2));
    // Again is success, and there is nothing to publish where there never was a draft.
    client.post(&publish, json!({"reason": "complete"})).await.expect(200);
    let nothing = release_path("raw:app", "9.9.9") + "/publish";
    client.post(&nothing, json!({})).await.expect(404).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_may_be_corrected_until_it_is_published() {
    let (_server, client) = fresh().await;
    let path = raw("app", "1.0.0", "app.zip");
    let staged = path.clone() + "?draft=true";
    client.put(&staged, &tiny(1, 100)).await.expect(201);
    // Promise 1 binds names that were published; a staged file is no promise yet. Whether its
    // replacement is taken is left open, but what is published is what was acknowledged last.
    let second = client.put(&staged, &tiny(2, 100)).await.expect_any(&[200, 201, 409]);
    let expected = if second.status == 409 { tiny(1, 100) } else { tiny(2, 100) };
    let publish = release_path("raw:app", "1.0.0") + "/publish";
    client.post(&publish, json!({})).await.expect_any(&[200, 201]);
    assert_eq!(client.get(&path).await.expect(200).body, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn sealing_freezes_the_files_and_fixes_the_release_digest() {
    let (_server, client) = fresh().await;
    let sha = commit('d');
    let (zip, notes) = (tiny(1, 100), b"notes".to_vec());
    client.publish("app", "1.0.0", "b.zip", &zip, Some(&sha)).await.expect(201);
    client.put(&raw("app", "1.0.0", "a.txt"), &notes).await.expect(201);
    let before = client.release("raw:app", "1.0.0").await.expect(200).json();
    assert_eq!(before["state"], "published");
    assert!(before["digest"].is_null(), "{before}");
    let seal = release_path("raw:app", "1.0.0") + "/seal";
    client.post(&seal, json!({"reason": "done"})).await.expect_any(&[200, 201]);
    client.post(&seal, json!({"reason": "done"})).await.expect(200);
    let after = client.release("raw:app", "1.0.0").await.expect(200).json();
    assert_eq!(after["state"], "sealed");
    // "sha256 of the canonical (RFC 8785) JSON listing of a sealed release's files and origin":
    // members sorted, no spaces, files by path. Written out here by hand.
    let listing = format!(
        r#"{{"files":[{{"digest":"{}","path":"a.txt","size":5}},{{"digest":"{}","path":"b.zip","size":{}}}],"origin":{{"commit":"{sha}"}}}}"#,
        digest(&notes),
        digest(&zip),
        zip.len()
    );
    assert_eq!(after["digest"], digest(listing.as_bytes()), "{listing}");
    // "file set frozen": a new path is refused, the same bytes are still a success.
    client.put(&raw("app", "1.0.0", "c.txt"), b"new").await.refused(409, "sealed");
    client.get(&raw("app", "1.0.0", "c.txt")).await.expect(404);
    client.put(&raw("app", "1.0.0", "a.txt"), &notes).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_may_seal_by_itself() {
    let (_server, client) = fresh().await;
    // "`?seal=true` seals"
    let path = raw("app", "1.0.0", "app.zip");
    client.put(&(path.clone() + "?seal=true"), &tiny(1, 100)).await.expect(201);
    let release = client.release("raw:app", "1.0.0").await.expect(200).json();
    assert_eq!(release["state"], "sealed");
    assert!(release["digest"].as_str().is_some_and(|digest| digest.starts_with("sha256:")));
    client.put(&(path + "?seal=true"), &tiny(1, 100)).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_has_the_shape_of_the_contract() {
    let (_server, client) = fresh().await;
    let sha = commit('e');
    let zip = tiny(9, 400);
    client.publish("app", "1.4.2", "app.zip", &zip, Some(&sha)).await.expect(201);
    client.promote("dev", &[("raw:app", "1.4.2")]).await.expect(201);
    // `{package}` "is one percent-encoded segment": a colon may stand as it is, too.
    let plain = api("/packages/raw:app/releases/1.4.2");
    let release = client.get(&plain).await.expect(200).json();
    assert_eq!(release, client.release("raw:app", "1.4.2").await.expect(200).json());
    assert_eq!(release["package"], "raw:app");
    assert_eq!(release["version"], "1.4.2");
    assert_eq!(release["purl"], "pkg:raw/app@1.4.2");
    assert_eq!(release["state"], "sealed", "promotion seals");
    assert_eq!(release["origin"]["commit"], sha);
    for unknown in ["source", "build"] {
        assert_eq!(release["origin"].get(unknown), Some(&Value::Null), "{release}");
    }
    assert_eq!(release["aliases"], json!([]));
    let file = &release["files"][0];
    assert_eq!(file["path"], "app.zip");
    assert_eq!(file["size"], zip.len());
    assert_eq!(file["digest"], format!("sha256:{}", hex(&zip)));
    assert!(file["hashes"].is_object(), "{file}");
    assert_eq!(file["media_type"], "application/zip");
    assert!(release["published_at"].is_string() && release["published_by"].is_string());
    let dev = &release["channels"]["dev"];
    assert_eq!((&dev["current"], &dev["admitted"]), (&json!(true), &json!(true)));
    assert!(dev["since"].is_string(), "{release}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_only_by_case_are_not_both_taken() {
    let (_server, client) = fresh().await;
    // H11, for versions (packages are lower-case by their grammar) and for files.
    published(&client, "app", "1.0.0-RC1").await;
    let twin = client.put(&raw("app", "1.0.0-rc1", "app.zip"), &tiny(3, 100)).await;
    twin.refused(409, "case_conflict");
    let twin = client.put(&raw("app", "1.0.0-RC1", "APP.zip"), &tiny(4, 100)).await;
    twin.refused(409, "case_conflict");
}
