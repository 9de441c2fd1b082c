//! H54, H59, H60, H61: bodies that are too large, cut, or no sane JSON.

use ingot_tests::client::{api, raw};
use ingot_tests::server::Options;
use ingot_tests::wire::{PATIENCE, Wire, request};

use super::{Victim, refused, turned_away};

/// The largest upload of the server in the tests of limits, in bytes.
const UPLOAD_BYTES_MAX: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread")]
async fn h54_json_is_read_strictly() {
    let victim = Victim::new().await;
    let path = api("/channels/dev/promotions");
    let releases = r#"[{"package":"raw:known","ref":"1"}]"#;
    let other = r#"[{"package":"raw:other","ref":"1"}]"#;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let nested = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let row = |text: String| text.into_bytes();
    let rows = [
        ("depth 10,000", row(deep.clone())),
        ("depth 10,000 in a member", row(format!(r#"{{"releases":{releases},"reason":{deep}}}"#))),
        ("objects 10,000 deep", row(nested)),
        ("1e400", row(format!(r#"{{"releases":{releases},"reason":1e400}}"#))),
        ("a key twice", row(format!(r#"{{"releases":{other},"releases":{releases}}}"#))),
        (
            "a key twice inside",
            row(r#"{"releases":[{"package":"raw:other","package":"raw:known","ref":"1"}]}"#.into()),
        ),
        (
            "a 10 MB key",
            row(format!(r#"{{"{}":1,"releases":{releases}}}"#, "k".repeat(10_000_000))),
        ),
        ("a lone surrogate", row(format!(r#"{{"releases":{releases},"reason":"\ud800"}}"#))),
        (
            "not UTF-8",
            [br#"{"releases":[],"reason":""#.to_vec(), vec![0xff, 0xfe], b"\"}".to_vec()].concat(),
        ),
        ("__proto__", row(format!(r#"{{"releases":{releases},"__proto__":{{"admin":true}}}}"#))),
        ("NUL", row(format!("{{\"releases\":{releases},\"reason\":\"a\0b\"}}"))),
        ("a comment", row(format!("{{/* */\"releases\":{releases}}}"))),
        ("something after", row(format!("{{\"releases\":{releases}}} {{}}"))),
    ];
    for (name, body) in rows {
        let headers = [("Content-Type", "application/json")];
        let reply = victim.send("POST", &path, &headers, &body).await;
        // The table says 400; well-formed JSON with members that mean nothing is 422 as well.
        refused(&format!("H54 {name}"), &reply, &[400, 413, 422]);
    }
    assert_eq!(victim.admin.status("dev").await["packages"], serde_json::json!([]));
    victim.unharmed().await;
}

fn limited() -> Options {
    Options::default().set("INGOT_SERVER__UPLOAD_BYTES_MAX", &UPLOAD_BYTES_MAX.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn h59_an_upload_one_byte_too_large_is_413() {
    let victim = Victim::with(limited()).await;
    let path = |n: usize| raw("large", &format!("1.{n}"), "f.bin");
    let most = vec![b'x'; UPLOAD_BYTES_MAX];
    victim.admin.put(&path(0), &most).await.expect(201);
    // Announced: refused "at once", before a byte of the body.
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n",
        path(1),
        victim.token,
        UPLOAD_BYTES_MAX + 1
    );
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(head.as_bytes()).await;
    refused("H59 announced", &wire.answer(PATIENCE).await, &[413]);
    // Not announced: "413 at the byte".
    let chunked = |body: &[u8]| {
        let head = format!(
            "PUT {} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nTransfer-Encoding: chunked\r\n\r\n",
            path(1),
            victim.token
        );
        [head.as_bytes(), format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n0\r\n\r\n"]
            .concat()
    };
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(&chunked(&[&most[..], b"x"].concat())).await;
    refused("H59 chunked", &wire.answer(PATIENCE).await, &[413]);
    victim.admin.get(&path(1)).await.expect(404);
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(&chunked(&most)).await;
    let reply = wire.answer(PATIENCE).await;
    assert_eq!(reply.status(), Some(201), "at the limit: {}", reply.shown());
    victim.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h60_and_h61_cut_uploads_leave_nothing() {
    let victim = Victim::new().await;
    let body = vec![b'x'; 300_000];
    let bearer = format!("Bearer {}", victim.token);
    let auth = [("Authorization", bearer.as_str())];
    for (n, share) in [0.0, 0.00001, 0.5, 0.999].into_iter().enumerate() {
        for abrupt in [true, false] {
            let path = raw("cut", &format!("1.{n}.{}", u8::from(abrupt)), "f.bin");
            let bytes = request("PUT", &path, &auth, &body);
            let sent = bytes.len() - body.len() + (body.len() as f64 * share) as usize;
            let mut wire = Wire::connect(victim.server.address()).await;
            wire.write(&bytes[..sent]).await;
            if !abrupt {
                // H61: "Content-Length longer than body, then FIN"
                wire.finish().await;
                turned_away("H61", &wire.rest(PATIENCE).await, &[400, 408]);
            }
            drop(wire);
            victim.admin.get(&path).await.expect(404);
            victim.admin.put(&path, b"free").await.expect(201);
        }
    }
    // The same through chunks whose end never comes.
    let path = raw("cut", "2", "f.bin");
    let head = format!("PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {bearer}\r\n");
    let text = format!("{head}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut wire = Wire::connect(victim.server.address()).await;
    wire.write(text.as_bytes()).await;
    wire.finish().await;
    turned_away("H60 chunks", &wire.rest(PATIENCE).await, &[400, 408]);
    victim.admin.get(&path).await.expect(404);
    victim.admin.put(&path, b"free").await.expect(201);
    victim.unharmed().await;
}
