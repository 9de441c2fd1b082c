//! H56, H62, H63, H64: heads and framing that two programs might read differently.

use ingot_tests::client::raw;
use ingot_tests::wire::{PATIENCE, Wire, exchange, find, request};

use super::{Victim, refused, turned_away};

#[tokio::test(flavor = "multi_thread")]
async fn h56_large_heads_are_431() {
    let victim = Victim::new().await;
    let path = raw("known", "1", "known.zip");
    let many = |n: usize| (0..n).map(|n| format!("X-H{n}")).collect::<Vec<_>>();
    // Host and Authorization count too.
    for (count, status) in [(62, 200), (63, 431)] {
        let names = many(count);
        let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "v")).collect();
        let reply = victim.send("GET", &path, &headers, b"").await;
        assert_eq!(reply.status(), Some(status), "H56 {count} more: {}", reply.shown());
    }
    let fits = "v".repeat(15 * 1024);
    let reply = victim.send("GET", &path, &[("X-Long", &fits)], b"").await;
    assert_eq!(reply.status(), Some(200), "H56 15 KiB: {}", reply.shown());
    let large = "v".repeat(17 * 1024);
    let reply = victim.send("GET", &path, &[("X-Long", &large)], b"").await;
    refused("H56 17 KiB", &reply, &[431]);
    let huge = "v".repeat(130 * 1024);
    let reply = victim.send("GET", &path, &[("X-Long", &huge)], b"").await;
    turned_away("H56 130 KiB", &reply, &[431]);
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h62_and_h63_ambiguous_bodies_publish_nothing() {
    let victim = Victim::new().await;
    let chunk = "3\r\nabc\r\n0\r\n\r\n";
    let te = "Transfer-Encoding: chunked\r\n";
    let extension = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(1 << 20));
    let rows = [
        ("H62 CL and TE", format!("Content-Length: 3\r\n{te}\r\n{chunk}")),
        ("H62 TE and CL", format!("{te}Content-Length: 3\r\n\r\n{chunk}")),
        ("H62 two CL", "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd".to_owned()),
        ("H62 two equal CL", "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc".to_owned()),
        ("H62 a list of CL", "Content-Length: 3, 3\r\n\r\nabc".to_owned()),
        ("H62 +3", "Content-Length: +3\r\n\r\nabc".to_owned()),
        ("H62 -3", "Content-Length: -3\r\n\r\nabc".to_owned()),
        ("H62 0x3", "Content-Length: 0x3\r\n\r\nabc".to_owned()),
        ("H62 a huge CL", format!("Content-Length: {}\r\n\r\nabc", "9".repeat(40))),
        ("H62 chunked, identity", format!("Transfer-Encoding: chunked, identity\r\n\r\n{chunk}")),
        ("H62 identity", format!("Transfer-Encoding: identity\r\n\r\n{chunk}")),
        ("H62 xchunked", format!("Transfer-Encoding: xchunked\r\n\r\n{chunk}")),
        ("H62 two TE", format!("{te}{te}\r\n{chunk}")),
        ("H62 TE with a tab", format!("Transfer-Encoding:\x0bchunked\r\n\r\n{chunk}")),
        ("H62 a space before the colon", "Content-Length : 3\r\n\r\nabc".to_owned()),
        ("H62 a folded header", format!("X-A: b\r\n c\r\n{te}\r\n{chunk}")),
        ("H62 LF in chunks", format!("{te}\r\n3\nabc\n0\n\n")),
        ("H62 no end of chunk", format!("{te}\r\n3\r\nabcd\r\n0\r\n\r\n")),
        ("H63 a chunk size too large", format!("{te}\r\nFFFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n")),
        ("H63 the largest chunk size", format!("{te}\r\nFFFFFFFFFFFFFFFF\r\nabc\r\n0\r\n\r\n")),
        ("H63 a negative chunk size", format!("{te}\r\n-1\r\nabc\r\n0\r\n\r\n")),
        ("H63 no chunk size", format!("{te}\r\n\r\nabc\r\n0\r\n\r\n")),
        ("H63 not hex", format!("{te}\r\nxyz\r\nabc\r\n0\r\n\r\n")),
        ("H63 a large extension", format!("{te}\r\n{extension}")),
        (
            "H63 trailers",
            format!(
                "{te}Trailer: Content-Length\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 9\r\n\r\n"
            ),
        ),
    ];
    for (n, (name, rest)) in rows.into_iter().enumerate() {
        let path = raw("frame", &format!("1.{n}"), "f.bin");
        let authorization = format!("Authorization: Bearer {}", victim.token);
        let text = format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{authorization}\r\n{rest}");
        let mut wire = Wire::connect(victim.server.address()).await;
        wire.write(text.as_bytes()).await;
        wire.finish().await;
        let reply = wire.rest(PATIENCE).await;
        // Trailers and extensions are lawful (RFC 9112, 7.1): a server may take them, as long as
        // it takes the body for what it is.
        let lawful = name.contains("trailers") || name.contains("extension");
        if lawful && reply.status() == Some(201) {
            assert_eq!(victim.admin.get(&path).await.expect(200).body, "abc", "{name}");
            continue;
        }
        turned_away(name, &reply, &[400, 408, 411, 413, 431, 501]);
        victim.admin.get(&path).await.expect(404);
        victim.admin.put(&path, b"fine").await.expect(201);
    }
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h62_chunks_in_http_1_0_are_not_read() {
    let victim = Victim::new().await;
    let path = raw("frame", "1", "f.bin");
    let head = format!(
        "PUT {path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\n",
        victim.token
    );
    let text = format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    let reply = exchange(victim.server.address(), text.as_bytes()).await;
    turned_away("H62 TE on 1.0", &reply, &[400, 411]);
    victim.admin.get(&path).await.expect(404);
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h62_a_request_after_an_ambiguous_one_is_not_answered_as_its_own() {
    let victim = Victim::new().await;
    let bearer = format!("Bearer {}", victim.token);
    let auth = [("Authorization", bearer.as_str())];
    let inner = String::from_utf8(request("GET", "/livez", &auth, b"")).expect("ASCII");
    let path = raw("frame", "1", "f.bin");
    let head = format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {bearer}\r\n");
    let text =
        format!("{head}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{inner}");
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(text.as_bytes()).await;
    wire.finish().await;
    turned_away("H62 smuggling", &wire.rest(PATIENCE).await, &[400]);
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h64_who_may_not_write_is_told_before_the_body() {
    let victim = Victim::new().await;
    let path = raw("app", "1", "f.bin");
    let expect = [("Expect", "100-continue"), ("Content-Length", "1000000")];
    let head = |authorization: Option<&str>| {
        let mut text = format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n");
        for (name, value) in expect {
            text += &format!("{name}: {value}\r\n");
        }
        if let Some(authorization) = authorization {
            text += &format!("Authorization: {authorization}\r\n");
        }
        text + "\r\n"
    };
    let reply = exchange(victim.server.address(), head(None).as_bytes()).await;
    refused("H64 anonymous", &reply, &[401]);
    let grants = serde_json::json!([{"actions": ["read"], "packages": "*"}]);
    let body = serde_json::json!({"name": "reader", "grants": grants, "expires_in": "1d"});
    let minted = victim.admin.post("/api/v1/projects/main/tokens", body).await;
    let reader = format!("Bearer {}", minted.json()["token"].as_str().expect("token"));
    let reply = exchange(victim.server.address(), head(Some(&reader)).as_bytes()).await;
    refused("H64 a reader", &reply, &[403]);
    // Who may is asked to go on.
    let mut wire = Wire::connect(victim.server.address()).await;
    let bearer = format!("Bearer {}", victim.token);
    wire.write(head(Some(&bearer)).as_bytes()).await;
    let mut asked = wire.answer_to_head(PATIENCE).await;
    assert_eq!(asked.status(), Some(100), "H64: {}", asked.shown());
    wire.write(&vec![b'x'; 1_000_000]).await;
    let end = find(&asked.bytes, b"\r\n\r\n").expect("a head") + 4;
    if asked.bytes.len() == end {
        asked = wire.answer(PATIENCE).await;
    } else {
        asked.bytes.drain(..end);
    }
    assert_eq!(asked.status(), Some(201), "H64: {}", asked.shown());
    victim.unharmed().await;
}
