//! What is computed: listings, lookups, builds, the API's own description, health and figures.

use base64::Engine;
use ingot_tests::archive::tiny;
use ingot_tests::client::{api, encode, raw};
use ingot_tests::{digest, hex};
use serde_json::{Value, json};
use sha2::Digest as _;

use super::{commit, fresh, promoted, published};

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_ends_in_a_slash_is_a_listing() {
    let (_server, client) = fresh().await;
    promoted(&client, "app", "1.0.0", "dev").await;
    published(&client, "other", "2.0.0").await;
    // "A path ending in `/` gives a small generated HTML listing, in full and channel views."
    for (path, there, not_there) in [
        ("/raw/main/", vec!["app/", "other/"], vec!["1.0.0"]),
        ("/raw/main/app/", vec!["1.0.0/"], vec!["2.0.0"]),
        ("/raw/main/app/1.0.0/", vec!["app.zip"], vec![]),
        ("/raw/main@dev/", vec!["app/"], vec!["other"]),
        ("/raw/main@dev/app/", vec!["1.0.0/"], vec![]),
        ("/raw/main@dev/app/1.0.0/", vec!["app.zip"], vec![]),
        ("/raw/main@prod/", vec![], vec!["app/", "other/"]),
    ] {
        let answer = client.get(path).await.expect(200);
        assert!(answer.need("content-type").starts_with("text/html"), "{path}");
        assert!(answer.header("content-security-policy").is_some(), "{path}");
        // "(documents: `no-cache` + ETag)"
        assert!(answer.need("cache-control").contains("no-cache"), "{path}");
        let etag = answer.need("etag").to_owned();
        client.get_with(path, &[("if-none-match", &etag)]).await.expect(304);
        let html = String::from_utf8_lossy(&answer.body).into_owned();
        for name in there {
            assert!(html.contains(name), "{path} without {name}: {html}");
        }
        for name in not_there {
            assert!(!html.contains(name), "{path} with {name}: {html}");
        }
    }
    for path in ["/raw/main/none/", "/raw/main@dev/other/", "/raw/none/"] {
        client.get(path).await.refused(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn content_is_found_by_every_spelling_of_its_digest() {
    let (_server, client) = fresh().await;
    let sha = commit('a');
    let zip = tiny(1, 200);
    client.publish("app", "1.0.0", "app.zip", &zip, Some(&sha)).await.expect(201);
    client.promote("dev", &[("raw:app", "1.0.0")]).await.expect(201);
    client.promote("staging", &[("raw:app", "1.0.0")]).await.expect(201);
    promoted(&client, "app", "2.0.0", "dev").await;
    let base64 = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(&zip));
    // "hex, `sha-256=:b64:`, npm SRI, Maven sha1, AWS CodeSha256 → release, commit, where current"
    for spelling in [
        hex(&zip),
        hex(&zip).to_uppercase(),
        digest(&zip),
        format!("sha-256=:{base64}:"),
        format!("sha256-{base64}"),
        base64.clone(),
    ] {
        let path = api(&format!("/lookup?digest={}", encode(&spelling)));
        let found = client.get(&path).await.expect(200).json();
        // lookup {"matches":[{"package","version","path","digest","commit","current_in","admitted_in"}]}
        let matches = found["matches"].as_array().expect("matches");
        assert_eq!(matches.len(), 1, "{spelling}: {found}");
        let row = &matches[0];
        assert_eq!(row["package"], "raw:app");
        assert_eq!(row["version"], "1.0.0");
        assert_eq!(row["path"], "app.zip");
        assert_eq!(row["digest"], digest(&zip));
        assert_eq!(row["commit"], sha);
        assert_eq!(row["current_in"], json!(["staging"]));
        assert_eq!(row["admitted_in"], json!(["dev", "staging"]));
    }
    // Nothing has it: an answer, not an error.
    let path = api(&format!("/lookup?digest={}", hex(b"never")));
    assert_eq!(client.get(&path).await.expect(200).json()["matches"], json!([]));
    // H75: what is no digest is refused.
    let twice = format!("sha256:{}", "ab".repeat(64));
    for bad in ["", "sha256:", "latest", "abc", &twice, "sha1-", "sha512:abcd"] {
        let answer = client.get(&api(&format!("/lookup?digest={}", encode(bad)))).await;
        answer.expect_any(&[400, 422]).problem();
    }
    client.get(&api("/lookup")).await.expect_any(&[400, 422]).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn content_in_two_releases_is_found_twice_and_so_is_a_release() {
    let (_server, client) = fresh().await;
    let zip = tiny(1, 200);
    client.publish("one", "1", "a.zip", &zip, None).await.expect(201);
    client.publish("two", "1", "b.zip", &zip, None).await.expect(201);
    let path = api(&format!("/lookup?digest={}", hex(&zip)));
    let found = client.get(&path).await.expect(200).json();
    assert_eq!(found["matches"].as_array().map(Vec::len), Some(2), "{found}");
    client.promote("dev", &[("raw:one", "1")]).await.expect(201);
    let digest = client.release("raw:one", "1").await.json()["digest"].clone();
    let digest = encode(digest.as_str().expect("sealed"));
    let found = client.get(&api(&format!("/lookup?digest={digest}"))).await.expect(200).json();
    assert_eq!(found["matches"][0]["package"], "raw:one", "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn checksums_that_were_announced_and_verified_are_known_ever_after() {
    let (_server, client) = fresh().await;
    let path = raw("app", "1", "hello.txt");
    // sha1 and md5 of "hello", from any other program.
    let sha1 = "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d";
    let headers =
        [("x-checksum-sha1", sha1), ("x-checksum-md5", "5d41402abc4b2a76b9719d911017c592")];
    client.put_with(&path, b"hello", &headers).await.expect(201);
    // "and those of `-Sha1/-Md5/-Sha512` that are known"
    let got = client.get(&path).await.expect(200);
    assert_eq!(got.need("x-checksum-sha1"), sha1);
    let found = client.get(&api(&format!("/lookup?digest={sha1}"))).await.expect(200).json();
    assert_eq!(found["matches"].as_array().map(Vec::len), Some(1), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_is_every_release_of_its_commit() {
    let (_server, client) = fresh().await;
    let sha = commit('a');
    for (package, version) in [("one", "1"), ("two", "1"), ("two", "2")] {
        let zip = tiny(version.len() as u64, 100);
        client.publish(package, version, "p.zip", &zip, Some(&sha)).await.expect(201);
    }
    client.publish("three", "1", "p.zip", &tiny(5, 100), Some(&commit('b'))).await.expect(201);
    // build {"commit","releases":[release…]}
    let build = client.get(&api(&format!("/builds/{sha}"))).await.expect(200).json();
    assert_eq!(build["commit"], sha);
    let releases = build["releases"].as_array().expect("releases");
    assert_eq!(releases.len(), 3);
    for release in releases {
        assert_eq!(release["origin"]["commit"], sha);
        assert!(release["files"].is_array() && release["purl"].is_string(), "a release: {release}");
    }
    client.get(&api(&format!("/builds/{}", commit('c')))).await.expect_any(&[200, 404]);
    client.get(&api("/builds/xyz")).await.expect_any(&[400, 404, 422]).problem();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_describes_itself() {
    let (_server, client) = fresh().await;
    let answer = client.get("/api/v1/openapi.json").await.expect(200);
    let described = answer.json();
    assert!(described["openapi"].as_str().is_some_and(|version| version.starts_with("3.")));
    let paths = described["paths"].as_object().expect("paths");
    let known = |path: &str| {
        // Parameters may have any name.
        let shape = |path: &str| {
            let part = |s: &str| if s.starts_with('{') { "{}".to_owned() } else { s.to_owned() };
            path.split('/').map(part).collect::<Vec<_>>().join("/")
        };
        paths.keys().find(|key| shape(key).ends_with(&shape(path))).map(|key| &paths[key])
    };
    for (path, methods) in [
        ("/whoami", "get"),
        ("/projects", "get"),
        ("/projects/{p}", "get put"),
        ("/projects/{p}/packages", "get"),
        ("/projects/{p}/packages/{package}", "get"),
        ("/projects/{p}/packages/{package}/releases/{ref}", "get"),
        ("/projects/{p}/packages/{package}/releases/{ref}/publish", "post"),
        ("/projects/{p}/packages/{package}/releases/{ref}/seal", "post"),
        ("/projects/{p}/packages/{package}/releases/{ref}/block", "post"),
        ("/projects/{p}/packages/{package}/releases/{ref}/unblock", "post"),
        ("/projects/{p}/packages/{package}/releases/{ref}/aliases", "post"),
        ("/projects/{p}/builds/{commit}", "get"),
        ("/projects/{p}/channels", "get"),
        ("/projects/{p}/channels/{c}", "get"),
        ("/projects/{p}/channels/{c}/transitions", "get"),
        ("/projects/{p}/channels/{c}/promotions", "post"),
        ("/projects/{p}/channels/{c}/rollbacks", "post"),
        ("/projects/{p}/channels/{c}/holds", "post"),
        ("/projects/{p}/channels/{c}/lifts", "post"),
        ("/projects/{p}/channels/{c}/revocations", "post"),
        ("/projects/{p}/lookup", "get"),
        ("/projects/{p}/ledger", "get"),
        ("/projects/{p}/tokens", "get post"),
    ] {
        let described = known(path).unwrap_or_else(|| panic!("{path} is not described"));
        for method in methods.split(' ') {
            assert!(described[method].is_object(), "{method} {path} is not described");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn health_and_figures_stand_at_the_root() {
    let (server, client) = fresh().await;
    published(&client, "app", "1").await;
    for path in ["/livez", "/readyz"] {
        server.anonymous().get(path).await.expect(200);
    }
    let figures = client.get("/metrics").await.expect(200);
    assert!(figures.need("content-type").starts_with("text/plain"), "the Prometheus text format");
    let text = String::from_utf8_lossy(&figures.body).into_owned();
    assert!(text.lines().any(|line| line.starts_with("# TYPE ")), "{text}");
    let sample = |line: &str| {
        let value = line.rsplit(' ').next().unwrap_or_default();
        line.starts_with('#') || line.is_empty() || value.parse::<f64>().is_ok()
    };
    assert!(text.lines().all(sample), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoami_names_the_token_and_never_shows_it() {
    let (server, client) = fresh().await;
    let answer = client.get("/api/v1/whoami").await.expect(200);
    assert!(matches!(answer.json(), Value::Object(_)));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(!text.contains(&server.admin_token()));
}
