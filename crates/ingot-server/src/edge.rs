//! The one entry: what every request goes through, whatever it asks for.
//!
//! *Admission* looks at the head alone: limits, one parse of the path, the token, what the
//! request means, and whether the token may. It runs before any body is read, and for a client
//! that sent `Expect: 100-continue` before it is told to go on. *Answering* comes after.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::header::{self, HeaderMap};
use ingot_core::format::{
    Body as BodyKind, Call, Dialect, Format, Method, Request as FormatRequest, Wording,
};
use ingot_core::grant::Principal;
use ingot_core::{Code, ProjectName, Refusal, ViewName};
use ingot_registry::{Authorized, Publish, Read, Registry, Request};

use crate::api::{self, Match};
use crate::body::Body;
use crate::config::{Cidr, Config, ConfigError, base_url};
use crate::credentials;
use crate::limits;
use crate::metrics::Metrics;
use crate::path::{self, Policy};

/// How long a request with `Ingot-Min-Seq` waits for that state.
pub const MIN_SEQ_PATIENCE: Duration = Duration::from_secs(5);

/// What all requests of a process share.
pub struct Edge {
    /// The store.
    pub registry: Registry,
    /// The configuration.
    pub config: Config,
    /// The figures.
    pub metrics: Arc<Metrics>,
    /// `server.public_url`, without a trailing slash.
    public_url: Option<String>,
    /// The scheme and address listened on, for a Host that is not to be believed.
    listening: String,
    proxies: Vec<Cidr>,
    openapi: bytes::Bytes,
    ids: AtomicU64,
    ids_prefix: String,
}

/// What a request turned out to ask for, once its head was looked at.
pub enum Admitted {
    /// `/livez`.
    Live,
    /// `/readyz`.
    Ready,
    /// `/metrics`.
    Metrics,
    /// A route of the API.
    Api(Match, Principal),
    /// A call of a format.
    Format {
        /// The format.
        format: Arc<dyn Format>,
        /// What it means.
        call: Box<Call>,
        /// The proof that it may.
        permit: Permit,
        /// Who asks.
        principal: Principal,
        /// The path as asked, as the title of listings.
        asked: String,
    },
}

/// The proof that goes with a call.
pub enum Permit {
    /// Reading.
    Read(Authorized<Read>),
    /// Publishing.
    Publish(Authorized<Publish>),
    /// The call shows nothing of the store and changes nothing.
    Nothing,
}

/// What the log and the figures need to know of a request, refused or not.
#[derive(Clone)]
pub struct Noted {
    /// The door, out of a closed set.
    pub door: &'static str,
    /// Who asks; `-` until that is known.
    pub by: String,
    /// How refusals are told.
    pub dialect: Dialect,
    /// A token found where it must not be, to be revoked.
    pub leaked: Option<String>,
}

impl Edge {
    /// Puts together what requests share. `listening` is `http://127.0.0.1:8470`.
    pub fn new(
        registry: Registry,
        config: Config,
        listening: String,
        ids_prefix: String,
    ) -> Result<Self, ConfigError> {
        let mut doors = crate::formats::names();
        doors.extend(["api", "system"]);
        Ok(Self {
            public_url: base_url(&config.server.public_url)?,
            proxies: config
                .server
                .trusted_proxies
                .iter()
                .map(|range| Cidr::parse(range))
                .collect::<Result<_, _>>()?,
            metrics: Arc::new(Metrics::new(&doors)),
            openapi: api::openapi::document().to_string().into(),
            registry,
            config,
            listening,
            ids: AtomicU64::new(1),
            ids_prefix,
        })
    }

    /// A new request id: unique in the process, and with its random prefix among all.
    pub fn request_id(&self) -> String {
        format!("{}-{}", self.ids_prefix, self.ids.fetch_add(1, Ordering::Relaxed))
    }

    /// The document at `/api/v1/openapi.json`.
    pub fn openapi(&self) -> bytes::Bytes {
        self.openapi.clone()
    }

    /// What URLs in documents start with: the configured one, or on a loopback listener the
    /// request's loopback Host as it came, since npm sends its token only to that very host.
    pub fn base_url(&self, headers: &HeaderMap) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        match host.filter(|host| is_loopback_host(host)) {
            Some(host) => {
                let scheme = self.listening.split("://").next().unwrap_or("http");
                format!("{scheme}://{host}")
            }
            None => self.listening.clone(),
        }
    }

    /// The path that stands before every path of ours in URLs, from `server.public_url`.
    pub fn base_path(&self) -> &str {
        let rest = self.public_url.as_deref().and_then(|url| url.split_once("://"));
        rest.and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..])).unwrap_or("")
    }

    /// The client's address: the rightmost hop that is not a proxy of ours.
    pub fn client_address(&self, head: &RequestHead) -> String {
        let Some(peer) = head.peer_addr.as_ref().map(SocketAddr::ip) else { return "-".into() };
        let trusted = |address| self.proxies.iter().any(|range| range.contains(address));
        let mut client = peer;
        let hops = head.headers().get_all("x-forwarded-for").filter_map(|hop| hop.to_str().ok());
        let mut hops: Vec<&str> = hops.flat_map(|hops| hops.split(',')).map(str::trim).collect();
        while trusted(client) {
            match hops.pop().and_then(|hop| hop.parse().ok()) {
                Some(hop) => client = hop,
                None => break,
            }
        }
        client.to_string()
    }

    /// Looks at a request's head, and says what it asks for or why not.
    pub fn admit(&self, head: &RequestHead, noted: &mut Noted) -> Result<Admitted, Refusal> {
        let target = head.uri.to_string();
        if let Some(secret) = credentials::leaked(&target) {
            noted.leaked = Some(secret.hash());
            return Err(Refusal::new(
                Code::BadRequest,
                "the URL holds a token: URLs end up in logs, so that token is revoked if it was \
                 valid; send tokens in the Authorization header only",
            ));
        }
        limits::check_head(head.method.as_str(), &target, head.headers())?;
        let raw = head.uri.path();
        let policy = path::policy_of(raw);
        let target = path::parse(raw, policy)?;
        let first = target.segments.first().map_or("", String::as_str);
        if policy == Policy::Format
            && let Some(format) = self.registry.find_format(first)
        {
            let format = Arc::clone(format);
            (noted.door, noted.dialect) = (format.name(), format.dialect());
            if accepts_problems(head.headers()) {
                noted.dialect.wording = Wording::Problem;
            }
            let principal = self.principal(head, target.segments.get(1), noted)?;
            return self.admit_format(head, format, &target, principal);
        }
        if policy == Policy::Api {
            noted.door = "api";
            let project = match target.segments.as_slice() {
                [_, _, projects, project, ..] if projects == "projects" => Some(project),
                _ => None,
            };
            let principal = self.principal(head, project, noted)?;
            refuse_other_sites(head, self.public_url.as_deref())?;
            let query = path::parse_query(head.uri.query().unwrap_or(""))?;
            let found = api::find(head.method.as_str(), &target, query, &principal)?;
            return Ok(Admitted::Api(found, principal));
        }
        let system = match (first, target.segments.len(), target.directory) {
            ("livez", 1, false) => Admitted::Live,
            ("readyz", 1, false) => Admitted::Ready,
            ("metrics", 1, false) => Admitted::Metrics,
            _ => return Err(self.nothing_at_root()),
        };
        noted.door = "system";
        if !matches!(head.method.as_str(), "GET" | "HEAD") {
            return Err(limits::method_not_allowed(&["GET", "HEAD"]));
        }
        Ok(system)
    }

    fn nothing_at_root(&self) -> Refusal {
        let formats = crate::formats::names();
        Refusal::new(
            Code::NotFound,
            format!(
                "there is nothing here; packages are under /{}/<project>/, the API under /api/v1 \
                 (see /api/v1/openapi.json)",
                formats.join("/<project>/, /")
            ),
        )
    }

    /// Who asks. Without a token: nobody, with what everybody may do in the project asked for.
    fn principal(
        &self,
        head: &RequestHead,
        project: Option<&String>,
        noted: &mut Noted,
    ) -> Result<Principal, Refusal> {
        let now = crate::store::now();
        let principal = match credentials::extract(head.headers())? {
            Some(secret) => self.registry.authenticate(&secret.hash(), now)?,
            None => {
                let name = project.map(|text| text.split('@').next().unwrap_or(text));
                let project = name.and_then(|name| ProjectName::new(name).ok());
                self.registry.anonymous(project.as_ref(), now)
            }
        };
        noted.by.clone_from(&principal.name);
        Ok(principal)
    }

    fn admit_format(
        &self,
        head: &RequestHead,
        format: Arc<dyn Format>,
        target: &path::Target,
        principal: Principal,
    ) -> Result<Admitted, Refusal> {
        let query = path::parse_query(head.uri.query().unwrap_or(""))?;
        let nothing = || Refusal::new(Code::NotFound, "there is nothing here");
        // Nobody learns the shape of what is private, not even from how a bad path is refused.
        let hide = |refusal: Refusal| match refusal.code() {
            Code::NotFound | Code::Invalid | Code::Reserved if principal.is_anonymous() => {
                Refusal::new(Code::Unauthenticated, "this needs a token")
            }
            _ => refusal,
        };
        let view: ViewName = match target.segments.get(1).map(|text| text.parse()) {
            Some(Ok(view)) => view,
            Some(Err(_)) | None => return Err(hide(nothing())),
        };
        let method = match head.method.as_str() {
            "GET" | "HEAD" => Method::Get,
            "PUT" => Method::Put,
            "POST" => Method::Post,
            "DELETE" => Method::Delete,
            _ => Method::Options,
        };
        let headers = head.headers();
        let find = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
        let request = FormatRequest {
            method,
            view: &view,
            segments: &target.segments[2..],
            directory: target.directory,
            query: &query,
            header: &find,
        };
        let call = self.registry.parse(format.name(), &request);
        let read_anything = principal.may(ingot_core::grant::Right::Read, &view, None);
        let call = call.map_err(|refusal| if read_anything { refusal } else { hide(refusal) })?;
        let permit = self.permit(&call, &principal, &view)?;
        let asked = format!("/{}", target.segments.join("/"));
        Ok(Admitted::Format { format, call: Box::new(call), permit, principal, asked })
    }

    /// The coarse right that each call needs, before its body is read. One exhaustive match: a
    /// new call does not compile until it has its right.
    fn permit(
        &self,
        call: &Call,
        principal: &Principal,
        view: &ViewName,
    ) -> Result<Permit, Refusal> {
        let registry = &self.registry;
        match call {
            Call::Fetch(_) | Call::Render(_) | Call::Checksum { .. } => {
                Ok(Permit::Read(registry.authorize(principal, view, None)?))
            }
            Call::Submit(submission) => match submission.body {
                BodyKind::File | BodyKind::Packed | BodyKind::Statement => {
                    let package = submission.package.as_ref();
                    Ok(Permit::Publish(registry.authorize(principal, view, package)?))
                }
                BodyKind::Question => Ok(Permit::Read(registry.authorize(principal, view, None)?)),
                BodyKind::Credential => Ok(Permit::Nothing),
            },
            Call::Act(_) => Ok(Permit::Publish(registry.authorize(principal, view, None)?)),
            Call::Identity if principal.is_anonymous() => {
                Err(Refusal::new(Code::Unauthenticated, "this needs a token"))
            }
            Call::Identity | Call::Reply(_) => Ok(Permit::Nothing),
        }
    }

    /// How large the body of what was admitted may be, in bytes.
    pub fn limit_bytes(&self, admitted: &Admitted) -> u64 {
        let settings = &self.config.server;
        match admitted {
            Admitted::Format { call, .. } => match &**call {
                Call::Submit(submission) => match submission.body {
                    BodyKind::File | BodyKind::Packed => settings.upload_bytes_max,
                    BodyKind::Statement | BodyKind::Question | BodyKind::Credential => {
                        settings.json_bytes_max
                    }
                },
                _ => settings.json_bytes_max,
            },
            _ => settings.json_bytes_max,
        }
    }

    /// What was admitted, answered.
    pub async fn answer(
        &self,
        head: &RequestHead,
        admitted: Admitted,
        body: &mut Body,
        request_id: &str,
    ) -> Result<HttpResponse, Refusal> {
        match admitted {
            Admitted::Live => Ok(HttpResponse::Ok().content_type("text/plain").body("ok\n")),
            Admitted::Ready => {
                self.registry.readiness()?;
                Ok(HttpResponse::Ok().content_type("text/plain").body("ready\n"))
            }
            Admitted::Metrics => Ok(HttpResponse::Ok()
                .content_type("text/plain; version=0.0.4")
                .body(self.metrics.render())),
            Admitted::Api(found, principal) => {
                if let Some(project) = found.project() {
                    self.wait_for_min_seq(head.headers(), &project, &principal).await?;
                }
                api::answer(self, head, found, principal, body, request_id).await
            }
            Admitted::Format { format, call, permit, principal, asked } => {
                let project = match &permit {
                    Permit::Read(proof) => Some(proof.project()),
                    Permit::Publish(proof) => Some(proof.project()),
                    Permit::Nothing => None,
                };
                if let Some(project) = project {
                    self.wait_for_min_seq(head.headers(), project, &principal).await?;
                }
                let asker = crate::calls::Asker { head, principal: &principal, request_id };
                crate::calls::answer(self, &asker, &*format, *call, permit, &asked, body).await
            }
        }
    }

    /// `Ingot-Min-Seq`: the answer is given from a state at least that new, or not at all.
    async fn wait_for_min_seq(
        &self,
        headers: &HeaderMap,
        project: &ProjectName,
        principal: &Principal,
    ) -> Result<(), Refusal> {
        let Some(value) = headers.get("ingot-min-seq") else { return Ok(()) };
        let seq =
            value.to_str().ok().and_then(|text| text.trim().parse().ok()).ok_or_else(|| {
                Refusal::new(Code::BadRequest, "Ingot-Min-Seq takes a commit number, such as 17")
            })?;
        // Who may see nothing of the project is refused the ordinary way, without waiting.
        if !principal.may_see(project) {
            return Ok(());
        }
        self.registry.wait_for(project, seq, MIN_SEQ_PATIENCE).await
    }

    /// Ends a token that was sent in a URL.
    pub async fn revoke_leaked(&self, hash: &str, request_id: &str) {
        let request = Request {
            id: request_id.to_owned(),
            reason: Some("the token was sent in a URL".to_owned()),
            idempotency: None,
        };
        match self.registry.revoke_leaked(hash, &request).await {
            Ok(()) => tracing::warn!(token = &hash[..8], request_id, "a token came in a URL"),
            Err(refusal) => {
                tracing::error!(?refusal, request_id, "a token that came in a URL stays valid");
            }
        }
    }
}

/// Whether a client says that it reads problem documents.
fn accepts_problems(headers: &HeaderMap) -> bool {
    let accept = headers.get_all(header::ACCEPT).filter_map(|accept| accept.to_str().ok());
    accept.into_iter().any(|accept| accept.contains("application/problem+json"))
}

/// Whether a Host header names this machine and nothing else.
fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    let port_is_plain = port.ends_with(']') || port.bytes().all(|b| b.is_ascii_digit());
    let plain = host.bytes().all(|b| b.is_ascii_alphanumeric() || b".:[]-".contains(&b));
    let address = name.parse::<std::net::IpAddr>();
    plain
        && (port_is_plain || host.parse::<std::net::IpAddr>().is_ok())
        && (name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|ip| ip.is_loopback()))
}

/// Refuses a change that a page of another site made a browser send: browsers add `Origin` to
/// such requests, and know the Basic credentials of whoever looked at a listing before.
fn refuse_other_sites(head: &RequestHead, public_url: Option<&str>) -> Result<(), Refusal> {
    if matches!(head.method.as_str(), "GET" | "HEAD" | "OPTIONS") {
        return Ok(());
    }
    let Some(origin) = head.headers().get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("");
    let host = origin.split_once("://").map_or("", |(_, host)| host);
    let ours = match public_url {
        Some(url) => url == origin || url.starts_with(&format!("{origin}/")),
        None => is_loopback_host(host),
    };
    if ours && !origin.is_empty() {
        return Ok(());
    }
    Err(Refusal::new(Code::Forbidden, "pages of other sites may not change anything here"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_a_loopback_host() {
        for host in
            ["localhost", "localhost:8470", "127.0.0.1", "127.0.0.2:1", "[::1]:8470", "[::1]"]
        {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "evil",
            "localhost.evil",
            "127.0.0.1.evil",
            "evil:127",
            "",
            "localhost:8470@evil",
            "localhost:a",
            "[::2]:1",
            "127.0.0.1/..",
            "localhost\"",
            "10.0.0.1",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn other_sites_may_not_change_anything() {
        let check = |method: &str, origin: Option<&'static str>, public: Option<&str>, fine| {
            let mut head = RequestHead::default();
            head.method = method.parse().expect("method");
            if let Some(origin) = origin {
                head.headers_mut().insert(header::ORIGIN, header::HeaderValue::from_static(origin));
            }
            assert_eq!(refuse_other_sites(&head, public).is_ok(), fine, "{method} {origin:?}");
        };
        let public = Some("https://ingot.example.com/x");
        check("GET", Some("https://evil.example"), public, true);
        check("POST", None, public, true);
        check("POST", Some("https://evil.example"), public, false);
        check("POST", Some("null"), public, false);
        check("POST", Some(""), public, false);
        check("POST", Some("https://ingot.example.com"), public, true);
        check("PUT", Some("http://localhost:8470"), None, true);
        check("PUT", Some("http://evil.example"), None, false);
    }
}
