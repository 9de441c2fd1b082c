//! The client verbs against a server that loses answers and damages bytes: what is sent again,
//! what is not, and that no wrong byte gets a file's name.

#![allow(clippy::unwrap_used, reason = "what a test cannot do without, it panics for")]

mod fake;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};

use base64::Engine;
use fake::{Fake, Reply, json};
use serde_json::{Value, json as value};
use sha2::Digest;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const TOKEN: &str = "ingot_u_0123456789abcdefghijABCDEFGHIJ01234567";

struct Bench {
    home: TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap() }
    }

    fn dir(&self) -> &Path {
        self.home.path()
    }

    fn put(&self, name: &str, content: &[u8]) -> String {
        let path = self.dir().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn command(&self, url: &str, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ingot"));
        command
            .env_clear()
            .env("HOME", self.dir())
            .env("INGOT_URL", url)
            .current_dir(self.dir())
            .kill_on_drop(true)
            .args(args);
        command
    }

    async fn run(&self, url: &str, args: &[&str]) -> Output {
        self.command(url, args).env("INGOT_TOKEN", TOKEN).output().await.unwrap()
    }

    /// Names in the bench's directory, hidden ones too.
    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn check(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(!String::from_utf8_lossy(&both).contains(TOKEN), "the token is never shown");
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn promoted() -> Value {
    value!({"seq": 2, "channel": "dev", "transitions": [
        {"seq": 2, "kind": "promote", "package": "raw:a", "from": null, "to": "1", "by": "t",
         "at": "2026-11-23T12:00:00Z", "reason": null}]})
}

fn problem(status: u16, code: &str) -> Value {
    value!({"type": "about:blank", "title": "T", "status": status, "detail": "D", "code": code,
            "error": "D", "request_id": "r1", "unknown_member": [1, 2]})
}

fn repr_digest(content: &[u8]) -> String {
    let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(content));
    format!("sha-256=:{digest}:")
}

#[tokio::test]
async fn a_post_whose_answer_was_lost_is_sent_again_with_the_same_key() {
    let replies = vec![Reply::Cut, json(503, &problem(503, "unavailable")), json(201, &promoted())];
    let server = Fake::start(replies).await;
    let output = Bench::new().run(&server.url(), &["promote", "raw:a@1", "--to", "dev"]).await;
    check(&output, 0);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for request in &seen {
        assert_eq!(request.target, "/api/v1/projects/main/channels/dev/promotions");
        assert_eq!(request.header("idempotency-key"), seen[0].header("idempotency-key"));
        assert_eq!(request.body, seen[0].body);
        assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    }
    assert!(seen[0].header("idempotency-key").is_some_and(|key| key.len() >= 16));
}

#[tokio::test]
async fn another_command_has_another_key_and_a_given_key_is_kept() {
    let server = Fake::start(vec![json(201, &promoted())]).await;
    let bench = Bench::new();
    let promote = ["promote", "raw:a@1", "--to", "dev"];
    bench.run(&server.url(), &promote).await;
    bench.run(&server.url(), &promote).await;
    for _ in 0..2 {
        let again = [&promote[..], &["--idempotency-key", "mine"]].concat();
        bench.run(&server.url(), &again).await;
    }
    let seen = server.seen();
    let key = |n: usize| seen[n].header("idempotency-key").unwrap();
    assert_ne!(key(0), key(1));
    assert_eq!(key(2), key(3));
    assert!(key(2).starts_with("mine"));
}

#[tokio::test]
async fn tries_end_and_the_key_to_repeat_with_is_shown() {
    let server = Fake::start(vec![Reply::Cut]).await;
    let bench = Bench::new();
    let output = bench.run(&server.url(), &["promote", "raw:a@1", "--to", "dev"]).await;
    check(&output, 1);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    let key = seen[0].header("idempotency-key").unwrap();
    let run = key.rsplit_once('-').unwrap().0;
    assert!(stderr(&output).contains(&format!("--idempotency-key {run}")), "{output:?}");
    // With what was shown, the same request goes out again.
    let again = ["promote", "raw:a@1", "--to", "dev", "--idempotency-key", run];
    bench.run(&server.url(), &again).await;
    assert_eq!(server.seen().last().unwrap().header("idempotency-key"), Some(key));
}

#[tokio::test]
async fn a_refusal_is_not_sent_again_and_comes_out_as_it_came_in() {
    let sent = problem(409, "held");
    let server = Fake::start(vec![json(409, &sent)]).await;
    let bench = Bench::new();
    let output = bench.run(&server.url(), &["promote", "raw:a@1", "--to", "dev", "--json"]).await;
    check(&output, 1);
    assert_eq!(document(&output), sent);
    let output = bench.run(&server.url(), &["promote", "raw:a@1", "--to", "dev"]).await;
    check(&output, 1);
    assert!(output.stdout.is_empty());
    assert!(stderr(&output).contains("ingot lift raw:a --in dev"), "{output:?}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn a_dry_run_that_would_be_refused_is_not_done() {
    let verdict = |verdict: &str| {
        value!({"verdict": verdict, "gates": [
        {"package": "raw:a", "gate": "hold", "verdict": verdict, "reason": "r"}]})
    };
    for (word, code) in [("pass", 0), ("fail", 1)] {
        let server = Fake::start(vec![json(200, &verdict(word))]).await;
        let args = ["promote", "raw:a@1", "--to", "dev", "--dry-run", "--json"];
        let output = Bench::new().run(&server.url(), &args).await;
        check(&output, code);
        assert_eq!(document(&output), verdict(word));
        assert!(server.seen()[0].target.ends_with("/promotions?dry_run=true"));
    }
}

#[tokio::test]
async fn an_upload_says_its_digest_and_length_and_is_sent_again_whole() {
    let content: Vec<u8> = (0..700_000_u32).flat_map(u32::to_le_bytes).collect();
    let release = value!({"package": "raw:a", "version": "1", "state": "published", "files": []});
    let server = Fake::start(vec![Reply::Cut, json(201, &release)]).await;
    let bench = Bench::new();
    let path = bench.put("a.zip", &content);
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let args = ["publish", "raw:a@1", &path, "--commit", commit, "--seal", "--json"];
    let output = bench.run(&server.url(), &args).await;
    check(&output, 0);
    assert_eq!(document(&output), release);
    let seen = server.seen();
    assert_eq!(seen.len(), 3, "the lost one, the one again, and a look at the release");
    assert_eq!(seen[2].target, "/api/v1/projects/main/packages/raw:a/releases/1");
    for request in &seen[..2] {
        assert_eq!(
            (request.method.as_str(), request.target.as_str()),
            ("PUT", "/raw/main/a/1/a.zip?seal=true")
        );
        assert_eq!(request.header("content-length"), Some(content.len().to_string().as_str()));
        assert_eq!(request.header("repr-digest"), Some(repr_digest(&content).as_str()));
        assert_eq!(request.header("ingot-commit"), Some(commit));
        assert!(request.body == content);
    }
}

#[tokio::test]
async fn of_several_files_the_last_one_publishes() {
    let release = value!({"package": "raw:a", "version": "1", "state": "published", "files": []});
    let server = Fake::start(vec![json(201, &release)]).await;
    let bench = Bench::new();
    let (one, two) = (bench.put("one.zip", b"1"), bench.put("two.zip", b"2"));
    let args = ["publish", "raw:a@1", &one, &format!("{two}=2.zip"), "--alias", "b7"];
    check(&bench.run(&server.url(), &args).await, 0);
    let targets: Vec<String> = server.seen().into_iter().map(|request| request.target).collect();
    let release = "/api/v1/projects/main/packages/raw:a/releases/1";
    let expected = [
        "/raw/main/a/1/one.zip?draft=true",
        "/raw/main/a/1/2.zip",
        release,
        &format!("{release}/aliases"),
    ];
    assert_eq!(targets, expected);
}

fn release_of(content: &[u8]) -> Value {
    let digest = format!("sha256:{}", hex::encode(sha2::Sha256::digest(content)));
    value!({"package": "raw:a", "version": "1", "files": [{"path": "a.zip", "digest": digest}]})
}

#[tokio::test]
async fn what_is_fetched_is_verified_and_then_named() {
    let content = b"the very bytes".to_vec();
    let headers = vec![
        ("repr-digest", repr_digest(&content)),
        ("ingot-release", "pkg:raw/a@1".to_owned()),
        ("ingot-commit", "abcdef0".to_owned()),
    ];
    let file = Reply::Answer { status: 200, headers, body: content.clone() };
    let server = Fake::start(vec![json(200, &release_of(&content)), file]).await;
    let bench = Bench::new();
    let output = bench.run(&server.url(), &["fetch", "raw:a@1", "--json"]).await;
    check(&output, 0);
    assert_eq!(std::fs::read(bench.dir().join("a.zip")).unwrap(), content);
    let document = document(&output);
    assert_eq!((&document["version"], &document["commit"]), (&value!("1"), &value!("abcdef0")));
    assert_eq!(bench.names(), ["a.zip"]);
}

#[tokio::test]
async fn a_channel_is_followed_to_what_is_pinned_there() {
    let content = b"the very bytes".to_vec();
    let to = Reply::Answer {
        status: 307,
        headers: vec![("location", "https://public.example.org/raw/main@prod/a/1/a.zip".into())],
        body: Vec::new(),
    };
    let headers = vec![("repr-digest", repr_digest(&content))];
    let file = Reply::Answer { status: 200, headers, body: content.clone() };
    let server = Fake::start(vec![to, file]).await;
    let bench = Bench::new();
    let output = bench.run(&server.url(), &["fetch", "raw:a", "--in", "prod", "-o", "got"]).await;
    check(&output, 0);
    assert_eq!(std::fs::read(bench.dir().join("got")).unwrap(), content);
    let targets: Vec<String> = server.seen().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/raw/main@prod/a", "/raw/main@prod/a/1/a.zip"]);
}

#[tokio::test]
async fn redirects_end() {
    let content = b"the very bytes".to_vec();
    let to = Reply::Answer {
        status: 307,
        headers: vec![("location", "/raw/main@prod/a/1/a.zip".to_owned())],
        body: Vec::new(),
    };
    let headers = vec![("repr-digest", repr_digest(&content))];
    let file = Reply::Answer { status: 200, headers, body: content };
    for (redirects, code) in [(3, 0), (4, 1)] {
        let mut replies = vec![to.clone(); redirects];
        replies.push(file.clone());
        let server = Fake::start(replies).await;
        let bench = Bench::new();
        check(&bench.run(&server.url(), &["fetch", "raw:a", "--in", "prod"]).await, code);
        assert_eq!(bench.dir().join("a.zip").exists(), code == 0);
    }
}

#[tokio::test]
async fn history_is_read_page_by_page() {
    let page = |seq: u64, next: Option<&str>| {
        let item = value!({"seq": seq, "kind": "promote", "package": "raw:a"});
        json(200, &value!({"items": [item], "next": next}))
    };
    let server = Fake::start(vec![page(1, Some("one")), page(2, None)]).await;
    let args = ["history", "prod", "raw:a", "--json"];
    let output = Bench::new().run(&server.url(), &args).await;
    check(&output, 0);
    assert_eq!(document(&output)["items"].as_array().unwrap().len(), 2);
    let seen = server.seen();
    assert!(seen[0].target.contains("package=raw%3Aa") && !seen[0].target.contains("after"));
    assert!(seen[1].target.contains("after=one"), "{}", seen[1].target);
    // Pages that go in circles are no history.
    let server = Fake::start(vec![page(1, Some("one"))]).await;
    let output = Bench::new().run(&server.url(), &args).await;
    check(&output, 1);
    assert_eq!(document(&output)["code"], "strange_answer");
}

#[tokio::test]
async fn without_a_channel_the_status_is_that_of_all() {
    let channels = value!({"items": [{"name": "dev"}, {"name": "prod"}], "next": null});
    let state = |name: &str| {
        json(
            200,
            &value!({"project": "main", "channel": name, "at": "2026-11-23T12:00:00Z",
            "seq": 1, "packages": []}),
        )
    };
    let replies = vec![json(200, &channels), state("dev"), state("prod")];
    let server = Fake::start(replies).await;
    let at = "2026-11-23T12:00:00+02:00";
    let output = Bench::new().run(&server.url(), &["status", "--at", at, "--json"]).await;
    check(&output, 0);
    let items = document(&output)["items"].clone();
    assert_eq!((&items[0]["channel"], &items[1]["channel"]), (&value!("dev"), &value!("prod")));
    let asked = "/api/v1/projects/main/channels/prod?at=2026-11-23T10%3A00%3A00Z";
    assert_eq!(server.seen()[2].target, asked);
}

#[tokio::test]
async fn a_file_nobody_knows_is_said_so_by_the_exit_code() {
    let server = Fake::start(vec![json(200, &value!({"matches": []}))]).await;
    let bench = Bench::new();
    let path = bench.put("stranger.zip", b"who am I");
    let output = bench.run(&server.url(), &["whatis", &path, "--json"]).await;
    check(&output, 1);
    assert_eq!(document(&output), value!({"matches": []}));
    let hex = hex::encode(sha2::Sha256::digest(b"who am I"));
    let asked = format!("/api/v1/projects/main/lookup?digest=sha256%3A{hex}");
    assert_eq!(server.seen()[0].target, asked);
}

#[tokio::test]
async fn a_token_is_made_once_even_when_the_answer_is_lost() {
    let server = Fake::start(vec![Reply::Cut]).await;
    let args = ["token", "create", "ci", "--allow", "read", "--json"];
    let output = Bench::new().run(&server.url(), &args).await;
    check(&output, 1);
    assert_eq!(document(&output)["code"], "no_answer");
    assert_eq!(server.seen().len(), 1);
    let asked: Value = serde_json::from_slice(&server.seen()[0].body).unwrap();
    assert_eq!(asked["grants"], value!([{"actions": ["read"], "packages": "*"}]));
}

/// Fetches from a server that does wrong: what was there stays, and nothing is left over.
async fn check_nothing_saved(reply: Reply, code: &str) {
    let server = Fake::start(vec![json(200, &release_of(b"the very bytes")), reply]).await;
    let bench = Bench::new();
    bench.put("a.zip", b"what was there before");
    let output = bench.run(&server.url(), &["fetch", "raw:a@1", "--json"]).await;
    check(&output, 1);
    assert_eq!(document(&output)["code"], code);
    assert_eq!(std::fs::read(bench.dir().join("a.zip")).unwrap(), b"what was there before");
    assert_eq!(bench.names(), ["a.zip"]);
}

#[tokio::test]
async fn no_wrong_byte_gets_the_name() {
    let right = vec![("repr-digest", repr_digest(b"the very bytes"))];
    let answer = |headers: &[(&'static str, String)], body: &[u8]| Reply::Answer {
        status: 200,
        headers: headers.to_vec(),
        body: body.to_vec(),
    };
    check_nothing_saved(answer(&right, b"the very bites"), "damaged").await;
    let wrong = vec![("repr-digest", repr_digest(b"the very bites"))];
    check_nothing_saved(answer(&wrong, b"the very bites"), "damaged").await;
    let short = Reply::Short { length: 14, headers: right, body: b"the very".to_vec() };
    check_nothing_saved(short, "cut_off").await;
}

#[tokio::test]
async fn where_no_server_is_the_next_step_is_said() {
    let closed = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let bench = Bench::new();
    let output = bench.run(&closed, &["status", "prod", "--json"]).await;
    check(&output, 1);
    assert_eq!(document(&output)["code"], "unreachable");
    let output = bench.run(&closed, &["status", "prod"]).await;
    assert!(stderr(&output).contains("INGOT_URL"), "{output:?}");
}

#[tokio::test]
async fn a_login_is_saved_only_when_the_token_is_good() {
    let whoami = value!({"name": "ci", "id": "0011aabb"});
    let replies = vec![json(401, &problem(401, "unauthenticated")), json(200, &whoami)];
    let server = Fake::start(replies).await;
    let bench = Bench::new();
    let saved = bench.dir().join(".config/ingot/credentials.json");
    for (code, is_saved) in [(1, false), (0, true)] {
        let mut command = bench.command(&server.url(), &["login"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(format!("{TOKEN}\n").as_bytes()).await.unwrap();
        drop(stdin);
        check(&child.wait_with_output().await.unwrap(), code);
        assert_eq!(saved.exists(), is_saved);
    }
    assert_eq!(saved.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // The next command finds it, and after logging out does not.
    bench.command(&server.url(), &["show", "raw:a"]).output().await.unwrap();
    check(&bench.command(&server.url(), &["logout"]).output().await.unwrap(), 0);
    bench.command(&server.url(), &["show", "raw:a"]).output().await.unwrap();
    let seen = server.seen();
    let bearer = format!("Bearer {TOKEN}");
    assert_eq!(seen[2].header("authorization"), Some(bearer.as_str()));
    assert_eq!(seen[3].header("authorization"), None);
}

#[tokio::test]
async fn a_token_file_that_others_may_read_sends_nothing() {
    let server = Fake::start(vec![json(200, &value!({}))]).await;
    let bench = Bench::new();
    let path = bench.put("token", TOKEN.as_bytes());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let mut command = bench.command(&server.url(), &["show", "raw:a"]);
    let output = command.env("INGOT_TOKEN_FILE", &path).output().await.unwrap();
    check(&output, 1);
    assert!(stderr(&output).contains("chmod 600"), "{output:?}");
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn usage_errors_have_their_own_exit_code() {
    let bench = Bench::new();
    for args in [
        &["promote", "raw:a@1"][..],
        &["fetch", "raw:a"],
        &["publish", "npm:@acme/ui@1", "x.tgz"],
        &["status", "prod", "--at", "tuesday"],
        &["whatis", "neither-file-nor-digest"],
    ] {
        let output = bench.run("http://127.0.0.1:9", args).await;
        check(&output, 2);
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
    check(&bench.run("ftp://127.0.0.1", &["status"]).await, 2);
    let mut command = bench.command("http://127.0.0.1:9", &["status"]);
    check(&command.env("INGOT_PROJECT", "No Project").output().await.unwrap(), 2);
}
