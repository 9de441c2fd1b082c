//! H66, H67, H68, H73, H75: what is asked of a file, and what a browser would do with it.

use ingot_tests::archive::tiny;
use ingot_tests::client::raw;

use super::{Victim, refused};

#[tokio::test(flavor = "multi_thread")]
async fn h66_many_ranges_are_one_whole_file() {
    let victim = Victim::new().await;
    let (path, whole) = (raw("known", "1", "known.zip"), tiny(1, 300));
    let many = "0-0,".repeat(1000) + "1-1";
    for range in [format!("bytes={many}"), "bytes=0-99,50-150".to_owned(), "items=0-1".to_owned()] {
        let reply = victim.send("GET", &path, &[("Range", &range)], b"").await;
        assert_eq!((reply.status(), reply.body()), (Some(200), &whole[..]), "H66 {range:.40}");
    }
    for range in ["bytes=-0", "bytes=5-2", "bytes=18446744073709551616-", "bytes=-", "bytes=1-x"] {
        let reply = victim.send("GET", &path, &[("Range", range)], b"").await;
        // "bad → 416 or ignored"
        match reply.status() {
            Some(200) => assert_eq!(reply.body(), whole, "H66 {range}"),
            _ => drop(refused(&format!("H66 {range}"), &reply, &[416])),
        }
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h67_strange_preconditions_never_overwrite() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    let etags = "\"x\", ".repeat(3000) + "\"y\"";
    let reply = victim.send("GET", &path, &[("If-None-Match", &etags)], b"").await;
    assert!(matches!(reply.status(), Some(200 | 431)), "H67 3,000 tags: {}", reply.shown());
    let some = "\"x\", ".repeat(200) + "\"y\"";
    let reply = victim.send("GET", &path, &[("If-None-Match", &some)], b"").await;
    assert_eq!(reply.status(), Some(200), "H67 200 tags: {}", reply.shown());
    for header in [
        ("If-Match", "*"),
        ("If-Match", "\"x\""),
        ("If-Unmodified-Since", "Sat, 01 Jan 2000 00:00:00 GMT"),
    ] {
        let reply = victim.send("PUT", &path, &[header], &tiny(99, 50)).await;
        // "PUT still 409"; 412 says as much.
        refused(&format!("H67 {header:?}"), &reply, &[409, 412]);
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h68_nothing_served_runs_in_a_browser() {
    let victim = Victim::new().await;
    for (file, body) in [
        ("index.html", "<script>alert(1)</script>"),
        ("image.svg", "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("page.xhtml", "<html xmlns='http://www.w3.org/1999/xhtml'><script/></html>"),
        ("code.js", "alert(1)"),
        ("none", "<html>"),
    ] {
        let path = raw("web", "1", file);
        victim.admin.put(&path, body.as_bytes()).await.expect(201);
        for headers in [&[][..], &[("Accept", "text/html")][..]] {
            let reply = victim.send("GET", &path, headers, b"").await;
            assert_eq!(reply.status(), Some(200));
            let need =
                |name: &str| reply.header(name).unwrap_or_else(|| panic!("H68 {file}: {name}"));
            assert!(need("content-disposition").starts_with("attachment"), "H68 {file}");
            assert_eq!(need("x-content-type-options"), "nosniff");
            assert!(need("content-security-policy").contains("sandbox"), "H68 {file}");
            assert!(need("content-security-policy").contains("default-src 'none'"), "H68 {file}");
            assert_eq!(need("cross-origin-resource-policy"), "same-origin");
            assert!(!need("content-type").is_empty());
        }
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h73_nothing_unkeyed_changes_an_answer() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    let plain = victim.send("GET", &path, &[], b"").await;
    let of = |reply: &ingot_tests::wire::Reply| {
        let names =
            ["etag", "content-type", "cache-control", "content-location", "content-disposition"];
        (reply.status(), reply.body().to_vec(), names.map(|name| reply.header(name)))
    };
    for (target, headers) in [
        (format!("{path}?x=1"), vec![]),
        (path.clone(), vec![("Accept", "text/html")]),
        (path.clone(), vec![("X-Original-URL", "/livez")]),
        (path.clone(), vec![("X-Rewrite-URL", "/livez")]),
        (path.clone(), vec![("X-Forwarded-Prefix", "/evil")]),
        (path.clone(), vec![("Accept-Encoding", "gzip, br")]),
        (path.clone(), vec![("User-Agent", "npm/11")]),
    ] {
        let reply = victim.send("GET", &target, &headers, b"").await;
        assert_eq!(of(&reply), of(&plain), "H73 {target} {headers:?}");
    }
    // What needs a token must not be kept by a cache that serves others without one.
    let control = plain.header("cache-control").expect("cache-control");
    assert!(!control.contains("public"), "H73: {control}");
    // Errors are never kept at all.
    let missing = victim.send("GET", &raw("none", "1", "f"), &[], b"").await;
    let control = missing.header("cache-control").unwrap_or_default();
    assert!(control.contains("no-store"), "H73: a refusal may be cached: {}", missing.shown());
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h75_only_whole_sha256_digests_are_digests() {
    let victim = Victim::new().await;
    let path = raw("digest", "1", "f.bin");
    let hex = ingot_tests::hex(b"x");
    let twice = format!("{hex}{hex}");
    for (name, value) in [
        ("X-Checksum-Sha256", twice.as_str()),
        ("X-Checksum-Sha256", &hex[..40]),
        ("X-Checksum-Sha256", ""),
        ("X-Checksum-Sha1", &hex),
        ("X-Checksum-Md5", "zz"),
        ("X-Checksum-Sha512", &hex),
        ("Repr-Digest", "sha-256=:AAAA:"),
        ("Repr-Digest", "sha-256=nope"),
        ("Repr-Digest", "sha-256"),
        ("Content-Digest", "sha-256=::"),
    ] {
        let reply = victim.send("PUT", &path, &[(name, value)], b"x").await;
        refused(&format!("H75 {name}: {value}"), &reply, &[400]);
    }
    for digest in [twice.as_str(), &hex[..40], "sha1-", "md5", "", &hex.to_uppercase()] {
        let target = format!("/raw/main/-/sha256/{digest}");
        let reply = victim.send("GET", &target, &[], b"").await;
        // An address that can be none is as good as one that is not there.
        assert!(matches!(reply.status(), Some(400 | 404)), "H75 {target}: {}", reply.shown());
    }
    victim.admin.put(&path, b"x").await.expect(201);
    victim.unharmed().await;
}
