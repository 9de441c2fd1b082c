//! Projects: which there are, and their channels.

use ingot_core::event::{ChannelDefinition, Event};
use ingot_core::grant::Principal;
use ingot_core::rules::{self, Decision};
use ingot_core::{Code, ProjectName, Refusal};
use serde_json::{Value, json};

use crate::access::nothing_here;
use crate::committer::Outcome;
use crate::store::{Registry, Request};

/// The name of the ledger that holds projects and tokens.
pub const SYSTEM: &str = "system";

/// Most projects listed in one page.
const PAGE: usize = 1_000;

impl Registry {
    /// Every project there is.
    pub(crate) fn all_projects(&self) -> Result<Vec<ProjectName>, Refusal> {
        let system = self.system()?;
        let view = system.view()?;
        let mut all: Vec<ProjectName> = Vec::new();
        let mut after = None;
        loop {
            let page = view.projects(after.as_deref(), PAGE)?;
            all.extend(page.items.into_iter().map(|row| row.project));
            after = page.next;
            if after.is_none() {
                return Ok(all);
            }
        }
    }

    /// The projects in which the principal may see something.
    pub fn projects(&self, principal: &Principal) -> Result<Vec<ProjectName>, Refusal> {
        let mut all = self.all_projects()?;
        all.retain(|project| principal.may_see(project));
        Ok(all)
    }

    /// One project with its channels.
    pub fn show_project(
        &self,
        principal: &Principal,
        project: &ProjectName,
    ) -> Result<Value, Refusal> {
        if principal.is_anonymous() {
            return Err(Refusal::new(Code::Unauthenticated, "this needs a token"));
        }
        if !principal.may_see(project) {
            return Err(nothing_here());
        }
        let open = self.project(project)?;
        let view = open.view()?;
        project_shape(project, &view)
    }

    /// Creates a project, or changes the channels of one. Without channels a new project gets
    /// `default`, and one that exists stays as it is.
    pub async fn put_project(
        &self,
        principal: &Principal,
        project: &ProjectName,
        channels: Option<Vec<ChannelDefinition>>,
        default: &[ChannelDefinition],
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        let exists = self.find_open(project.as_str()).is_some();
        if exists {
            let view = project.as_str().parse()?;
            self.authorize::<crate::access::Admin>(principal, &view, None)?;
        } else {
            self.authorize_operator(principal)?;
        }
        let wanted = match (&channels, exists) {
            (Some(channels), _) => channels.clone(),
            (None, false) => default.to_vec(),
            (None, true) => Vec::new(),
        };
        // The project's own ledger first: what the system ledger names is then always complete.
        let open = self.ensure_open(project.as_str()).await?;
        let by = principal.name.clone();
        let mut seq = open.seq();
        let mut fresh = false;
        if !wanted.is_empty() {
            let shaped = project.clone();
            let outcome = open
                .change(
                    &by,
                    request,
                    move |facts, _| rules::channel::define(facts, &wanted),
                    move |facts, _, _| project_shape(&shaped, facts),
                )
                .await;
            if outcome.is_err() && !exists && !self.is_registered(project)? {
                // A refused wish leaves no project behind.
                self.forget(project).await;
            }
            let outcome = outcome?;
            seq = outcome.seq;
            fresh = outcome.fresh;
        }
        let created = self.register_project(&by, project, request).await?;
        let body = project_shape(project, &open.view()?)?;
        Ok(Outcome { seq, fresh: created || (fresh && !exists), body })
    }

    fn is_registered(&self, project: &ProjectName) -> Result<bool, Refusal> {
        let system = self.system()?;
        let view = system.view()?;
        ingot_core::facts::Facts::has_project(&view, project)
    }

    async fn register_project(
        &self,
        by: &str,
        project: &ProjectName,
        request: &Request,
    ) -> Result<bool, Refusal> {
        let name = project.clone();
        let request = Request { idempotency: None, ..request.clone() };
        let outcome = self
            .system()?
            .change(
                by,
                &request,
                move |facts, _| {
                    if facts.has_project(&name)? {
                        return Ok(Decision::same());
                    }
                    Ok(Decision::fresh(vec![Event::ProjectCreated { project: name.clone() }]))
                },
                |_, _, _| Ok(Value::Null),
            )
            .await?;
        Ok(outcome.fresh)
    }
}

fn project_shape(
    project: &ProjectName,
    facts: &dyn ingot_core::facts::Facts,
) -> Result<Value, Refusal> {
    let channels: Vec<Value> = facts
        .channels()?
        .into_iter()
        .map(|channel| {
            json!({
                "name": channel.definition.name,
                "from": channel.definition.from,
                "protected": channel.definition.protected,
                "seq": channel.seq,
                "used": channel.used,
            })
        })
        .collect();
    Ok(json!({"project": project, "seq": facts.seq(), "channels": channels}))
}
