//! What each route does: rights first, then the body, then the registry's door.

use actix_web::HttpResponse;
use actix_web::dev::RequestHead;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use ingot_core::digest::AnyDigest;
use ingot_core::event::ChannelDefinition;
use ingot_core::grant::Principal;
use ingot_core::origin::CommitSha;
use ingot_core::rules::channel::Wanted;
use ingot_core::rules::token::{is_read_only, parse_span};
use ingot_core::{
    ChannelName, Code, Coordinate, Digest, PackageName, ProjectName, Refusal, Timestamp, ViewName,
};
use ingot_registry::{
    ANONYMOUS, Admin, Authorized, Idempotency, NewToken, Outcome, Promote, Publish, Read, Registry,
    Request, TokenText,
};
use serde_json::{Value, json};

use super::bodies::{
    self, AliasBody, PackageAsked, PackagesBody, ProjectBody, PromotionBody, ReasonBody,
    RevocationBody, RollbackBody, TokenBody,
};
use super::{Match, Op};
use crate::body::Body;
use crate::calls::blocking;
use crate::conditional::{Validators, Verdict, evaluate, expected_seq};
use crate::credentials::{TokenKind, mint};
use crate::edge::Edge;
use crate::limits::IDEMPOTENCY_KEY_BYTES_MAX;

/// Rows of a page when the request does not say.
const LIMIT_DEFAULT: usize = 100;
/// Most rows of a page.
const LIMIT_MAX: usize = ingot_registry::LIMIT_MAX;
/// How long a token lives when the request does not say.
const SPAN_DEFAULT: &str = "90d";

/// One request to the API.
struct Asked<'a> {
    edge: &'a Edge,
    head: &'a RequestHead,
    found: &'a Match,
    principal: &'a Principal,
    request_id: &'a str,
}

/// Answers a request whose route was found.
pub async fn answer(
    edge: &Edge,
    head: &RequestHead,
    found: Match,
    principal: Principal,
    body: &mut Body,
    request_id: &str,
) -> Result<HttpResponse, Refusal> {
    body.set_limit(edge.config.server.json_bytes_max);
    let asked = Asked { edge, head, found: &found, principal: &principal, request_id };
    match found.route.op {
        Op::OpenApi => Ok(HttpResponse::Ok()
            .content_type("application/json")
            .insert_header((header::CACHE_CONTROL, "no-cache"))
            .body(edge.openapi())),
        Op::WhoAmI => Ok(shown(who(&principal))),
        Op::Projects => asked.projects(),
        Op::Project => {
            let project = asked.project()?;
            Ok(shown(edge.registry.show_project(&principal, &project)?))
        }
        Op::Channels => {
            let project = asked.project()?;
            asked.refuse_strangers(&project)?;
            Ok(shown(edge.registry.channels(&principal, &project)?))
        }
        Op::Packages | Op::Package | Op::Release | Op::Build | Op::Lookup => asked.look().await,
        Op::Channel | Op::Transitions => asked.look_at_channel().await,
        Op::Ledger => {
            let proof: Authorized<Admin> = asked.authorize(None)?;
            let after = asked.number("after")?.unwrap_or(0);
            let page = edge.registry.ledger(&proof, after, asked.limit()?).await?;
            let text = serde_json::value::RawValue::from_string(page)
                .map_err(|error| Refusal::new(Code::Internal, "no JSON").because(error))?;
            Ok(shown(text))
        }
        Op::Fold => {
            let proof: Authorized<Admin> = asked.authorize(None)?;
            asked.blocking(move |registry| registry.fold_digest(&proof)).await
        }
        Op::Tokens => {
            let proof: Authorized<Admin> = asked.authorize(None)?;
            let (after, limit) = (asked.text("after"), asked.limit()?);
            asked.blocking(move |registry| registry.tokens(&proof, after.as_deref(), limit)).await
        }
        Op::PutProject => asked.put_project(body).await,
        Op::Publish | Op::Seal | Op::Block | Op::Unblock | Op::Alias => {
            asked.change_release(body).await
        }
        Op::Promote | Op::RollBack | Op::Hold | Op::Lift | Op::Revoke => {
            asked.change_channel(body).await
        }
        Op::Mint => asked.mint(body).await,
        Op::RevokeToken => {
            let proof: Authorized<Admin> = asked.authorize(None)?;
            let request = asked.request(None, &[])?;
            let done = edge.registry.revoke_token(&proof, found.param("id"), &request).await?;
            Ok(HttpResponse::NoContent()
                .insert_header(("ingot-seq", done.seq.to_string()))
                .finish())
        }
    }
}

fn who(principal: &Principal) -> Value {
    json!({
        "name": principal.name,
        "id": principal.token,
        "project": principal.project,
        "grants": principal.grants,
        "expires_at": principal.expires_at,
    })
}

/// An answer that shows something. It depends on the token, and may change at any time.
fn shown(body: impl serde::Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "private, no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .json(body)
}

impl Asked<'_> {
    fn headers(&self) -> &HeaderMap {
        self.head.headers()
    }

    fn registry(&self) -> &Registry {
        &self.edge.registry
    }

    fn project(&self) -> Result<ProjectName, Refusal> {
        ProjectName::new(self.found.param("project")).map_err(|refusal| self.unknown(&refusal))
    }

    /// A name nobody can have given: nothing is there, and what is wrong with it helps who may
    /// look around.
    fn unknown(&self, refusal: &Refusal) -> Refusal {
        if self.principal.is_anonymous() {
            return Refusal::new(Code::Unauthenticated, "this needs a token");
        }
        Refusal::new(Code::NotFound, refusal.detail())
    }

    /// 401 for who comes without a token and may see nothing of the project anyway.
    fn refuse_strangers(&self, project: &ProjectName) -> Result<(), Refusal> {
        if self.principal.is_anonymous() && !self.principal.may_see(project) {
            return Err(Refusal::new(Code::Unauthenticated, "this needs a token"));
        }
        Ok(())
    }

    fn package(&self) -> Result<PackageName, Refusal> {
        self.found.param("package").parse().map_err(|refusal| self.unknown(&refusal))
    }

    fn channel(&self) -> Result<ChannelName, Refusal> {
        self.found.param("channel").parse().map_err(|refusal| self.unknown(&refusal))
    }

    fn authorize<A: ingot_registry::Act>(
        &self,
        channel: Option<ChannelName>,
    ) -> Result<Authorized<A>, Refusal> {
        let view = ViewName { project: self.project()?, channel };
        self.registry().authorize(self.principal, &view, None)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.found.query(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    fn number(&self, name: &str) -> Result<Option<u64>, Refusal> {
        let wrong = |_| Refusal::new(Code::BadRequest, format!("{name} takes a number"));
        self.text(name).map(|text| text.parse().map_err(wrong)).transpose()
    }

    fn limit(&self) -> Result<usize, Refusal> {
        match self.number("limit")? {
            None => Ok(LIMIT_DEFAULT),
            Some(0) => Err(Refusal::new(Code::BadRequest, "limit is at least 1")),
            Some(limit) => Ok(usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX)),
        }
    }

    async fn blocking(
        &self,
        look: impl FnOnce(&Registry) -> Result<Value, Refusal> + Send + 'static,
    ) -> Result<HttpResponse, Refusal> {
        let registry = self.registry().clone();
        Ok(shown(blocking(move || look(&registry)).await?))
    }

    fn projects(&self) -> Result<HttpResponse, Refusal> {
        let projects = self.registry().projects(self.principal)?;
        let items: Vec<Value> = projects
            .into_iter()
            .map(|project| json!({"project": project, "name": project}))
            .collect();
        Ok(shown(ingot_registry::shapes::list(items, None)))
    }

    async fn look(&self) -> Result<HttpResponse, Refusal> {
        if self.found.route.op == Op::Lookup {
            let (principal, project) = (self.principal.clone(), self.project()?);
            self.refuse_strangers(&project)?;
            let digest = self.found.query("digest").ok_or_else(|| {
                Refusal::new(Code::BadRequest, "say which content: ?digest=sha256:<hex>")
            })?;
            // Base64 has '+', which a query that was not encoded turns into a space.
            let digest = AnyDigest::parse(&digest.replace(' ', "+"))?;
            return self
                .blocking(move |registry| registry.lookup(&principal, &project, &digest))
                .await;
        }
        let proof: Authorized<Read> = self.authorize(None)?;
        let (after, limit) = (self.text("after"), self.limit()?);
        match self.found.route.op {
            Op::Packages => {
                let (format, prefix) = (self.text("format"), self.text("prefix"));
                let prefix = prefix.unwrap_or_default();
                self.blocking(move |registry| {
                    let (format, after) = (format.as_deref(), after.as_deref());
                    registry.packages(&proof, format, &prefix, after, limit)
                })
                .await
            }
            Op::Package => {
                let package = self.package()?;
                self.blocking(move |registry| {
                    registry.show_package(&proof, &package, after.as_deref(), limit)
                })
                .await
            }
            Op::Build => {
                let commit: CommitSha = self.found.param("commit").parse()?;
                self.blocking(move |registry| registry.build(&proof, &commit)).await
            }
            _ => {
                let (package, text) = (self.package()?, self.found.param("ref").to_owned());
                self.blocking(move |registry| registry.show_release(&proof, &package, &text)).await
            }
        }
    }

    /// A channel may be looked at by who may read it, and by who may read the whole project.
    async fn look_at_channel(&self) -> Result<HttpResponse, Refusal> {
        let channel = self.channel()?;
        let proof: Authorized<Read> =
            self.authorize(Some(channel.clone())).or_else(|_| self.authorize(None))?;
        if self.found.route.op == Op::Transitions {
            let package = self.text("package");
            let package = package.map(|text| text.parse::<PackageName>()).transpose()?;
            let (after, limit) = (self.text("after"), self.limit()?);
            return self
                .blocking(move |registry| {
                    let after = after.as_deref();
                    registry.transitions(&proof, &channel, package.as_ref(), after, limit)
                })
                .await;
        }
        let at = self.found.query("at").map(parse_time).transpose()?;
        let registry = self.registry().clone();
        let (body, seq) = blocking(move || registry.show_channel(&proof, &channel, at)).await?;
        let etag = format!("\"{seq}\"");
        let verdict = evaluate(self.headers(), &Validators { etag: &etag, modified: None });
        let mut answer = match verdict {
            Verdict::NotModified => HttpResponse::NotModified(),
            Verdict::Proceed | Verdict::Failed => HttpResponse::Ok(),
        };
        answer
            .insert_header((header::ETAG, etag))
            .insert_header((header::CACHE_CONTROL, "private, no-cache"))
            .insert_header((header::VARY, "Authorization"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        if verdict == Verdict::NotModified { Ok(answer.finish()) } else { Ok(answer.json(body)) }
    }

    /// What the registry needs to know of a change: who, why, and how a repetition is told.
    fn request(&self, reason: Option<String>, body: &[u8]) -> Result<Request, Refusal> {
        let reason = bodies::reason(reason)?;
        let idempotency = match self.headers().get("idempotency-key") {
            Some(key) if self.head.method == "POST" => {
                let key = key.to_str().unwrap_or("").trim().to_owned();
                let fine = !key.is_empty()
                    && key.len() <= IDEMPOTENCY_KEY_BYTES_MAX
                    && key.bytes().all(|b| (b' '..=b'~').contains(&b));
                if !fine {
                    return Err(Refusal::new(
                        Code::BadRequest,
                        "an Idempotency-Key has 1 to 255 printable characters",
                    ));
                }
                let query = self.head.uri.query().unwrap_or("");
                let mut told =
                    format!("{}\0{}\0{query}\0", self.head.method, self.found.path).into_bytes();
                told.extend_from_slice(body);
                Some(Idempotency { key, fingerprint: Digest::of(&told) })
            }
            _ => None,
        };
        Ok(Request { id: self.request_id.to_owned(), reason, idempotency })
    }

    fn changed(&self, done: &Outcome) -> HttpResponse {
        let fresh = StatusCode::from_u16(self.found.route.fresh).unwrap_or(StatusCode::OK);
        let mut answer = HttpResponse::build(if done.fresh { fresh } else { StatusCode::OK });
        answer
            .insert_header(("ingot-seq", done.seq.to_string()))
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
        answer.json(&done.body)
    }

    async fn put_project(&self, body: &mut Body) -> Result<HttpResponse, Refusal> {
        let project = self.project_to_make()?;
        // Who can administer nothing at all is refused before the body is read.
        let view = ViewName { project: project.clone(), channel: None };
        if self.registry().authorize::<Admin>(self.principal, &view, None).is_err() {
            self.registry().authorize_operator(self.principal)?;
        }
        let bytes = body.read_small().await?;
        let asked: ProjectBody = bodies::read_or_default(&bytes)?;
        let request = self.request(asked.reason, &bytes)?;
        let default = default_channels(&self.edge.config.project.channels)?;
        let done = self
            .registry()
            .put_project(self.principal, &project, asked.channels, &default, &request)
            .await?;
        Ok(self.changed(&done))
    }

    /// A name that is to come into being is told what is wrong with it.
    fn project_to_make(&self) -> Result<ProjectName, Refusal> {
        ProjectName::new(self.found.param("project"))
    }

    async fn change_release(&self, body: &mut Body) -> Result<HttpResponse, Refusal> {
        let registry = self.registry();
        let (package, text) = (self.package()?, self.found.param("ref"));
        let op = self.found.route.op;
        if matches!(op, Op::Block | Op::Unblock) {
            let proof: Authorized<Admin> = self.authorize(None)?;
            let bytes = body.read_small().await?;
            let asked: ReasonBody = bodies::read_or_default(&bytes)?;
            let request = self.request(asked.reason, &bytes)?;
            let done = if op == Op::Block {
                registry.block(&proof, &package, text, &request).await?
            } else {
                registry.unblock(&proof, &package, text, &request).await?
            };
            return Ok(self.changed(&done));
        }
        let proof: Authorized<Publish> = self.authorize(None)?;
        let bytes = body.read_small().await?;
        let done = match op {
            Op::Alias => {
                let asked: AliasBody = bodies::read(&bytes)?;
                let request = self.request(asked.reason, &bytes)?;
                registry.alias(&proof, &package, text, asked.name, &request).await?
            }
            Op::Seal => {
                let asked: ReasonBody = bodies::read_or_default(&bytes)?;
                let request = self.request(asked.reason, &bytes)?;
                registry.seal(&proof, &package, text, &request).await?
            }
            _ => {
                let asked: ReasonBody = bodies::read_or_default(&bytes)?;
                let request = self.request(asked.reason, &bytes)?;
                let at = Coordinate { package, version: text.parse()? };
                registry.publish_draft(&proof, &at, &request).await?
            }
        };
        Ok(self.changed(&done))
    }

    async fn change_channel(&self, body: &mut Body) -> Result<HttpResponse, Refusal> {
        let registry = self.registry();
        let proof: Authorized<Promote> = self.authorize(Some(self.channel()?))?;
        let op = self.found.route.op;
        let if_match = expected_seq(self.headers())?;
        if if_match.is_some() && !matches!(op, Op::Promote | Op::RollBack) {
            return Err(Refusal::new(
                Code::BadRequest,
                "If-Match is taken for promotions and rollbacks only",
            ));
        }
        let bytes = body.read_small().await?;
        let done = match op {
            Op::Promote => {
                let asked: PromotionBody = bodies::read(&bytes)?;
                let wanted = wanted(&asked)?;
                let request = self.request(asked.reason, &bytes)?;
                if self.switch("dry_run")? {
                    return self
                        .blocking(move |registry| registry.try_promote(&proof, &wanted))
                        .await;
                }
                registry.promote(&proof, wanted, if_match, &request).await?
            }
            Op::RollBack => {
                let asked: RollbackBody = bodies::read(&bytes)?;
                let request = self.request(asked.reason, &bytes)?;
                let packages =
                    asked.packages.into_iter().map(|one| (one.package, one.to)).collect();
                registry.roll_back(&proof, packages, if_match, &request).await?
            }
            Op::Revoke => {
                let asked: RevocationBody = bodies::read(&bytes)?;
                let request = self.request(asked.reason, &bytes)?;
                let releases =
                    asked.releases.into_iter().map(|one| (one.package, one.reference)).collect();
                registry.revoke(&proof, releases, &request).await?
            }
            _ => {
                let asked: PackagesBody = bodies::read(&bytes)?;
                let request = self.request(asked.reason, &bytes)?;
                let packages = asked.packages.into_iter().map(PackageAsked::into_name).collect();
                if op == Op::Hold {
                    registry.hold(&proof, packages, &request).await?
                } else {
                    registry.lift(&proof, packages, &request).await?
                }
            }
        };
        Ok(self.changed(&done))
    }

    fn switch(&self, name: &str) -> Result<bool, Refusal> {
        match self.found.query(name) {
            None | Some("false" | "0") => Ok(false),
            Some("true" | "1") => Ok(true),
            Some(_) => Err(Refusal::new(Code::BadRequest, format!("{name} is true or false"))),
        }
    }

    async fn mint(&self, body: &mut Body) -> Result<HttpResponse, Refusal> {
        let proof: Authorized<Admin> = self.authorize(None)?;
        let bytes = body.read_small().await?;
        let asked: TokenBody = bodies::read(&bytes)?;
        let request = self.request(asked.reason, &bytes)?;
        let span = parse_span(asked.expires_in.as_deref().unwrap_or(SPAN_DEFAULT))?;
        let kind = if is_read_only(&asked.grants) { TokenKind::Deploy } else { TokenKind::User };
        let secret = mint(kind)?;
        let kept = TokenText { text: secret.expose().to_owned(), hash: secret.hash() };
        let everybody = asked.name == ANONYMOUS;
        let wish = NewToken { name: asked.name, grants: asked.grants, span };
        let minted = self.registry().mint(&proof, wish, &kept, &request).await?;
        let mut done = minted.outcome;
        if !done.body.is_object() {
            done.body = json!({});
        }
        done.body["id"] = minted.id.into();
        done.body["token"] = if everybody { Value::Null } else { secret.expose().into() };
        Ok(self.changed(&done))
    }
}

fn wanted(asked: &PromotionBody) -> Result<Wanted, Refusal> {
    match (&asked.releases, &asked.commit) {
        (Some(releases), None) => Ok(Wanted::Releases(
            releases.iter().map(|one| (one.package.clone(), one.reference.clone())).collect(),
        )),
        (None, Some(commit)) => Ok(Wanted::Commit(commit.clone())),
        _ => Err(Refusal::new(
            Code::Invalid,
            "name what to promote: either releases, a list of {\"package\", \"ref\"}, or a commit",
        )),
    }
}

/// A time as RFC 3339 writes it; a `+` that a query turned into a space is one again.
fn parse_time(text: &str) -> Result<Timestamp, Refusal> {
    text.replace(' ', "+").parse().map_err(|_| {
        Refusal::new(
            Code::BadRequest,
            "write the time as RFC 3339, for example 2026-01-31T12:00:00Z",
        )
    })
}

/// Channels by name, each fed from the one before.
pub(crate) fn default_channels(names: &[String]) -> Result<Vec<ChannelDefinition>, Refusal> {
    let mut out: Vec<ChannelDefinition> = Vec::new();
    for name in names {
        let from = out.last().map(|before| before.name.clone());
        out.push(ChannelDefinition { name: name.parse()?, from, protected: false });
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_even_where_plus_became_a_space() {
        for text in
            ["2026-01-31T12:00:00Z", "2026-01-31T14:00:00 02:00", "2026-01-31T14:00:00+02:00"]
        {
            let time = parse_time(text).expect("parses");
            assert_eq!(time.to_string(), "2026-01-31T12:00:00Z");
        }
        assert!(parse_time("yesterday").is_err());
    }

    #[test]
    fn default_channels_feed_each_other() {
        let names = ["dev".to_owned(), "prod".to_owned()];
        let channels = default_channels(&names).expect("fine");
        assert_eq!(channels[0].from, None);
        assert_eq!(channels[1].from.as_ref(), Some(&channels[0].name));
    }
}
