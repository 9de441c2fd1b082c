//! Changing channels: promote, roll back, hold, lift, revoke.

use std::collections::BTreeSet;

use ingot_core::facts::Facts;
use ingot_core::names::Seq;
use ingot_core::rules::Decision;
use ingot_core::rules::channel::{self as rule, Wanted};
use ingot_core::rules::keep::{KeepPolicy, keep};
use ingot_core::{ChannelName, Code, Coordinate, PackageName, ProjectName, Refusal};
use serde_json::Value;

use crate::access::{Authorized, Promote};
use crate::committer::Outcome;
use crate::shapes;
use crate::store::{Registry, Request};

/// Transitions read at once while a history is walked.
const HISTORY_STEP: usize = 1_000;

fn channel_of(proof: &Authorized<Promote>) -> Result<ChannelName, Refusal> {
    proof
        .view()
        .channel
        .clone()
        .ok_or_else(|| Refusal::new(Code::Internal, "a promotion without a channel"))
}

impl Registry {
    /// Promotes releases, or all that was built from a commit: all of it or nothing.
    pub async fn promote(
        &self,
        proof: &Authorized<Promote>,
        wanted: Wanted,
        if_match: Option<Seq>,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        let by = proof.principal().name.clone();
        self.move_channel(proof, request, move |facts, channel, may| {
            rule::promote(facts, channel, &wanted, if_match, &by, may)
        })
        .await
    }

    /// The verdict of every gate, without promoting.
    pub fn try_promote(
        &self,
        proof: &Authorized<Promote>,
        wanted: &Wanted,
    ) -> Result<Value, Refusal> {
        let project = self.project(proof.project())?;
        let view = project.view()?;
        let gates = rule::try_promote(
            &view,
            &channel_of(proof)?,
            wanted,
            &proof.principal().name,
            &|package| proof.covers(package),
        )?;
        Ok(shapes::gates(&gates))
    }

    /// Rolls packages back, and holds them.
    pub async fn roll_back(
        &self,
        proof: &Authorized<Promote>,
        packages: Vec<(PackageName, Option<String>)>,
        if_match: Option<Seq>,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.move_channel(proof, request, move |facts, channel, may| {
            rule::roll_back(facts, channel, &packages, if_match, may)
        })
        .await
    }

    /// Refuses promotions of packages until lifted.
    pub async fn hold(
        &self,
        proof: &Authorized<Promote>,
        packages: Vec<PackageName>,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.move_channel(proof, request, move |facts, channel, may| {
            rule::hold(facts, channel, &packages, may)
        })
        .await
    }

    /// Ends holds.
    pub async fn lift(
        &self,
        proof: &Authorized<Promote>,
        packages: Vec<PackageName>,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.move_channel(proof, request, move |facts, channel, may| {
            rule::lift(facts, channel, &packages, may)
        })
        .await
    }

    /// Takes releases out of what a channel admits.
    pub async fn revoke(
        &self,
        proof: &Authorized<Promote>,
        releases: Vec<(PackageName, String)>,
        request: &Request,
    ) -> Result<Outcome, Refusal> {
        self.move_channel(proof, request, move |facts, channel, may| {
            rule::revoke(facts, channel, &releases, may)
        })
        .await
    }

    async fn move_channel(
        &self,
        proof: &Authorized<Promote>,
        request: &Request,
        rule: impl Fn(&dyn Facts, &ChannelName, rule::May<'_>) -> Result<Decision, Refusal>
        + Send
        + 'static,
    ) -> Result<Outcome, Refusal> {
        let channel = channel_of(proof)?;
        let (by, reason) = (proof.principal().name.clone(), request.reason.clone());
        let (moved, held) = (channel.clone(), proof.clone());
        self.project(proof.project())?
            .change(
                &by.clone(),
                request,
                move |facts, _| rule(facts, &moved, &|package| held.covers(package)),
                move |facts, moment, decision| {
                    shapes::promotion(facts, &channel, &by, reason.as_deref(), moment, decision)
                },
            )
            .await
    }

    /// What retention may never remove from a project: of every channel and package the current
    /// release, those a rollback could go to, and those that were current not long ago.
    pub fn keep_set(
        &self,
        project: &ProjectName,
        policy: KeepPolicy,
    ) -> Result<BTreeSet<Coordinate>, Refusal> {
        let open = self.project(project)?;
        let view = open.view()?;
        let now = self.now();
        let mut kept = BTreeSet::new();
        for channel in view.channels()? {
            let name = channel.definition.name;
            let mut after = None;
            loop {
                let page = view.channel_packages(&name, "", after.as_deref(), HISTORY_STEP)?;
                for row in page.items {
                    let history = history(&view, &name, &row.package)?;
                    kept.extend(
                        keep(&history, policy, now)
                            .into_iter()
                            .map(|version| Coordinate { package: row.package.clone(), version }),
                    );
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(kept)
    }
}

fn history(
    view: &ingot_index::View<'_>,
    channel: &ChannelName,
    package: &PackageName,
) -> Result<Vec<ingot_core::standing::Transition>, Refusal> {
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = view.package_transitions(channel, package, after.as_deref(), HISTORY_STEP)?;
        all.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}
