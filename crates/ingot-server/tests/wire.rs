//! The whole server over raw sockets: what no HTTP library would send, and what comes back.

use std::time::Duration;

use ingot_server::config::Config;
use ingot_server::{Started, start};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How long an answer may take; generous, since it only ends a test that failed anyway.
const PATIENCE: Duration = Duration::from_secs(30);

struct Up {
    started: Started,
    token: String,
    _directory: tempfile::TempDir,
}

async fn up(change: impl FnOnce(&mut Config)) -> Up {
    let directory = tempfile::tempdir().expect("directory");
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".into();
    config.server.workers = 1;
    config.server.shutdown_timeout_ms = 1_000;
    config.storage.data = directory.path().join("data");
    config.storage.reserve_bytes = 0;
    change(&mut config);
    let file = config.storage.data.join("admin-token");
    let started = start(config).await.expect("starts");
    let token = std::fs::read_to_string(file).expect("a token").trim().to_owned();
    Up { started, token, _directory: directory }
}

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
    fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).expect("json");
        body["code"].as_str().expect("a code").to_owned()
    }
}

struct Wire(TcpStream, Vec<u8>);

impl Up {
    async fn connect(&self) -> Wire {
        Wire(TcpStream::connect(self.started.address()).await.expect("connects"), Vec::new())
    }
    /// A head with Host and token, ended.
    fn head(&self, line: &str, more: &str) -> String {
        format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n{more}\r\n",
            self.token
        )
    }
    async fn ask(&self, line: &str, more: &str, body: &[u8]) -> Answer {
        let mut wire = self.connect().await;
        wire.send(self.head(line, &format!("{more}Content-Length: {}\r\n", body.len())).as_bytes())
            .await;
        wire.send(body).await;
        wire.answer(line.starts_with("HEAD")).await
    }
    async fn get(&self, path: &str, more: &str) -> Answer {
        let mut wire = self.connect().await;
        wire.send(self.head(&format!("GET {path}"), more).as_bytes()).await;
        wire.answer(false).await
    }
    async fn json(&self, line: &str, more: &str, body: &str) -> Answer {
        self.ask(line, more, body.as_bytes()).await
    }
    async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut wire = self.connect().await;
        wire.send(bytes).await;
        wire.answer(false).await
    }
}

impl Wire {
    async fn send(&mut self, bytes: &[u8]) {
        // A server that refuses half-way may close before all is sent.
        let _ = self.0.write_all(bytes).await;
    }
    async fn more(&mut self) -> bool {
        let read = tokio::time::timeout(PATIENCE, self.0.read_buf(&mut self.1));
        !matches!(read.await.expect("an answer in time"), Ok(0) | Err(_))
    }
    async fn answer(&mut self, without_body: bool) -> Answer {
        loop {
            if let Some(end) = self.1.windows(4).position(|part| part == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.1[..end]).into_owned();
                let status = head[9..12].parse().expect("a status");
                let mut answer = Answer { status, head, body: Vec::new() };
                let size = answer.header("content-length").and_then(|size| size.parse().ok());
                let size: usize = if without_body || status == 100 { 0 } else { size.unwrap_or(0) };
                if self.1.len() >= end + 4 + size {
                    answer.body = self.1[end + 4..end + 4 + size].to_vec();
                    self.1.drain(..end + 4 + size);
                    return answer;
                }
            }
            if !self.more().await {
                panic!("closed before an answer; got {:?}", String::from_utf8_lossy(&self.1));
            }
        }
    }
    async fn is_closed(&mut self) -> bool {
        while self.more().await {}
        true
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_story_of_one_file() {
    let up = up(|_| {}).await;
    assert!(up.started.welcome().is_some_and(|text| text.contains("/raw/main/app/1.0.0/app.zip")));
    let content = vec![7u8; 200_000];
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let origin = format!("Ingot-Commit: {commit}\r\n");
    let put = "PUT /raw/main/app/1.0.0/app.bin";
    let first = up.ask(put, &origin, &content).await;
    assert_eq!(first.status, 201, "{}", String::from_utf8_lossy(&first.body));
    assert_eq!(first.header("location"), Some("/raw/main/app/1.0.0/app.bin"));
    let again = up.ask(put, &origin, &content).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let other = up.ask(put, &origin, b"other").await;
    assert_eq!((other.status, other.code().as_str()), (409, "content_conflict"));
    for channel in ["dev", "staging", "prod"] {
        let promoted = up
            .json(
                &format!("POST /api/v1/projects/main/channels/{channel}/promotions"),
                "",
                r#"{"releases":[{"package":"raw:app","ref":"1.0.0"}],"reason":"x"}"#,
            )
            .await;
        assert_eq!(promoted.status, 201, "{}", String::from_utf8_lossy(&promoted.body));
        assert!(promoted.header("ingot-seq").is_some());
    }
    let moved = up.get("/raw/main@prod/app/app.bin", "").await;
    assert_eq!(moved.status, 307);
    assert_eq!(moved.header("cache-control"), Some("no-store"));
    let location = moved.header("location").expect("a location").to_owned();
    assert_eq!(location, "/raw/main@prod/app/1.0.0/app.bin");
    let file = up.get(&location, "").await;
    assert_eq!((file.status, file.body.len()), (200, content.len()));
    assert!(file.body == content);
    assert_eq!(file.header("ingot-commit"), Some(commit));
    assert_eq!(file.header("accept-ranges"), Some("bytes"));
    let etag = file.header("etag").expect("an etag").to_owned();
    let part = up.get(&location, "Range: bytes=100-199\r\n").await;
    assert_eq!((part.status, part.body.len()), (206, 100));
    assert_eq!(part.header("content-range"), Some("bytes 100-199/200000"));
    let outside = up.get(&location, "Range: bytes=200000-\r\n").await;
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */200000")));
    let unchanged = up.get(&location, &format!("If-None-Match: {etag}\r\n")).await;
    assert_eq!((unchanged.status, unchanged.body.len()), (304, 0));
    let by_commit = up.get(&format!("/raw/main/app/{commit}/app.bin"), "").await;
    assert_eq!(by_commit.header("content-location"), Some("/raw/main/app/1.0.0/app.bin"));
    let status = up.get("/api/v1/projects/main/channels/prod", "").await;
    let tag = status.header("etag").expect("an etag").to_owned();
    let body: serde_json::Value = serde_json::from_slice(&status.body).expect("json");
    assert_eq!(body["packages"][0]["version"], "1.0.0");
    assert_eq!(tag, format!("\"{}\"", body["seq"]));
    let stale = up
        .json(
            "POST /api/v1/projects/main/channels/prod/promotions",
            "If-Match: \"1\"\r\n",
            r#"{"releases":[{"package":"raw:app","ref":"1.0.0"}]}"#,
        )
        .await;
    assert_eq!(stale.status, 412);
    let listing = up.get("/raw/main/app/", "").await;
    assert_eq!(listing.header("content-type"), Some("text/html; charset=utf-8"));
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_has_the_head_of_get_and_no_body() {
    let up = up(|_| {}).await;
    up.ask("PUT /raw/main/app/1/a.bin", "", &[1; 5_000]).await;
    let mut wire = up.connect().await;
    for path in [
        "/raw/main/app/1/a.bin",
        "/raw/main/app/1/none.bin",
        "/raw/main/",
        "/livez",
        "/api/v1/whoami",
    ] {
        wire.send(up.head(&format!("HEAD {path}"), "").as_bytes()).await;
        let head = wire.answer(true).await;
        wire.send(up.head(&format!("GET {path}"), "").as_bytes()).await;
        let get = wire.answer(false).await;
        assert_eq!(head.status, get.status, "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
    }
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_or_sends_too_much_is_told_before_100_continue() {
    let up = up(|config| config.server.upload_bytes_max = 1_000).await;
    let expect = "Expect: 100-continue\r\nContent-Length: 500\r\n";
    let mut wire = up.connect().await;
    wire.send(
        format!("PUT /raw/main/app/1/a.bin HTTP/1.1\r\nHost: localhost\r\n{expect}\r\n").as_bytes(),
    )
    .await;
    assert_eq!(wire.answer(false).await.status, 401);
    assert!(wire.is_closed().await);
    let mut wire = up.connect().await;
    let large = "Expect: 100-continue\r\nContent-Length: 1001\r\n";
    wire.send(up.head("PUT /raw/main/app/1/a.bin", large).as_bytes()).await;
    assert_eq!(wire.answer(false).await.status, 413);
    let mut wire = up.connect().await;
    wire.send(up.head("PUT /raw/main/app/1/a.bin", expect).as_bytes()).await;
    assert_eq!(wire.answer(false).await.status, 100);
    wire.send(&[1; 500]).await;
    assert_eq!(wire.answer(false).await.status, 201);
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_limited_to_the_byte() {
    let up = up(|config| config.server.upload_bytes_max = 1_000).await;
    assert_eq!(up.ask("PUT /raw/main/app/1/a.bin", "", &[1; 1_000]).await.status, 201);
    assert_eq!(up.ask("PUT /raw/main/app/1/b.bin", "", &[1; 1_001]).await.status, 413);
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (size, status) in [(1_000, 201), (1_001, 413)] {
        let mut wire = up.connect().await;
        wire.send(up.head(&format!("PUT /raw/main/app/1/c{size}.bin"), chunked).as_bytes()).await;
        wire.send(format!("{size:x}\r\n").as_bytes()).await;
        wire.send(&vec![1; size]).await;
        wire.send(b"\r\n0\r\n\r\n").await;
        assert_eq!(wire.answer(false).await.status, status, "{size}");
    }
    // More than is read away: the answer still comes, and then the end.
    let mut wire = up.connect().await;
    wire.send(up.head("PUT /raw/main/app/1/d.bin", "Content-Length: 9000000\r\n").as_bytes()).await;
    let answer = wire.answer(false).await;
    assert_eq!((answer.status, answer.header("connection")), (413, Some("close")));
    // Endless chunks to who may not upload.
    let mut wire = up.connect().await;
    wire.send(
        b"PUT /raw/main/app/1/e.bin HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .await;
    for _ in 0..40 {
        wire.send(format!("{:x}\r\n", 65_536).as_bytes()).await;
        wire.send(&vec![1; 65_536]).await;
        wire.send(b"\r\n").await;
    }
    assert_eq!(wire.answer(false).await.status, 401);
    assert!(wire.is_closed().await);
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_stalled_bodies_are_ended() {
    let up = up(|config| {
        config.server.head_timeout_ms = 3_000;
        config.server.body_idle_timeout_ms = 300;
    })
    .await;
    let mut wire = up.connect().await;
    wire.send(b"GET /livez HTTP/1.1\r\nHo").await;
    assert_eq!(wire.answer(false).await.status, 408);
    let mut wire = up.connect().await;
    wire.send(up.head("PUT /raw/main/app/1/a.bin", "Content-Length: 100\r\n").as_bytes()).await;
    wire.send(&[1; 50]).await;
    let answer = wire.answer(false).await;
    assert_eq!((answer.status, answer.code().as_str()), (408, "timeout"));
    assert!(wire.is_closed().await);
    assert_eq!(up.get("/raw/main/app/1/a.bin", "").await.status, 404, "nothing became visible");
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_upload_leaves_nothing() {
    let up = up(|_| {}).await;
    for cut in [0, 1, 500, 999] {
        let mut wire = up.connect().await;
        wire.send(up.head("PUT /raw/main/app/1/a.bin", "Content-Length: 1000\r\n").as_bytes())
            .await;
        wire.send(&vec![1; cut]).await;
        wire.0.shutdown().await.expect("shuts down");
        wire.is_closed().await;
        assert_eq!(up.get("/raw/main/app/1/a.bin", "").await.status, 404, "{cut}");
    }
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_refused_for_their_own_reasons() {
    let up = up(|_| {}).await;
    let long = "a".repeat(2_048);
    for (line, status) in [
        (format!("GET /{long}"), 414),
        (format!("GET /{}", "a".repeat(60_000)), 414),
        ("TRACE /".to_owned(), 405),
        ("PROPFIND /raw/main/".to_owned(), 405),
        ("get /livez".to_owned(), 405),
        ("DELETE /livez".to_owned(), 405),
        ("PUT /raw/main@prod/app/1/a.bin".to_owned(), 405),
        ("GET /raw/main/../../etc/passwd".to_owned(), 400),
        ("GET /raw/main/%252e%252e%252f".to_owned(), 400),
        ("GET //".to_owned(), 400),
        ("GET /raw/main/a;jsessionid=1/b/c".to_owned(), 400),
        ("GET http://evil/livez".to_owned(), 200),
        ("GET /nonsense".to_owned(), 404),
        ("GET /api/v1/nonsense".to_owned(), 404),
        ("GET /api/v1/openapi.json".to_owned(), 200),
        ("GET /readyz".to_owned(), 200),
        ("GET /metrics".to_owned(), 200),
    ] {
        let answer = up.raw(up.head(&line, "").as_bytes()).await;
        assert_eq!(answer.status, status, "{}", &line[..line.len().min(60)]);
        assert!(answer.header("x-request-id").is_some());
    }
    let many: String = (0..63).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(up.get("/livez", &many).await.status, 431);
    let many: String = (0..62).map(|n| format!("X-{n}: 1\r\n")).collect();
    assert_eq!(up.get("/livez", &many).await.status, 200);
    assert_eq!(up.get("/livez", &format!("X: {}\r\n", "a".repeat(17_000))).await.status, 431);
    assert_eq!(up.get("/livez", &format!("X: {}\r\n", "a".repeat(130_000))).await.status, 431);
    for framing in [
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Content-Length: +1\r\n",
        "X : 1\r\n",
    ] {
        let answer = up.raw(up.head("PUT /raw/main/a/1/a.bin", framing).as_bytes()).await;
        assert_eq!(answer.status, 400, "{framing}");
    }
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_anything_without_a_token() {
    let up = up(|_| {}).await;
    up.ask("PUT /raw/main/app/1/a.bin", "", b"x").await;
    for path in [
        "/raw/main/app/1/a.bin",
        "/raw/main/none/1/a.bin",
        "/raw/none/app/1/a.bin",
        "/raw/main/",
        "/raw/Main/x",
        "/raw/main",
        "/api/v1/projects",
        "/api/v1/projects/main",
        "/api/v1/whoami",
        "/api/v1/projects/none",
        "/api/v1/projects/main/packages/raw:app",
        "/raw/mai%6E/",
        "/api/v1/projects/main/channels",
        "/api/v1/projects/none/channels",
        "/api/v1/projects/main/lookup?digest=00",
        "/api/v1/projects/main/packages/nonsense",
    ] {
        let answer = up.raw(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.status, 401, "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"ingot\""));
    }
    let two = up.get("/raw/main/", &format!("Authorization: Bearer {}\r\n", up.token)).await;
    assert_eq!(two.status, 400);
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_url_is_refused_and_ended() {
    let up = up(|_| {}).await;
    let minted = up
        .json(
            "POST /api/v1/projects/main/tokens",
            "",
            r#"{"name":"ci","grants":[{"actions":["read"]}],"expires_in":"1d"}"#,
        )
        .await;
    assert_eq!(minted.status, 201, "{}", String::from_utf8_lossy(&minted.body));
    let body: serde_json::Value = serde_json::from_slice(&minted.body).expect("json");
    let token = body["token"].as_str().expect("a token");
    assert!(token.starts_with("ingot_d_"));
    let with = |token: &str| {
        format!("GET /raw/main/ HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n")
    };
    assert_eq!(up.raw(with(token).as_bytes()).await.status, 200);
    let leak = format!("GET /raw/main/?token={token} HTTP/1.1\r\nHost: a\r\n\r\n");
    let answer = up.raw(leak.as_bytes()).await;
    assert_eq!(answer.status, 400);
    assert!(!String::from_utf8_lossy(&answer.body).contains(token));
    assert_eq!(up.raw(with(token).as_bytes()).await.status, 401);
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_small_upload_leaves_the_connection_usable() {
    let up = up(|_| {}).await;
    let mut wire = up.connect().await;
    for _ in 0..3 {
        wire.send(b"PUT /raw/main/app/1/a.bin HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n")
            .await;
        wire.send(&[1; 100]).await;
        assert_eq!(wire.answer(false).await.status, 401);
    }
    // A body that nobody asked for is read away too, not taken for a second request.
    let inner = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n";
    wire.send(
        format!(
            "GET /nonsense HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{inner}",
            inner.len()
        )
        .as_bytes(),
    )
    .await;
    assert_eq!(wire.answer(false).await.status, 404);
    wire.send(inner.as_bytes()).await;
    assert_eq!(wire.answer(false).await.status, 200);
    up.started.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_is_served_again_after_a_stop_and_by_one_server_at_a_time() {
    let directory = tempfile::tempdir().expect("directory");
    let mut config = Config::default();
    config.server.listen = "127.0.0.1:0".into();
    config.server.shutdown_timeout_ms = 1_000;
    config.storage.data = directory.path().join("data");
    config.storage.reserve_bytes = 0;
    let first = start(config.clone()).await.expect("starts");
    assert!(first.welcome().is_some());
    let second = start(config.clone()).await.err().expect("refused");
    assert!(second.to_string().contains("in use by another ingot server"), "{second}");
    first.stop().await;
    let again = start(config).await.expect("starts again");
    assert!(again.welcome().is_none());
    again.stop().await;
}
