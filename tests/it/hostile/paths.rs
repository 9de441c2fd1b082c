//! H1 to H20: targets.

use ingot_tests::archive::tiny;
use ingot_tests::client::raw;
use ingot_tests::wire::{PATIENCE, Wire, exchange, request};
use serde_json::json;

use super::{Victim, refused, turned_away};

/// Refused by the path policy, whatever the method.
const BAD_PATH: &[u16] = &[400];
/// Names outside raw's alphabet: the table says 400, the contract 422 on PUT; the path policy,
/// which comes first, refuses some of them (non-ASCII, devices, trailing dots) with 400.
const BAD_NAME: &[u16] = &[400, 422];

#[tokio::test(flavor = "multi_thread")]
async fn h1_to_h7_no_path_is_walked_or_decoded_twice() {
    let victim = Victim::new().await;
    for (row, target) in [
        ("H1", "/raw/main/../../etc/passwd"),
        ("H1", "/raw/main/app/1/../../../../etc/passwd"),
        ("H1", "/raw/main/app/../app/1/f"),
        ("H1", "/raw/main/./app/1/f"),
        ("H1", "/../etc/passwd"),
        ("H2", "/raw/main/%2e%2e/app/1/f"),
        ("H2", "/raw/main/app/1/%2E%2e%2Fpasswd"),
        ("H2", "/raw/main/.%2e/main/app/1/f"),
        ("H2", "/raw/main/app/1/%2e"),
        ("H2", "/api/v1/projects/%2e%2e/main"),
        ("H3", "/raw/main/%252e%252e%252f/1/f"),
        ("H3", "/raw/main/app/1/a%2525b"),
        ("H3", "/api/v1/projects/%256dain"),
        ("H4", "//raw/main/app/1/f"),
        ("H4", "/raw//main/app/1/f"),
        ("H4", "/raw/main//app/1/f"),
        ("H4", "/raw/main/app/1//f"),
        ("H4", "/%2f%2f%2f..%2fetc"),
        ("H4", "/raw/main/%2f%2f%2f%2f..%2f..%2fetc%2fpasswd"),
        ("H4", "/raw/main/app/1/a%2fb"),
        ("H5", "/raw/main/app/1/%5c..%5cx"),
        ("H5", "/raw/main/app/1/a%5Cb"),
        ("H6", "/raw/main/app/1/a%00.jar"),
        ("H6", "/raw/main/app/1/a%0d%0aSet-Cookie:x"),
        ("H6", "/raw/main/app/1/a%0a"),
        ("H6", "/raw/main/app/1/a%1bb"),
        ("H6", "/raw/main/app/1/a%7fb"),
        ("H7", "/raw/main/app/1/%c0%ae%c0%ae"),
        ("H7", "/raw/main/app/1/%e0%80%ae"),
        ("H7", "/raw/main/app/1/a%ff"),
        ("H7", "/raw/main/app/1/a%zz"),
        ("H7", "/raw/main/app/1/a%2"),
        ("H7", "/raw/main/app/1/a%"),
    ] {
        for method in ["GET", "PUT"] {
            let reply = victim.send(method, target, &[], b"").await;
            let problem = refused(&format!("{row} {method} {target}"), &reply, BAD_PATH);
            // "no echo of raw input"
            assert!(!problem["detail"].to_string().contains("Set-Cookie"), "{problem}");
            assert!(reply.header("set-cookie").is_none());
        }
    }
    // A backslash as it stands, and bytes that no URI holds, may already end at the HTTP library.
    for target in ["/raw/main/..\\..\\x", "/raw/main/app/1/a\u{e9}", "/raw/main/app/1/a\u{0}b"] {
        let reply = victim.send("GET", target, &[], b"").await;
        turned_away(&format!("H5/H6/H7 {target:?}"), &reply, BAD_PATH);
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h8_to_h12_names_that_look_or_store_alike() {
    let victim = Victim::new().await;
    for (row, file) in [
        ("H8", "caf%C3%A9.zip"),
        ("H8", "cafe%CC%81.zip"),
        ("H9", "%EF%BC%8E%EF%BC%8E%EF%BC%8Fx"), // fullwidth ../
        ("H9", "a%E2%88%95b"),                  // division slash
        ("H9", "a%EF%BC%8Fb"),                  // fullwidth slash
        ("H9", "a%E2%80%AEpiz.exe"),            // right-to-left override
        ("H9", "a%E2%80%8Bb"),                  // zero-width space
        ("H10", "lib."),
        ("H10", "lib%20"),
        ("H10", "%20lib"),
        ("H10", "lib%2e"),
        ("H12", "CON"),
        ("H12", "nul.zip"),
        ("H12", "COM1.jar"),
        ("H12", "lpt9"),
        ("H12", "a:b"),
        ("H12", "x::$DATA"),
        ("H12", "x%3a%3a$DATA"),
        ("H69", "x%22;filename=evil.html"),
        ("H69", "x%22%20onload"),
        ("H69", "x%0d%0aSet-Cookie:a"),
        ("H69", "x%E2%80%AEy"),
        ("H69", "x%3Cscript%3E"),
    ] {
        let target = format!("/raw/main/app/1/{file}");
        refused(
            &format!("{row} {target}"),
            &victim.send("PUT", &target, &[], b"x").await,
            BAD_NAME,
        );
    }
    let long = format!("/raw/main/app/1/{}", "a".repeat(300));
    refused("H69 300 bytes", &victim.send("PUT", &long, &[], b"x").await, BAD_NAME);
    // A space as it stands ends the target: what follows is no HTTP version.
    turned_away("H10", &victim.send("PUT", "/raw/main/app/1/lib ", &[], b"x").await, BAD_NAME);
    for package in ["CON", "App", "nul", "a%20b", "caf%C3%A9", "app."] {
        let target = format!("/raw/main/{package}/1/f");
        refused(&format!("H12 {target}"), &victim.send("PUT", &target, &[], b"x").await, BAD_NAME);
        let target = format!("/raw/main/app/{package}%2e./f");
        refused(&format!("H10 {target}"), &victim.send("PUT", &target, &[], b"x").await, BAD_NAME);
    }
    // Nothing of all this made a package.
    assert_eq!(victim.admin.list("/api/v1/projects/main/packages", 100).await.len(), 1);
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h13_rights_are_read_from_the_decoded_path() {
    let victim = Victim::new().await;
    let admin = &victim.admin;
    admin.put(&raw("secret", "1", "s.zip"), &tiny(5, 50)).await.expect(201);
    let grants = json!([{"actions": ["read"], "packages": "raw:known"}]);
    let body = json!({"name": "reader", "grants": grants, "expires_in": "1d"});
    let minted = admin.post("/api/v1/projects/main/tokens", body).await.expect_any(&[200, 201]);
    let bearer = format!("Bearer {}", minted.json()["token"].as_str().expect("token"));
    let address = victim.server.address();
    for target in
        ["/raw/main/secret/1/s.zip", "/raw/main/secre%74/1/s.zip", "/raw/mai%6e/%73ecret/1/s.zip"]
    {
        let mine = [("Authorization", bearer.as_str())];
        let reply = exchange(address, &request("GET", target, &mine, b"")).await;
        refused(&format!("H13 reader {target}"), &reply, &[404]);
        let reply = exchange(address, &request("GET", target, &[], b"")).await;
        refused(&format!("H13 anonymous {target}"), &reply, &[401]);
        // Who may read it reads the same file by each spelling.
        let reply = victim.send("GET", target, &[], b"").await;
        assert_eq!((reply.status(), reply.body()), (Some(200), &tiny(5, 50)[..]), "{target}");
    }
    // The format's name has one spelling: routing is no place for decoding.
    let reply = victim.send("GET", "/ra%77/main/secret/1/s.zip", &[], b"").await;
    assert!(matches!(reply.status(), Some(200 | 400 | 404)), "{}", reply.shown());
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h16_parameters_and_fragments_change_nothing() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    let parameter = format!("{path};jsessionid=1");
    refused("H16 ;", &victim.send("GET", &parameter, &[], b"").await, &[400]);
    let inside = "/raw/main;x=y/known/1/known.zip";
    refused("H16 ;", &victim.send("GET", inside, &[], b"").await, &[400]);
    for query in ["?path=../", "?x=1", "?%2e%2e", "?project=other&package=secret", "?"] {
        let reply = victim.send("GET", &format!("{path}{query}"), &[], b"").await;
        assert_eq!(reply.status(), Some(200), "H16 {query}: {}", reply.shown());
        assert_eq!(reply.body(), tiny(1, 300));
    }
    // A fragment never belongs on the wire. Whoever takes it takes it as nothing.
    let reply = victim.send("GET", &format!("{path}#../../x"), &[], b"").await;
    assert!(matches!(reply.status(), Some(200 | 400 | 404)), "H16 #: {}", reply.shown());
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h17_no_foreign_host_gets_into_an_answer() {
    let victim = Victim::new().await;
    victim.admin.promote("dev", &[("raw:known", "1")]).await.expect(201);
    let bearer = format!("Authorization: Bearer {}\r\n", victim.token);
    let view = "/raw/main@dev/known/known.zip";
    for (target, host, more) in [
        (format!("http://evil.example{view}"), "evil.example", ""),
        (view.to_owned(), "evil.example", ""),
        (view.to_owned(), "127.0.0.1", "X-Forwarded-Host: evil.example\r\n"),
        (view.to_owned(), "127.0.0.1", "Forwarded: host=evil.example\r\n"),
        (view.to_owned(), "127.0.0.1", "X-Original-URL: /livez\r\nX-Rewrite-URL: /livez\r\n"),
    ] {
        let text = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{bearer}{more}\r\n");
        let reply = exchange(victim.server.address(), text.as_bytes()).await;
        // "any other Host": the table wants the answer with URLs from the configuration; a
        // loopback listener may as well refuse to be called by a name that is not its own.
        assert!(matches!(reply.status(), Some(307 | 400 | 421)), "H17: {}", reply.shown());
        let said = String::from_utf8_lossy(&reply.bytes).into_owned();
        assert!(!said.contains("evil"), "H17: {said}");
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h18_long_targets_are_414() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    let filled = |n: usize| format!("{path}?{}", "x".repeat(n - path.len() - 1));
    let fits = victim.send("GET", &filled(2048), &[], b"").await;
    assert_eq!(fits.status(), Some(200), "H18 at the limit: {}", fits.shown());
    refused("H18 2,049", &victim.send("GET", &filled(2049), &[], b"").await, &[414]);
    turned_away("H18 60,000", &victim.send("GET", &filled(60_000), &[], b"").await, &[414, 431]);
    let log = victim.server.log();
    assert!(!log.contains(&"x".repeat(2049)), "H18: logged whole");
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h19_only_known_methods_are_taken() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    for method in ["TRACE", "PROPFIND", "get", "PATCH", "MKCOL", "DELETE", "LOCK", "FOO"] {
        let reply = victim.send(method, &path, &[], b"").await;
        refused(&format!("H19 {method}"), &reply, &[405]);
    }
    let reply = victim.send("CONNECT", "evil.example:443", &[], b"").await;
    turned_away("H19 CONNECT", &reply, &[400, 405]);
    for header in ["X-HTTP-Method-Override", "X-Method-Override", "X-HTTP-Method"] {
        let reply = victim.send("GET", &path, &[(header, "DELETE")], b"").await;
        assert_eq!(reply.status(), Some(200), "H19 {header}");
        let reply = victim.send("POST", &path, &[(header, "PUT")], b"").await;
        assert_eq!(reply.status(), Some(405), "H19 {header}: {}", reply.shown());
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h20_a_request_inside_a_body_is_not_answered() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    let bearer = format!("Bearer {}", victim.token);
    let auth = [("Authorization", bearer.as_str())];
    let inner = request("GET", "/livez", &auth, b"");
    let mut bytes = request("GET", &path, &auth, &inner);
    let close = [("Authorization", bearer.as_str()), ("Connection", "close")];
    bytes.extend(request("GET", "/readyz", &close, b""));
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(&bytes).await;
    let reply = wire.rest(PATIENCE).await;
    // "body drained or connection closed": the outer two are answered, or the first alone.
    assert_eq!(reply.status(), Some(200), "H20: {}", reply.shown());
    assert!(reply.answers() <= 2, "H20: {} answers: {}", reply.answers(), reply.shown());
    victim.unharmed().await;
}
