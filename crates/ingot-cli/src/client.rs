//! Requests to one Ingot server: where it is, who asks, and how often a lost answer is asked for
//! again.
//!
//! Every POST carries an `Idempotency-Key` made once for the command; every PUT is the same bytes
//! to the same name. So both may be sent again after a cut connection or a 502, 503 or 504, and
//! do nothing twice.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;

use crate::address::{DEFAULT_URL, is_loopback, server_key, server_url};
use crate::credentials::{self, Source, Token};
use crate::environment::{self, Environment};
use crate::failure::{Failure, Problem};

/// How often a request is sent at most.
pub(crate) const TRIES_MAX: u32 = 3;
/// The pause before the second try; it doubles with each further one.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause that a server's `Retry-After` can ask for.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer to a request without a body of note may take.
pub(crate) const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest JSON answer that is read, in bytes.
pub(crate) const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// An answer that is a success.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// The body; null when there was none.
    pub(crate) body: Value,
}

/// Whether a request whose answer was lost may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// It does nothing twice.
    Safe,
    /// Only while it certainly did not reach the server.
    Unsent,
}

/// One server, and who asks it.
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: Option<HeaderValue>,
    source: Source,
    run: String,
    posts: AtomicU32,
}

impl Client {
    /// The server and token that the environment names. `key` is the idempotency key of this
    /// command where the user gave one, to repeat an earlier command.
    pub(crate) fn new(environment: &Environment, key: Option<&str>) -> Result<Self, Failure> {
        let base = server_url(environment)?;
        let (token, source) = credentials::find(environment, &server_key(&base))?;
        Self::with_token(base, token, source, key)
    }

    /// As [`Self::new`], with the token at hand.
    pub(crate) fn with_token(
        base: Url,
        token: Option<Token>,
        source: Source,
        key: Option<&str>,
    ) -> Result<Self, Failure> {
        let failed =
            |error: &dyn std::fmt::Display| Failure::local(format!("cannot set up HTTP: {error}"));
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("ingot/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .tcp_nodelay(true);
        if base.scheme() == "http" {
            // The system's certificates are not looked at, nor missed where there are none.
            http = http.tls_certs_only([]);
        }
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|error| failed(&error))?;
        let authorization = token.map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .expect("a token is printable ASCII");
            value.set_sensitive(true);
            value
        });
        let run = match key {
            Some(key) => key.to_owned(),
            None => environment::random_id().map_err(|error| failed(&error))?,
        };
        Ok(Self { http, base, authorization, source, run, posts: AtomicU32::new(0) })
    }

    /// The server, as saved tokens and hints name it.
    pub(crate) fn server(&self) -> String {
        server_key(&self.base)
    }

    /// Where the token came from.
    pub(crate) fn token_source(&self) -> Source {
        self.source
    }

    /// The key by which this command can be repeated.
    pub(crate) fn idempotency_key(&self) -> &str {
        &self.run
    }

    /// The URL of a path below the server's root. Each segment is percent-encoded whole, so that
    /// `npm:@acme/ui` stays one segment.
    pub(crate) fn url(&self, segments: &[&str], query: &[(&str, &str)]) -> Url {
        let mut url = self.base.clone();
        url.path_segments_mut().expect("http URLs have a path").pop_if_empty().extend(segments);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        url
    }

    /// The URL of something of a project in the API.
    pub(crate) fn api(&self, project: &str, rest: &[&str], query: &[(&str, &str)]) -> Url {
        let mut segments = vec!["api", "v1", "projects", project];
        segments.extend_from_slice(rest);
        self.url(&segments, query)
    }

    /// A request with the token; the caller adds what else it needs, and passes it to
    /// [`Self::send`].
    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.http.request(method, url);
        match &self.authorization {
            Some(value) => request.header(AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// Asks for a document.
    pub(crate) async fn get(&self, url: Url) -> Result<Answer, Failure> {
        self.exchange(Method::GET, url, None, HeaderMap::new()).await
    }

    /// Changes something. The idempotency key is the command's own, and a number for each POST.
    pub(crate) async fn post(
        &self,
        url: Url,
        body: &Value,
        mut headers: HeaderMap,
    ) -> Result<Answer, Failure> {
        let key = format!("{}-{}", self.run, self.posts.fetch_add(1, Ordering::Relaxed));
        let key = HeaderValue::from_str(&key)
            .map_err(|_| Failure::Usage("the idempotency key must be printable ASCII".into()))?;
        headers.insert("idempotency-key", key);
        self.exchange(Method::POST, url, Some(body), headers).await
    }

    /// Makes something that would be made twice if asked for twice, such as a token.
    pub(crate) async fn post_once(&self, url: Url, body: &Value) -> Result<Answer, Failure> {
        let make = async || {
            let request = self.request(Method::POST, url.clone()).timeout(ANSWER_TIMEOUT);
            Ok(request.header(CONTENT_TYPE, "application/json").body(body.to_string()))
        };
        answer(self.send(Repeat::Unsent, make).await?).await
    }

    /// Says how something shall be.
    pub(crate) async fn put(&self, url: Url, body: &Value) -> Result<Answer, Failure> {
        self.exchange(Method::PUT, url, Some(body), HeaderMap::new()).await
    }

    /// Ends something.
    pub(crate) async fn delete(&self, url: Url) -> Result<Answer, Failure> {
        let make = async || Ok(self.request(Method::DELETE, url.clone()).timeout(ANSWER_TIMEOUT));
        answer(self.send(Repeat::Unsent, make).await?).await
    }

    async fn exchange(
        &self,
        method: Method,
        url: Url,
        body: Option<&Value>,
        headers: HeaderMap,
    ) -> Result<Answer, Failure> {
        let make = async || {
            let mut request = self
                .request(method.clone(), url.clone())
                .headers(headers.clone())
                .timeout(ANSWER_TIMEOUT);
            if let Some(body) = body {
                request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
            }
            Ok(request)
        };
        answer(self.send(Repeat::Safe, make).await?).await
    }

    /// Sends a request, at most [`TRIES_MAX`] times, until there is an answer that another try
    /// would not better. An answer that is no success is a failure.
    pub(crate) async fn send(
        &self,
        repeat: Repeat,
        make: impl AsyncFn() -> Result<RequestBuilder, Failure>,
    ) -> Result<Response, Failure> {
        let mut pause = PAUSE;
        let mut reached = false;
        for left in (0..TRIES_MAX).rev() {
            let may_repeat = left > 0;
            match make().await?.send().await {
                Ok(response) if is_temporary(response.status()) => {
                    reached = true;
                    if !may_repeat || repeat == Repeat::Unsent {
                        return refusal(response).await;
                    }
                    pause = asked_pause(&response).unwrap_or(pause).min(PAUSE_MAX);
                }
                Ok(response) if is_success(response.status()) => return Ok(response),
                Ok(response) => return refusal(response).await,
                Err(error) => {
                    let unsent = error.is_connect();
                    reached |= !unsent;
                    if !may_repeat || !(unsent || repeat == Repeat::Safe) {
                        return Err(self.no_answer(&error, reached, repeat));
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        unreachable!("the last try returns")
    }

    fn no_answer(&self, error: &reqwest::Error, reached: bool, repeat: Repeat) -> Failure {
        let server = self.server();
        if let Some(failure) = cause::<Failure>(error) {
            return failure.clone();
        }
        let reason = innermost(error);
        if error.is_connect() && !reached {
            return Failure::Failed {
                code: "unreachable",
                detail: format!("no server answers at {server}: {reason}"),
                hint: Some(unreachable_hint(&server, &reason)),
            };
        }
        Failure::Failed {
            code: "no_answer",
            detail: format!("the connection to {server} was lost before it answered: {reason}"),
            hint: Some(match repeat {
                Repeat::Safe => format!(
                    "if this changes something, it may or may not have happened; to ask for the \
                     same answer, repeat the command with\n  --idempotency-key {}",
                    self.run
                ),
                Repeat::Unsent => {
                    "it may or may not have happened; look before you repeat it".to_owned()
                }
            }),
        }
    }
}

/// Statuses that say "not now": a proxy without its server, a server without its store.
fn is_temporary(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    )
}

/// A redirect is for the caller to follow: only fetching asks for one.
fn is_success(status: StatusCode) -> bool {
    status.is_success() || status.is_redirection()
}

fn asked_pause(response: &Response) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

async fn refusal<T>(response: Response) -> Result<T, Failure> {
    let status = response.status().as_u16();
    let body = text(response).await.unwrap_or_default();
    Err(Failure::Refused(Box::new(Problem::of_answer(status, &body))))
}

async fn text(mut response: Response) -> Result<String, Failure> {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => add(&mut body, &chunk, ANSWER_BYTES_MAX)?,
            Ok(None) => break,
            Err(error) => {
                return Err(Failure::Failed {
                    code: "no_answer",
                    detail: format!("the answer was cut off: {}", innermost(&error)),
                    hint: None,
                });
            }
        }
    }
    String::from_utf8(body).map_err(|_| Failure::strange("the answer is not text"))
}

fn add(body: &mut Vec<u8>, chunk: &[u8], size_bytes_max: usize) -> Result<(), Failure> {
    if body.len() + chunk.len() > size_bytes_max {
        return Err(Failure::strange("the answer is too long to be one of Ingot's"));
    }
    body.extend_from_slice(chunk);
    Ok(())
}

/// Reads the answer's document.
pub(crate) async fn answer(response: Response) -> Result<Answer, Failure> {
    let status = response.status();
    if status.is_redirection() {
        return Err(Failure::strange(format!("the server answers with a redirect ({status})")));
    }
    let text = text(response).await?;
    if text.is_empty() {
        return Ok(Answer { status, body: Value::Null });
    }
    let body = serde_json::from_str(&text)
        .map_err(|_| Failure::strange(format!("the answer (HTTP {status}) is not JSON")))?;
    Ok(Answer { status, body })
}

/// The last error of the chain: the one that says what happened.
pub(crate) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut at = error;
    while let Some(source) = at.source() {
        at = source;
    }
    at.to_string()
}

fn cause<'a, T: std::error::Error + 'static>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a T> {
    let mut at = Some(error);
    while let Some(error) = at {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        at = error.source();
    }
    None
}

fn unreachable_hint(server: &str, reason: &str) -> String {
    let lower = reason.to_ascii_lowercase();
    if lower.contains("certificate") || lower.contains("issuer") {
        return "the server's certificate is not one that this machine trusts; \
                SSL_CERT_FILE can name a file with its authority's"
            .to_owned();
    }
    if server == DEFAULT_URL {
        return "is it running? `ingot serve` starts one; \
                if it is elsewhere, set INGOT_URL to its address"
            .to_owned();
    }
    format!("is it running, and is {server} its address? INGOT_URL says so")
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Usage(detail) | Failure::Failed { detail, .. } => f.write_str(detail),
            Failure::Refused(problem) => f.write_str(problem.detail()),
        }
    }
}
impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(base: &str) -> Client {
        crate::install_crypto();
        let url = base.parse().unwrap();
        Client::with_token(url, None, Source::Nowhere, Some("key")).unwrap()
    }

    #[test]
    fn a_package_is_one_segment_of_the_path() {
        let check = |base: &str, package: &str, expected: &str| {
            let url = client(base).api("main", &["packages", package], &[("at", "a+b c")]);
            assert_eq!(url.as_str(), expected);
        };
        check(
            "http://127.0.0.1:8470",
            "npm:@acme/ui",
            "http://127.0.0.1:8470/api/v1/projects/main/packages/npm:@acme%2Fui?at=a%2Bb+c",
        );
        check(
            "http://127.0.0.1:8470/below/",
            "raw:a",
            "http://127.0.0.1:8470/below/api/v1/projects/main/packages/raw:a?at=a%2Bb+c",
        );
    }

    #[test]
    fn an_answer_has_a_longest_length() {
        let mut body = Vec::new();
        assert!(add(&mut body, b"123", 5).is_ok());
        assert!(add(&mut body, b"45", 5).is_ok());
        assert!(add(&mut body, b"6", 5).is_err());
        assert_eq!(body, b"12345");
    }
}
