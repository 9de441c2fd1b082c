//! HTTP as a client speaks it, and answers that say what they were when a test fails.

use std::sync::Once;
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// How long a request may take before the test gives up on it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(180);
/// The project that a first start makes.
pub const PROJECT: &str = "main";

/// An answer, with the request that it belongs to.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
    /// What was asked: method and path.
    pub asked: String,
}

impl Answer {
    /// Panics unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.shown());
        self
    }

    /// Panics unless the status is one of these; for answers the contract leaves open.
    #[track_caller]
    pub fn expect_any(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "expected one of {statuses:?}: {}", self.shown());
        self
    }

    /// Panics unless this is the problem document of a refusal with this status and code
    /// (design section 3: "errors RFC 9457 `application/problem+json` with a stable `code`").
    #[track_caller]
    pub fn refused(self, status: u16, code: &str) -> Value {
        let problem = self.expect(status).problem();
        assert_eq!(problem["code"], code, "{problem}");
        problem
    }

    /// The problem document; panics when it is none, or lacks a member the contract lists.
    #[track_caller]
    pub fn problem(&self) -> Value {
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{}", self.shown());
        let problem = self.json();
        for member in ["type", "title", "detail", "code", "error", "request_id"] {
            assert!(problem[member].is_string(), "no {member}: {}", self.shown());
        }
        assert_eq!(problem["status"], self.status, "{}", self.shown());
        problem
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(value) => value,
            Err(error) => panic!("not JSON ({error}): {}", self.shown()),
        }
    }

    /// A header's value; panics where it occurs twice, which no header here may.
    #[track_caller]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?;
        assert!(values.next().is_none(), "{name} twice: {}", self.shown());
        Some(first.to_str().expect("header values are text"))
    }

    /// A header's value; panics when it is missing.
    #[track_caller]
    pub fn need(&self, name: &str) -> &str {
        self.header(name).unwrap_or_else(|| panic!("no {name}: {}", self.shown()))
    }

    /// The commit that made the change (`Ingot-Seq`: "answers to changes carry" it).
    #[track_caller]
    pub fn seq(&self) -> u64 {
        self.need("ingot-seq").parse().expect("Ingot-Seq is a number")
    }

    /// Everything about the answer, for messages.
    pub fn shown(&self) -> String {
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(4096)]);
        format!("{} -> {} {:?}\n{body}", self.asked, self.status, self.headers)
    }
}

/// A client of one server. Follows no redirects; keeps connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: String,
    authorization: Option<String>,
}

fn http() -> reqwest::Client {
    static PROVIDER: Once = Once::new();
    // The HTTP client wants a provider even for plain HTTP; another test may have set it.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(REQUEST_TIMEOUT)
        .no_proxy()
        .build()
        .expect("an HTTP client")
}

impl Client {
    /// A client that shows this token as Bearer, or none.
    pub fn new(base: &str, token: Option<&str>) -> Self {
        let authorization = token.map(|token| format!("Bearer {token}"));
        Self { http: http(), base: base.to_owned(), authorization }
    }

    /// The same client, showing its token as the password of some user instead.
    #[must_use]
    pub fn basic(&self, user: &str) -> Self {
        let bearer = self.authorization.as_deref().and_then(|text| text.strip_prefix("Bearer "));
        let pair = format!("{user}:{}", bearer.expect("has a token"));
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        Self { authorization: Some(format!("Basic {encoded}")), ..self.clone() }
    }

    /// The same client for another address, after a restart.
    #[must_use]
    pub fn at(&self, base: &str) -> Self {
        Self { base: base.to_owned(), ..self.clone() }
    }

    /// What the `Authorization` header says.
    pub fn authorization(&self) -> &str {
        self.authorization.as_deref().expect("has a token")
    }

    /// Sends a request; the error is one of the connection, so its outcome is unknown.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Result<Answer, reqwest::Error> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let asked = format!("{method} {path}");
        let mut request = self.http.request(method, format!("{}{path}", self.base)).body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Answer { status, headers, body: answer.bytes().await?, asked })
    }

    /// Sends a request and panics if no answer comes.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<reqwest::Body>,
    ) -> Answer {
        match self.try_send(method, path, headers, body).await {
            Ok(answer) => answer,
            Err(error) => panic!("{method} {path}: no answer: {error:?}"),
        }
    }

    /// GET of a file, which is hashed as it comes and not kept: its size and digest.
    pub async fn download(&self, path: &str) -> (u64, String) {
        use sha2::Digest as _;
        let mut request = self.http.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let mut answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200, "GET {path}");
        let (mut size, mut hash) = (0, sha2::Sha256::new());
        while let Some(piece) = answer.chunk().await.expect("the whole body") {
            size += piece.len() as u64;
            hash.update(&piece);
        }
        (size, format!("sha256:{}", hex::encode(hash.finalize())))
    }

    /// GET; the error is one of the connection.
    pub async fn try_get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        self.try_send("GET", path, &[], "").await
    }

    /// GET.
    pub async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// GET with headers.
    pub async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, "").await
    }

    /// PUT.
    pub async fn put(&self, path: &str, bytes: &[u8]) -> Answer {
        self.send("PUT", path, &[], bytes.to_vec()).await
    }

    /// PUT with headers.
    pub async fn put_with(&self, path: &str, bytes: &[u8], headers: &[(&str, &str)]) -> Answer {
        self.send("PUT", path, headers, bytes.to_vec()).await
    }

    /// POST of JSON.
    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_with(path, body, &[]).await
    }

    /// POST of JSON with headers.
    pub async fn post_with(&self, path: &str, body: Value, headers: &[(&str, &str)]) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend(headers);
        self.send("POST", path, &all, body.to_string()).await
    }

    /// Every row of a list, page after page ("list {"items":[…],"next":"cursor or null"}").
    pub async fn list(&self, path: &str, limit: usize) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let joint = if path.contains('?') { '&' } else { '?' };
            let cursor =
                if after.is_empty() { String::new() } else { format!("&after={}", encode(&after)) };
            let page = self.get(&format!("{path}{joint}limit={limit}{cursor}")).await.expect(200);
            let shown = page.shown();
            let page = page.json();
            let items = page["items"].as_array().unwrap_or_else(|| panic!("no items: {shown}"));
            assert!(items.len() <= limit, "more than asked for: {shown}");
            rows.extend(items.iter().cloned());
            match &page["next"] {
                Value::Null => return rows,
                Value::String(next) => {
                    assert!(!items.is_empty(), "an empty page with a next one: {shown}");
                    assert_ne!(&after, next, "the cursor does not move: {shown}");
                    after = next.clone();
                }
                other => panic!("next is neither a string nor null: {other}"),
            }
        }
    }

    /// Publishes one file of a raw release, with the commit it was built from where given.
    pub async fn publish(
        &self,
        package: &str,
        version: &str,
        file: &str,
        bytes: &[u8],
        commit: Option<&str>,
    ) -> Answer {
        let headers: Vec<_> = commit.iter().map(|sha| ("ingot-commit", *sha)).collect();
        self.put_with(&raw(package, version, file), bytes, &headers).await
    }

    /// Promotes releases, given as (`raw:package`, ref).
    pub async fn promote(&self, channel: &str, releases: &[(&str, &str)]) -> Answer {
        self.post(&api(&format!("/channels/{channel}/promotions")), promotion(releases)).await
    }

    /// Rolls packages back to what stood before.
    pub async fn roll_back(&self, channel: &str, package: &str, to: Option<&str>) -> Answer {
        let mut row = json!({"package": package});
        if let Some(to) = to {
            row["to"] = to.into();
        }
        let body = json!({"packages": [row], "reason": "a test rolls back"});
        self.post(&api(&format!("/channels/{channel}/rollbacks")), body).await
    }

    /// Holds a package in a channel, or lifts it: `verb` is `holds` or `lifts`.
    pub async fn hold_or_lift(&self, verb: &str, channel: &str, package: &str) -> Answer {
        let body = json!({"packages": [package], "reason": "a test"});
        self.post(&api(&format!("/channels/{channel}/{verb}")), body).await
    }

    /// What stands in a channel.
    pub async fn status(&self, channel: &str) -> Value {
        self.get(&api(&format!("/channels/{channel}"))).await.expect(200).json()
    }

    /// What a channel says of one package.
    pub async fn standing(&self, channel: &str, package: &str) -> Option<Value> {
        let status = self.status(channel).await;
        let rows = status["packages"].as_array().expect("packages").clone();
        rows.into_iter().find(|row| row["package"] == package)
    }

    /// The version that is current, if any.
    pub async fn current(&self, channel: &str, package: &str) -> Option<String> {
        let row = self.standing(channel, package).await?;
        row["version"].as_str().map(str::to_owned)
    }

    /// All transitions of a package in a channel, oldest first.
    pub async fn transitions(&self, channel: &str, package: &str) -> Vec<Value> {
        let path = api(&format!("/channels/{channel}/transitions?package={}", encode(package)));
        let mut rows = self.list(&path, 100).await;
        rows.sort_by_key(|row| row["seq"].as_u64());
        rows
    }

    /// One release.
    pub async fn release(&self, package: &str, reference: &str) -> Answer {
        self.get(&release_path(package, reference)).await
    }
}

/// The body of a promotion of releases.
pub fn promotion(releases: &[(&str, &str)]) -> Value {
    let rows: Vec<_> = releases.iter().map(|(p, r)| json!({"package": p, "ref": r})).collect();
    json!({"releases": rows, "reason": "a test promotes"})
}

/// The path of a raw file in the full view.
pub fn raw(package: &str, version: &str, file: &str) -> String {
    format!("/raw/{PROJECT}/{package}/{version}/{file}")
}

/// A path below the project in the API.
pub fn api(rest: &str) -> String {
    format!("/api/v1/projects/{PROJECT}{rest}")
}

/// The API path of a release; package and reference are one percent-encoded segment each.
pub fn release_path(package: &str, reference: &str) -> String {
    api(&format!("/packages/{}/releases/{}", encode(package), encode(reference)))
}

/// Percent-encodes all but unreserved characters (RFC 3986).
pub fn encode(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
