//! The JSON shapes of answers. Members may be added, none renamed.

use ingot_core::event::Event;
use ingot_core::facts::Facts;
use ingot_core::names::Seq;
use ingot_core::origin::CommitSha;
use ingot_core::records::{FileRecord, ReleaseRecord};
use ingot_core::rules::channel::Gate;
use ingot_core::rules::{Decision, Moment};
use ingot_core::standing::Transition;
use ingot_core::{ChannelName, Coordinate, Origin, PackageName, ProjectName, Refusal, Timestamp};
use serde_json::{Map, Value, json};

/// `{"commit","source","build"}`, and `"short": true` when the commit is an abbreviation.
pub fn origin(origin: &Origin) -> Value {
    let mut shape = json!({
        "commit": origin.commit,
        "source": origin.source,
        "build": origin.build,
    });
    if origin.commit.as_ref().is_some_and(CommitSha::is_short) {
        shape["short"] = Value::Bool(true);
    }
    shape
}

/// `{"path","size","digest","hashes","media_type",…}`.
pub fn file(file: &FileRecord) -> Value {
    json!({
        "path": file.fact.path,
        "size": file.fact.size,
        "digest": file.fact.digest,
        "hashes": {
            "md5": file.fact.hashes.md5,
            "sha1": file.fact.hashes.sha1,
            "sha512": file.fact.hashes.sha512,
        },
        "media_type": file.fact.media_type,
        "published_at": file.published_at,
        "published_by": file.published_by,
    })
}

/// A release, with where it is admitted and current.
pub fn release(
    facts: &dyn Facts,
    package: &PackageName,
    release: &ReleaseRecord,
) -> Result<Value, Refusal> {
    let at = Coordinate { package: package.clone(), version: release.version.clone() };
    let mut channels = Map::new();
    for channel in facts.channels()? {
        let name = &channel.definition.name;
        let Some(admission) = facts.find_admission(name, &at)? else { continue };
        let current = facts
            .find_standing(name, package)?
            .and_then(|standing| standing.current)
            .filter(|current| current.version == at.version);
        let since = current.as_ref().map_or(admission.since, |current| current.since);
        channels.insert(
            name.to_string(),
            json!({
                "current": current.is_some(),
                "admitted": true,
                "since": since,
                "admitted_since": admission.since,
            }),
        );
    }
    let files: Vec<Value> = release.files.iter().map(file).collect();
    Ok(json!({
        "package": package,
        "version": release.version,
        "purl": at.purl(),
        "state": release.state(),
        "blocked": release.blocked.as_ref().map(|block| json!({
            "reason": block.reason, "by": block.by, "at": block.at,
        })),
        "digest": release.digest,
        "origin": origin(&release.origin),
        "aliases": release.aliases,
        "files": files,
        "published_at": release.published_at,
        "published_by": release.published_by,
        "sealed_at": release.sealed_at,
        "channels": channels,
    }))
}

/// One row of a channel: what is current there of one package, now or at some time.
pub(crate) fn channel_row(
    facts: &dyn Facts,
    package: &PackageName,
    standing: &ingot_core::standing::Standing,
    at: Option<Timestamp>,
) -> Result<Value, Refusal> {
    let release = match &standing.current {
        Some(current) => facts.find_release(&Coordinate {
            package: package.clone(),
            version: current.version.clone(),
        })?,
        None => None,
    };
    let current = standing.current.as_ref();
    Ok(json!({
        "package": package,
        "version": current.map(|current| &current.version),
        "digest": release.as_ref().and_then(|release| release.digest),
        "commit": release.as_ref().and_then(|release| release.origin.commit.clone()),
        "since": current.map(|current| current.since),
        "by": current.map(|current| &current.by),
        "seq": current.map(|current| current.seq),
        "held": standing.held,
        "blocked": release.as_ref().is_some_and(|release| match at {
            Some(at) => release.was_blocked(at),
            None => release.blocked.is_some(),
        }),
    }))
}

/// A transition as history lists it.
pub(crate) fn transition(package: &PackageName, transition: &Transition) -> Value {
    json!({
        "seq": transition.seq,
        "kind": transition.kind,
        "package": package,
        "from": transition.from,
        "to": transition.to,
        "by": transition.by,
        "at": transition.at,
        "reason": transition.reason,
    })
}

/// `{"seq","channel","transitions"}` of a change to a channel.
pub(crate) fn promotion(
    facts: &dyn Facts,
    channel: &ChannelName,
    by: &str,
    reason: Option<&str>,
    moment: Moment,
    decision: &Decision,
) -> Result<Value, Refusal> {
    let transitions: Vec<Value> = decision
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Transition { transition: kind, package, from, to, .. } => {
                let made = Transition {
                    seq: moment.seq,
                    kind: *kind,
                    from: from.clone(),
                    to: to.clone(),
                    by: by.to_owned(),
                    at: moment.at,
                    reason: reason.map(str::to_owned),
                };
                Some(transition(package, &made))
            }
            _ => None,
        })
        .collect();
    let seq = ingot_core::rules::channel(facts, channel)?.seq;
    Ok(json!({"seq": seq, "channel": channel, "transitions": transitions}))
}

/// `{"verdict","gates"}` of a promotion that was only tried.
pub(crate) fn gates(gates: &[Gate]) -> Value {
    let failed = gates.iter().any(|gate| gate.refusal.is_some());
    let rows: Vec<Value> = gates
        .iter()
        .map(|gate| {
            json!({
                "package": gate.package,
                "gate": gate.gate,
                "verdict": if gate.refusal.is_some() { "fail" } else { "pass" },
                "reason": gate.refusal.as_ref().map(Refusal::detail),
                "code": gate.refusal.as_ref().map(|refusal| refusal.code().as_str()),
            })
        })
        .collect();
    json!({"verdict": if failed { "fail" } else { "pass" }, "gates": rows})
}

/// The state of a channel at one commit or moment.
pub(crate) fn channel(
    project: &ProjectName,
    channel: &ChannelName,
    at: Timestamp,
    seq: Seq,
    packages: &[Value],
) -> Value {
    json!({"project": project, "channel": channel, "at": at, "seq": seq, "packages": packages})
}

/// One page of a list.
pub fn list(items: Vec<Value>, next: Option<String>) -> Value {
    json!({"items": items, "next": next})
}
