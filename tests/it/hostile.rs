//! Every row of the hostile-input table that concerns the server, raw and the API, over a raw
//! socket. The rows keep their numbers (H1 …). Where the table and the contract name different
//! statuses the contract wins; each such place says so.
//!
//! Not here: H14, H15, H35–H41, H43–H53, H55, H70–H72, H76–H78, H87 (other formats, and doors that do
//! not exist yet); H79, H81–H84 (failing clocks and stores: the fault suite); H85 (replicas); H86
//! and H11 (in `races.rs` and `api/drafts.rs`); H74 (in `api/files.rs`, where the contract says
//! 400); H89, which would measure time.

mod bodies;
mod content;
mod framing;
mod full;
mod paths;
mod secrets;
mod slow;
mod zips;

use std::path::Path;

use ingot_tests::archive::tiny;
use ingot_tests::client::{Client, raw};
use ingot_tests::server::{Options, Server};
use ingot_tests::wire::{Reply, exchange, request};
use serde_json::Value;

/// "RSS growth < 64 MiB", on every row.
const RSS_GROWTH_KIB_MAX: u64 = 64 * 1024;

/// A server that is being attacked, and what must hold whatever is sent to it.
struct Victim {
    server: Server,
    admin: Client,
    token: String,
    rss_kib: u64,
}

impl Victim {
    async fn new() -> Self {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Self {
        let server = Server::start_with(options).await;
        let (admin, token) = (server.admin(), server.admin_token());
        // One of everything first, so that what is loaded once is not taken for growth.
        admin.put(&raw("known", "1", "known.zip"), &tiny(1, 300)).await.expect(201);
        admin.get(&raw("known", "1", "known.zip")).await.expect(200);
        admin.status("dev").await;
        let rss_kib = server.rss_kib();
        Self { server, admin, token, rss_kib }
    }

    /// Sends one request with the admin token and exactly this target.
    async fn send(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Reply {
        let bearer = format!("Bearer {}", self.token);
        let mut all = vec![("Authorization", bearer.as_str())];
        all.extend(headers);
        exchange(self.server.address(), &request(method, target, &all, body)).await
    }

    /// What must hold once all rows were played. Takes the server down with it.
    async fn unharmed(mut self) {
        assert!(self.server.is_alive(), "the server is gone");
        // Nothing of what was refused is there, and its names are free.
        self.admin.get("/readyz").await.expect(200);
        let (path, zip) = (raw("after", "1", "after.zip"), tiny(2, 300));
        self.admin.put(&path, &zip).await.expect(201);
        assert_eq!(self.admin.get(&path).await.expect(200).body, zip);
        assert_eq!(
            self.admin.get(&raw("known", "1", "known.zip")).await.expect(200).body,
            tiny(1, 300)
        );
        let grown = self.server.rss_kib().saturating_sub(self.rss_kib);
        assert!(grown < RSS_GROWTH_KIB_MAX, "it grew by {grown} KiB");
        let log = self.server.log();
        assert!(!log.contains("panicked at"), "it panicked:\n{log}");
        assert!(!log.contains(&self.token[8..]), "the log holds a token");
        // "no file outside the data dir": its working directory, home and temporary directory
        // are known, and untouched.
        for place in ["cwd", "home", "tmp"] {
            assert_empty(&self.server.surroundings().join(place));
        }
        self.server.stop();
    }
}

fn assert_empty(dir: &Path) {
    let found: Vec<_> = dir.read_dir().expect("a directory").flatten().collect();
    assert!(found.is_empty(), "written outside the data directory: {found:?}");
}

/// A refusal by Ingot itself: one of these statuses, and a problem document.
#[track_caller]
fn refused(row: &str, reply: &Reply, statuses: &[u16]) -> Value {
    let status = reply.status();
    assert!(
        status.is_some_and(|s| statuses.contains(&s)),
        "{row}: {statuses:?}: {}",
        reply.shown()
    );
    let kind = reply.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/problem+json"), "{row}: {}", reply.shown());
    let problem: Value = serde_json::from_slice(reply.body()).expect("JSON");
    for member in ["code", "title", "detail", "request_id"] {
        assert!(problem[member].is_string(), "{row}: no {member}: {problem}");
    }
    problem
}

/// A refusal that may come from the HTTP library below Ingot, which has no body, or be nothing
/// but the end of the connection.
#[track_caller]
fn turned_away(row: &str, reply: &Reply, statuses: &[u16]) {
    match reply.status() {
        None => assert!(reply.closed, "{row}: neither an answer nor an end: {}", reply.shown()),
        Some(status) => assert!(statuses.contains(&status), "{row}: {}", reply.shown()),
    }
    assert!(reply.answers() <= 1, "{row}: answered twice: {}", reply.shown());
}
