//! Tokens: presented, minted, listed, revoked. Only hashes are kept.

use ingot_core::event::Event;
use ingot_core::facts::Facts;
use ingot_core::grant::{Grant, Principal, Right};
use ingot_core::records::TokenRecord;
use ingot_core::rules::Decision;
use ingot_core::rules::token::check_mint;
use ingot_core::{Code, ProjectName, Refusal, Timestamp};
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::access::{Admin, Authorized};
use crate::committer::Outcome;
use crate::releases::LIMIT_MAX;
use crate::shapes;
use crate::store::{Registry, Request};

/// The name under which a grant to everybody is kept.
pub const ANONYMOUS: &str = "anonymous";

/// A token's secret, made by the server, and what is kept of it.
#[derive(Clone)]
pub struct TokenText {
    /// The secret, shown once.
    pub text: String,
    /// Its hash, lower-case hex.
    pub hash: String,
}

/// A wish for a token.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// Who or what it is for.
    pub name: String,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// How long it lives.
    pub span: SignedDuration,
}

/// A minted token.
#[derive(Clone, Debug)]
pub struct Minted {
    /// The outcome; its body lacks the secret, which is nowhere kept.
    pub outcome: Outcome,
    /// The public id.
    pub id: String,
}

/// How everybody's grant of a project is looked up.
fn anonymous_hash(project: &ProjectName) -> String {
    format!("{ANONYMOUS}/{project}")
}

impl Registry {
    /// Who presents a token with this hash. Unknown, revoked and expired are one answer.
    pub fn authenticate(&self, hash: &str, now: Timestamp) -> Result<Principal, Refusal> {
        let system = self.system()?;
        let token = system.view()?.find_token(hash)?;
        let wrong = || {
            Refusal::new(
                Code::Unauthenticated,
                "the token is not known, was revoked, or has expired; ask an admin for a new one",
            )
        };
        let token = token.ok_or_else(wrong)?;
        if token.expires_at <= now {
            return Err(wrong());
        }
        Ok(principal(token))
    }

    /// Nobody in particular, with what everybody may do in the project.
    pub fn anonymous(&self, project: Option<&ProjectName>, now: Timestamp) -> Principal {
        let granted = project.and_then(|project| {
            let system = self.system().ok()?;
            let view = system.view().ok()?;
            view.find_token(&anonymous_hash(project)).ok().flatten()
        });
        let mut nobody = Principal::anonymous();
        if let Some(token) = granted.filter(|token| token.expires_at > now) {
            nobody.project = token.project;
            nobody.grants = token.grants;
        }
        nobody
    }

    /// Mints a token for a project. The name `anonymous` makes a grant to everybody instead:
    /// read only, with no secret.
    pub async fn mint(
        &self,
        proof: &Authorized<Admin>,
        wish: NewToken,
        secret: &TokenText,
        request: &Request,
    ) -> Result<Minted, Refusal> {
        let everybody = wish.name == ANONYMOUS;
        let minter = proof.principal();
        let name = if everybody { "everybody" } else { wish.name.as_str() };
        let expires_at = check_mint(minter, name, &wish.grants, wish.span, self.now())?;
        let hash = if everybody {
            if wish.grants.iter().flat_map(|grant| &grant.actions).any(|&r| r != Right::Read) {
                return Err(Refusal::new(Code::Invalid, "everybody may be given 'read' only"));
            }
            anonymous_hash(proof.project())
        } else {
            secret.hash.clone()
        };
        let id = secret.hash.chars().take(16).collect::<String>();
        let event = Event::TokenMinted {
            id: id.clone(),
            hash: hash.clone(),
            name: wish.name.clone(),
            project: Some(proof.project().clone()),
            grants: wish.grants.clone(),
            expires_at,
        };
        let answered = id.clone();
        // An answer kept for a repetition could not hold the secret, so a repetition mints anew.
        let request = Request { idempotency: None, ..request.clone() };
        let outcome = self
            .system()?
            .change(
                &minter.name,
                &request,
                move |facts, _| {
                    let mut events = Vec::new();
                    if everybody && let Some(before) = facts.find_token(&hash)? {
                        events.push(Event::TokenRevoked { id: before.id });
                    }
                    events.push(event.clone());
                    Ok(Decision::fresh(events))
                },
                move |facts, _, _| {
                    let token = facts.find_token_by_id(&answered)?;
                    Ok(token.map_or(Value::Null, |token| token_shape(&token)))
                },
            )
            .await?;
        Ok(Minted { outcome, id })
    }

    /// The tokens of a project.
    pub fn tokens(
        &self,
        proof: &Authorized<Admin>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Value, Refusal> {
        let system = self.system()?;
        let view = system.view()?;
        let page = view.tokens(Some(proof.project()), after, limit.clamp(1, LIMIT_MAX))?;
        Ok(shapes::list(page.items.iter().map(token_shape).collect(), page.next))
    }

    /// Ends a token of the project. A token may also end itself.
    pub async fn revoke_token(
        &self,
        proof: &Authorized<Admin>,
        id: &str,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        let (id, project) = (id.to_owned(), proof.project().clone());
        self.system()?
            .change(
                &proof.principal().name,
                request,
                move |facts, _| {
                    let token = facts.find_token_by_id(&id)?;
                    match token.filter(|token| token.project.as_ref() == Some(&project)) {
                        Some(token) => {
                            Ok(Decision::fresh(vec![Event::TokenRevoked { id: token.id }]))
                        }
                        None => Err(Refusal::new(
                            Code::NotFound,
                            "this project has no live token with that id",
                        )),
                    }
                },
                |_, _, _| Ok(Value::Null),
            )
            .await
    }

    /// Ends a token whose secret was seen where it must not be, such as in a URL.
    pub async fn revoke_leaked(&self, hash: &str, request: &Request) -> Result<(), Refusal> {
        let hash = hash.to_owned();
        if self.system()?.view()?.find_token(&hash)?.is_none() {
            return Ok(());
        }
        self.system()?
            .change(
                "system",
                request,
                move |facts, _| {
                    Ok(match facts.find_token(&hash)? {
                        Some(token) => Decision::fresh(vec![Event::TokenRevoked { id: token.id }]),
                        None => Decision::same(),
                    })
                },
                |_, _, _| Ok(Value::Null),
            )
            .await
            .map(|_| ())
    }

    /// Makes sure that there is a live admin's token for the whole server: `secret` becomes one
    /// unless another is alive or it is known already. True when it is new.
    pub async fn ensure_admin(
        &self,
        secret: &TokenText,
        span: SignedDuration,
        request: &Request,
    ) -> Result<bool, Refusal> {
        let now = self.now();
        let expires_at = now.checked_add(span).map_err(|error| {
            Refusal::new(Code::Internal, "the clock is past its end").because(error)
        })?;
        let event = Event::TokenMinted {
            id: secret.hash.chars().take(16).collect(),
            hash: secret.hash.clone(),
            name: "admin".to_owned(),
            project: None,
            grants: vec![Grant {
                actions: vec![Right::Admin],
                packages: "*".to_owned(),
                views: Vec::new(),
            }],
            expires_at,
        };
        let hash = secret.hash.clone();
        let outcome = self
            .system()?
            .change(
                "system",
                request,
                move |facts, _| {
                    Ok(match facts.find_token(&hash)? {
                        Some(_) => Decision::same(),
                        None => Decision::fresh(vec![event.clone()]),
                    })
                },
                |_, _, _| Ok(Value::Null),
            )
            .await?;
        Ok(outcome.fresh)
    }

    /// Whether some admin's token for the whole server is alive.
    pub fn has_live_admin(&self) -> Result<bool, Refusal> {
        let system = self.system()?;
        let view = system.view()?;
        let now = self.now();
        let page = view.tokens(None, None, LIMIT_MAX)?;
        Ok(page
            .items
            .into_iter()
            .any(|token| token.expires_at > now && principal(token).is_operator()))
    }
}

fn principal(token: TokenRecord) -> Principal {
    Principal {
        name: token.name,
        token: Some(token.id),
        project: token.project,
        grants: token.grants,
        expires_at: Some(token.expires_at),
    }
}

fn token_shape(token: &TokenRecord) -> Value {
    json!({
        "id": token.id,
        "name": token.name,
        "grants": token.grants,
        "created_at": token.created_at,
        "created_by": token.created_by,
        "expires_at": token.expires_at,
    })
}
