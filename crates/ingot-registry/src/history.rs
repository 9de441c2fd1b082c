//! What is in a channel now, what was there at some time, how it came, and the ledger itself.

use ingot_core::facts::Facts;
use ingot_core::names::Seq;
use ingot_core::standing::Standing;
use ingot_core::{ChannelName, Code, Digest, PackageName, Refusal, Timestamp, ViewName};
use ingot_index::View;
use ingot_ledger::Head;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::access::{Admin, Authorized, Read, nothing_here};
use crate::project::Trouble;
use crate::releases::LIMIT_MAX;
use crate::shapes;
use crate::store::Registry;

/// Some commits, with the entries to the letter: their hashes can be worked out from this.
#[derive(Serialize)]
struct LedgerPage<'a> {
    items: Vec<LedgerRow<'a>>,
    next: Option<String>,
}

#[derive(Serialize)]
struct LedgerRow<'a> {
    seq: Seq,
    hash: Digest,
    prev: Digest,
    at: Timestamp,
    writer: &'a str,
    entries: &'a [Box<RawValue>],
}

/// Packages read at once while a channel is told.
const STEP: usize = 1_000;

impl Registry {
    /// The channels of a project that the proof's holder may read.
    pub fn channels(
        &self,
        principal: &ingot_core::grant::Principal,
        project: &ingot_core::ProjectName,
    ) -> Result<Value, Refusal> {
        let open = self.project(project)?;
        let view = open.view()?;
        let mut items = Vec::new();
        for channel in view.channels()? {
            let name = channel.definition.name.clone();
            let seen = ViewName { project: project.clone(), channel: Some(name.clone()) };
            let full = ViewName { project: project.clone(), channel: None };
            let right = ingot_core::grant::Right::Read;
            if !principal.may(right, &seen, None) && !principal.may(right, &full, None) {
                continue;
            }
            items.push(json!({
                "name": name,
                "channel": name,
                "project": project,
                "from": channel.definition.from,
                "protected": channel.definition.protected,
                "seq": channel.seq,
                "used": channel.used,
            }));
        }
        if items.is_empty() {
            return Err(if principal.is_anonymous() {
                Refusal::new(Code::Unauthenticated, "this needs a token")
            } else {
                nothing_here()
            });
        }
        Ok(shapes::list(items, None))
    }

    /// What is current in a channel now, or was at some time; and the channel's number then.
    pub fn show_channel(
        &self,
        proof: &Authorized<Read>,
        channel: &ChannelName,
        at: Option<Timestamp>,
    ) -> Result<(Value, Seq), Refusal> {
        let project = self.project(proof.project())?;
        let view = project.view()?;
        let record = ingot_core::rules::channel(&view, channel)?;
        let (rows, seq, told) = match at {
            Some(at) => {
                let past = view.channel_at(channel, at)?;
                (past.standings.into_iter().collect(), past.seq, at)
            }
            None => (standings(&view, channel)?, record.seq, self.now()),
        };
        let mut packages = Vec::new();
        for (package, standing) in rows {
            if proof.covers(&package) && (standing.current.is_some() || standing.held) {
                packages.push(shapes::channel_row(&view, &package, &standing, at)?);
            }
        }
        Ok((shapes::channel(proof.project(), channel, told, seq, &packages), seq))
    }

    /// The transitions of a channel, oldest first, of one package or of all.
    pub fn transitions(
        &self,
        proof: &Authorized<Read>,
        channel: &ChannelName,
        package: Option<&PackageName>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Value, Refusal> {
        let project = self.project(proof.project())?;
        let view = project.view()?;
        ingot_core::rules::channel(&view, channel)?;
        let limit = limit.clamp(1, LIMIT_MAX);
        if let Some(package) = package {
            proof.check(package)?;
            let page = view.package_transitions(channel, package, after, limit)?;
            let rows = page.items.iter().map(|row| shapes::transition(package, row)).collect();
            return Ok(shapes::list(rows, page.next));
        }
        let page = view.channel_transitions(channel, after, limit)?;
        let rows = page
            .items
            .iter()
            .filter(|row| proof.covers(&row.package))
            .map(|row| shapes::transition(&row.package, &row.transition))
            .collect();
        Ok(shapes::list(rows, page.next))
    }

    /// The ledger itself: commits in order, each with its hash and the one before.
    pub async fn ledger(
        &self,
        proof: &Authorized<Admin>,
        after: Seq,
        limit: usize,
    ) -> Result<String, Refusal> {
        let project = self.project(proof.project())?;
        let limit = limit.clamp(1, LIMIT_MAX);
        let folded = project.seq();
        let told = |error| Trouble::from(error).refusal();
        let Some(from) = project.ledger.head_at(after).await.map_err(told)? else {
            return Ok(shapes::list(Vec::new(), None).to_string());
        };
        let commits = project.ledger.read_after(&from, limit).await.map_err(told)?;
        let mut next = None;
        let mut items = Vec::new();
        for commit in commits.iter().filter(|commit| commit.seq <= folded) {
            let head: Head = commit.head();
            next = (commit.seq < folded).then(|| commit.seq.to_string());
            items.push(LedgerRow {
                seq: commit.seq,
                hash: head.hash,
                prev: commit.prev,
                at: commit.at,
                writer: &commit.writer,
                entries: &commit.entries,
            });
        }
        serde_json::to_string(&LedgerPage { items, next }).map_err(|error| {
            Refusal::new(Code::Internal, "the ledger cannot be printed").because(error)
        })
    }

    /// A digest of the fold and the commit it is at: equal for equal ledgers.
    pub fn fold_digest(&self, proof: &Authorized<Admin>) -> Result<Value, Refusal> {
        let project = self.project(proof.project())?;
        let view = project.view()?;
        let digest = view.digest().map_err(|error| {
            Refusal::new(Code::Internal, "the index cannot be read").because(error)
        })?;
        Ok(json!({"seq": view.seq(), "digest": digest}))
    }
}

fn standings(
    view: &View<'_>,
    channel: &ChannelName,
) -> Result<Vec<(PackageName, Standing)>, Refusal> {
    let mut rows = Vec::new();
    let mut after = None;
    loop {
        let page = view.channel_packages(channel, "", after.as_deref(), STEP)?;
        rows.extend(page.items.into_iter().map(|row| {
            (row.package, Standing { line: Vec::new(), current: row.current, held: row.held })
        }));
        after = page.next;
        if after.is_none() {
            return Ok(rows);
        }
    }
}
