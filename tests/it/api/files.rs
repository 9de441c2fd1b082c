//! Raw files: publishing, and what comes with every file that is served.

use base64::Engine;
use ingot_tests::archive::tiny;
use ingot_tests::client::raw;
use ingot_tests::hex;
use sha2::Digest as _;

use super::{commit, fresh, published};

fn base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_is_201_then_200_then_409_for_other_bytes() {
    let (_server, client) = fresh().await;
    let (zip, other) = (tiny(1, 300), tiny(2, 300));
    let path = raw("app", "1.0.0", "app.zip");
    let first = client.put(&path, &zip).await.expect(201);
    // "First time 201, again 200 with the same body"
    let again = client.put(&path, &zip).await.expect(200);
    assert_eq!(first.body, again.body);
    assert!(first.seq() >= 1);
    assert_eq!(first.seq(), again.seq(), "nothing new happened");
    // "other bytes are 409 and name both digests"
    let problem = client.put(&path, &other).await.refused(409, "content_conflict").to_string();
    assert!(problem.contains(&hex(&zip)) && problem.contains(&hex(&other)), "{problem}");
    assert_eq!(client.get(&path).await.expect(200).body, zip);
    // Not even with a precondition that would allow overwriting elsewhere (H67).
    for (name, value) in [("if-match", "*"), ("if-none-match", "*")] {
        client.put_with(&path, &other, &[(name, value)]).await.expect_any(&[409, 412]);
    }
    assert_eq!(client.get(&path).await.expect(200).body, zip);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_release_takes_further_files_but_no_other_bytes() {
    let (_server, client) = fresh().await;
    // "`published` (visible; every path frozen, new paths still welcome)"
    let zip = published(&client, "app", "1.0.0").await;
    client.put(&raw("app", "1.0.0", "notes.txt"), b"hello").await.expect(201);
    client.put(&raw("app", "1.0.0", "notes.txt"), b"other").await.refused(409, "content_conflict");
    assert_eq!(client.get(&raw("app", "1.0.0", "app.zip")).await.expect(200).body, zip);
    assert_eq!(client.get(&raw("app", "1.0.0", "notes.txt")).await.expect(200).body, "hello");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_outside_the_grammar_are_422_and_inside_it_201() {
    let (_server, client) = fresh().await;
    // "Package `[a-z0-9][a-z0-9._-]{0,127}`, version `[A-Za-z0-9][A-Za-z0-9._+-]{0,127}`,
    // file `[A-Za-z0-9][A-Za-z0-9._+@=-]{0,254}`"
    let long = |n: usize| "a".repeat(n);
    for (package, version, file) in [
        (long(128), "1".into(), "f".into()),
        ("0.a_b-c".into(), long(128), "f".into()),
        ("x".into(), "1.0+Build_7-rc".into(), "A.b_c+d@e=f-g".into()),
        ("x".into(), "2".into(), long(255)),
    ] {
        client.put(&raw(&package, &version, &file), b"x").await.expect(201);
    }
    for (package, version, file) in [
        (long(129), "1".into(), "f".into()),
        ("App".into(), "1".into(), "f".into()),
        ("-app".into(), "1".into(), "f".into()),
        (".app".into(), "1".into(), "f".into()),
        ("app".into(), long(129), "f".into()),
        ("app".into(), "-1".into(), "f".into()),
        ("app".into(), "1~2".into(), "f".into()),
        ("app".into(), "1".into(), long(256)),
        ("app".into(), "1".into(), "_f".into()),
        ("app".into(), "1".into(), "a~b".into()),
        ("app".into(), "1".into(), "a,b".into()),
    ] {
        let answer = client.put(&raw(&package, &version, &file), b"x").await;
        // A segment over 255 bytes breaks the path policy before the grammar (H1 ff.: 400).
        let expected: &[u16] = if file.len() > 255 { &[400, 422] } else { &[422] };
        answer.expect_any(expected).problem();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_answer_carries_what_the_contract_lists() {
    let (_server, client) = fresh().await;
    let (zip, sha) = (tiny(3, 500), commit('a'));
    client.publish("app", "1.4.2", "app.zip", &zip, Some(&sha)).await.expect(201);
    let path = raw("app", "1.4.2", "app.zip");
    let head = client.send("HEAD", &path, &[], "").await.expect(200);
    assert!(head.body.is_empty());
    let got = client.get_with(&path, &[("accept-encoding", "gzip")]).await.expect(200);
    assert_eq!(got.body, zip);
    for answer in [&head, &got] {
        let etag = answer.need("etag");
        assert!(etag.starts_with('"') && etag.ends_with('"') && etag.len() > 2, "strong: {etag}");
        assert!(answer.need("last-modified").ends_with(" GMT"));
        assert_eq!(answer.need("content-length"), zip.len().to_string());
        assert_eq!(answer.need("accept-ranges"), "bytes");
        let sha256 = sha2::Sha256::digest(&zip);
        assert_eq!(answer.need("repr-digest"), format!("sha-256=:{}:", base64(&sha256)));
        assert_eq!(answer.need("x-checksum-sha256"), hex(&zip));
        assert_eq!(answer.need("ingot-release"), "pkg:raw/app@1.4.2");
        assert_eq!(answer.need("ingot-commit"), sha);
        assert!(answer.need("cache-control").contains("immutable"));
        assert_eq!(answer.need("x-content-type-options"), "nosniff");
        assert!(answer.need("content-security-policy").contains("sandbox"));
        // "No content-encoding on files."
        assert!(answer.header("content-encoding").is_none());
        // H68 adds these two for what a browser might be talked into showing.
        assert!(answer.need("content-disposition").starts_with("attachment"));
        assert_eq!(answer.need("cross-origin-resource-policy"), "same-origin");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn single_ranges_are_served_and_several_are_the_whole() {
    let (_server, client) = fresh().await;
    let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
    let path = raw("app", "1", "f.bin");
    client.put(&path, &bytes).await.expect(201);
    for (range, from, to) in [
        ("bytes=0-9", 0, 9),
        ("bytes=990-", 990, 999),
        ("bytes=-5", 995, 999),
        ("bytes=5-99999", 5, 999),
    ] {
        let part = client.get_with(&path, &[("range", range)]).await.expect(206);
        assert_eq!(part.body, bytes[from..=to], "{range}");
        assert_eq!(part.need("content-range"), format!("bytes {from}-{to}/1000"));
        assert_eq!(part.need("content-length"), (to - from + 1).to_string());
    }
    // "several ranges → 200 whole"
    for range in ["bytes=0-1,5-6", "bytes=0-0,0-0,0-0"] {
        assert_eq!(client.get_with(&path, &[("range", range)]).await.expect(200).body, bytes);
    }
    // What is no range at all is ignored (RFC 9110, 14.2).
    for range in ["items=0-1", "bytes=5-2", "bytes=a-b", "bytes="] {
        let answer = client.get_with(&path, &[("range", range)]).await;
        assert_eq!(answer.expect(200).body, bytes, "{range}");
    }
    for range in ["bytes=1000-", "bytes=99999999999999999999999-", "bytes=-0"] {
        let answer = client.get_with(&path, &[("range", range)]).await;
        assert_eq!(answer.need("content-range"), "bytes */1000", "{range}");
        answer.refused(416, "range_not_satisfiable");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditional_requests_follow_the_rfc() {
    let (_server, client) = fresh().await;
    let zip = published(&client, "app", "1").await;
    let path = raw("app", "1", "app.zip");
    let got = client.get(&path).await.expect(200);
    let (etag, date) = (got.need("etag").to_owned(), got.need("last-modified").to_owned());
    let past = "Sat, 01 Jan 2000 00:00:00 GMT";
    let weak = format!("W/{etag}");
    let many = vec!["\"x\""; 63].join(", ") + ", " + &etag;
    for (headers, expected) in [
        (vec![("if-none-match", etag.as_str())], 304),
        (vec![("if-none-match", weak.as_str())], 304),
        (vec![("if-none-match", many.as_str())], 304),
        (vec![("if-none-match", "*")], 304),
        (vec![("if-none-match", "\"other\"")], 200),
        (vec![("if-modified-since", date.as_str())], 304),
        (vec![("if-modified-since", past)], 200),
        (vec![("if-modified-since", "yesterday")], 200),
        // If-None-Match wins over If-Modified-Since (RFC 9110, 13.2.2).
        (vec![("if-none-match", "\"other\""), ("if-modified-since", &date)], 200),
        (vec![("range", "bytes=0-1"), ("if-range", &etag)], 206),
        (vec![("range", "bytes=0-1"), ("if-range", &date)], 206),
        (vec![("range", "bytes=0-1"), ("if-range", "\"other\"")], 200),
        // If-Range compares strongly: a weak tag never matches.
        (vec![("range", "bytes=0-1"), ("if-range", &weak)], 200),
        (vec![("range", "bytes=0-1"), ("if-range", past)], 200),
    ] {
        let answer = client.get_with(&path, &headers).await;
        assert_eq!(answer.status, expected, "{headers:?}: {}", answer.shown());
        match expected {
            304 => {
                assert!(answer.body.is_empty());
                assert_eq!(answer.need("etag"), etag);
            }
            200 => assert_eq!(answer.body, zip),
            _ => assert_eq!(answer.body, zip[..2]),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_announced_digest_is_verified_before_anything_is_visible() {
    let (_server, client) = fresh().await;
    let zip = tiny(5, 200);
    let path = raw("app", "1", "app.zip");
    let zeros = |n: usize| "0".repeat(n);
    // "verified before anything is visible, mismatch 400"
    for (name, value) in [
        ("repr-digest", format!("sha-256=:{}:", base64(&[0; 32]))),
        ("content-digest", format!("sha-256=:{}:", base64(&[0; 32]))),
        ("repr-digest", format!("sha-512=:{}:", base64(&[0; 64]))),
        ("x-checksum-sha256", zeros(64)),
        ("x-checksum-sha1", zeros(40)),
        ("x-checksum-md5", zeros(32)),
        ("x-checksum-sha512", zeros(128)),
    ] {
        let answer = client.put_with(&path, &zip, &[(name, &value)]).await;
        assert_eq!(answer.status, 400, "{name}: {}", answer.shown());
        answer.refused(400, "digest_mismatch");
        client.get(&path).await.expect(404);
    }
    // What is no digest at all is no announcement to be ignored either (H75).
    for (name, value) in [("x-checksum-sha256", "abc"), ("x-checksum-sha256", &zeros(128))] {
        client.put_with(&path, &zip, &[(name, value)]).await.expect(400).problem();
        client.get(&path).await.expect(404);
    }
    let sha256 = sha2::Sha256::digest(&zip);
    let right = [
        ("repr-digest", format!("sha-256=:{}:", base64(&sha256))),
        ("x-checksum-sha256", hex(&zip)),
    ];
    let right: Vec<_> = right.iter().map(|(name, value)| (*name, value.as_str())).collect();
    client.put_with(&path, &zip, &right).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_file_fixes_the_origin() {
    let (_server, client) = fresh().await;
    let sha = commit('b');
    let origin = [
        ("ingot-commit", sha.as_str()),
        ("ingot-source", "https://git.example/app"),
        ("ingot-build", "https://ci.example/7"),
    ];
    let path = raw("app", "1", "app.zip");
    let zip = tiny(6, 200);
    client.put_with(&path, &zip, &origin).await.expect(201);
    let release = client.release("raw:app", "1").await.expect(200).json();
    assert_eq!(release["origin"]["commit"], sha);
    assert_eq!(release["origin"]["source"], "https://git.example/app");
    assert_eq!(release["origin"]["build"], "https://ci.example/7");
    // "a later file that contradicts it is 409"; "the origin counts as part of what is published"
    for (header, value) in [
        ("ingot-commit", commit('c')),
        ("ingot-source", "https://git.example/other".into()),
        ("ingot-build", "https://ci.example/8".into()),
    ] {
        let headers = [(header, value.as_str())];
        let other = raw("app", "1", "other.txt");
        client.put_with(&other, b"x", &headers).await.refused(409, "origin_conflict");
        client.get(&other).await.expect(404);
        client.put_with(&path, &zip, &headers).await.refused(409, "origin_conflict");
    }
    // Repeating it, shortening it, or saying nothing contradicts nothing.
    client.put_with(&path, &zip, &origin).await.expect(200);
    client.put_with(&path, &zip, &[("ingot-commit", &sha[..7])]).await.expect(200);
    client.put(&raw("app", "1", "more.txt"), b"x").await.expect(201);
    // "`Ingot-Commit` (7 to 64 hex digits […])"
    for bad in ["abcdef", "xyzxyzx", &"a".repeat(65), ""] {
        let answer = client.put_with(&raw("app", "2", "f"), b"x", &[("ingot-commit", bad)]).await;
        answer.expect_any(&[400, 422]).problem();
        client.get(&raw("app", "2", "f")).await.expect(404);
    }
    let short = [("ingot-commit", "abcdef0")];
    client.put_with(&raw("app", "2", "f"), b"x", &short).await.expect(201);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_found_by_its_content() {
    let (_server, client) = fresh().await;
    let zip = published(&client, "app", "1").await;
    let by = |hex: &str| format!("/raw/main/-/sha256/{hex}");
    let got = client.get(&by(&hex(&zip))).await.expect(200);
    assert_eq!(got.body, zip);
    assert_eq!(got.need("x-checksum-sha256"), hex(&zip));
    client.get(&by(&hex(b"never stored"))).await.refused(404, "not_found");
    // H75: only 64 lower-case hex digits are an address.
    for bad in [hex(&zip).to_uppercase(), "ab".repeat(64), "abc".into()] {
        client.get(&by(&bad)).await.expect_any(&[400, 404]).problem();
    }
    // A draft is "invisible", by its content too.
    let draft = tiny(77, 100);
    client.put(&(raw("app", "2", "app.zip") + "?draft=true"), &draft).await.expect(201);
    client.get(&by(&hex(&draft))).await.expect(404);
}
