//! Channels: define, promote, roll back, hold, lift, revoke.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use crate::event::{ChannelDefinition, Event, TransitionKind};
use crate::facts::Facts;
use crate::names::{ChannelName, Coordinate, PackageName, RESERVED_VERSIONS, Seq, Version};
use crate::origin::CommitSha;
use crate::records::{ChannelRecord, ReleaseRecord};
use crate::refusal::{Code, Refusal};
use crate::rules::refs::{ambiguous, resolve};
use crate::rules::release::seal_event;
use crate::rules::{Decision, channel as find_channel};
use crate::standing::Standing;

/// Most channels a project may have.
pub const CHANNELS_MAX: usize = 32;
/// Most packages one promotion, rollback, hold, lift or revocation may name.
pub const PACKAGES_MAX: usize = 2_000;

/// Whether the caller's token covers a package in the channel.
pub type May<'a> = &'a dyn Fn(&PackageName) -> bool;

/// What to promote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// These releases.
    Releases(Vec<(PackageName, String)>),
    /// Of every package, the release built from this commit.
    Commit(CommitSha),
}

/// One question a promotion has to pass.
#[derive(Clone, Debug)]
pub struct Gate {
    /// The package asked about.
    pub package: Option<PackageName>,
    /// The question: `release`, `right`, `block`, `hold`, `from`.
    pub gate: &'static str,
    /// Why it failed; none means passed.
    pub refusal: Option<Refusal>,
}

/// The events of a promotion; the first gate that fails refuses all of it.
pub fn promote(
    facts: &dyn Facts,
    channel: &ChannelName,
    wanted: &Wanted,
    if_match: Option<Seq>,
    by: &str,
    may: May<'_>,
) -> Result<Decision, Refusal> {
    let channel = find_channel(facts, channel)?;
    check_match(&channel, if_match)?;
    let (chosen, mut gates) = choose(facts, wanted, by)?;
    for (package, release) in &chosen {
        gates.extend(gates_of(facts, &channel, package, release, may)?);
    }
    if let Some(refusal) = gates.into_iter().find_map(|gate| gate.refusal) {
        return Err(refusal);
    }
    let mut events = Vec::new();
    for (package, release) in chosen {
        let standing = standing(facts, &channel, &package)?;
        let current = standing.current.map(|current| current.version);
        if current.as_ref() == Some(&release.version) {
            continue;
        }
        events.extend(seal_event(&package, &release));
        events.push(Event::Transition {
            transition: TransitionKind::Promote,
            channel: channel.definition.name.clone(),
            package,
            from: current,
            to: Some(release.version),
        });
    }
    let fresh = !events.is_empty();
    Ok(Decision { events, fresh })
}

/// Every gate of a promotion with its verdict, without promoting.
pub fn try_promote(
    facts: &dyn Facts,
    channel: &ChannelName,
    wanted: &Wanted,
    by: &str,
    may: May<'_>,
) -> Result<Vec<Gate>, Refusal> {
    let channel = find_channel(facts, channel)?;
    let (chosen, mut gates) = choose(facts, wanted, by)?;
    for (package, release) in &chosen {
        gates.extend(gates_of(facts, &channel, package, release, may)?);
    }
    Ok(gates)
}

type Chosen = Vec<(PackageName, ReleaseRecord)>;

/// The releases meant, each of another package, and a failed gate for each that is not there.
fn choose(facts: &dyn Facts, wanted: &Wanted, by: &str) -> Result<(Chosen, Vec<Gate>), Refusal> {
    match wanted {
        Wanted::Releases(named) => {
            check_count(named.iter().map(|(package, _)| package))?;
            let mut chosen = Vec::new();
            let mut gates = Vec::new();
            for (package, text) in named {
                match resolve(facts, package, text) {
                    Ok(release) => chosen.push((package.clone(), release)),
                    Err(refusal) if refusal.code() == Code::Internal => return Err(refusal),
                    Err(refusal) => gates.push(Gate {
                        package: Some(package.clone()),
                        gate: "release",
                        refusal: Some(explain_draft(facts, package, text, by, refusal)?),
                    }),
                }
            }
            Ok((chosen, gates))
        }
        Wanted::Commit(commit) => {
            let mut found = facts.releases_by_commit(commit, PACKAGES_MAX + 1)?;
            let mut promotable = Vec::new();
            for (commit, at) in found.drain(..) {
                let release = facts.find_release(&at)?;
                if release.is_some_and(|release| release.unpromotable.is_none()) {
                    promotable.push((commit, at));
                }
            }
            let found = promotable;
            let commits: BTreeSet<_> = found.iter().map(|(commit, _)| commit.clone()).collect();
            let mut of_package: BTreeMap<PackageName, Vec<Version>> = BTreeMap::new();
            for (_, at) in &found {
                of_package.entry(at.package.clone()).or_default().push(at.version.clone());
            }
            let twice = of_package.values().any(|versions| versions.len() > 1);
            if found.is_empty() || commits.len() > 1 || twice {
                let detail = if found.is_empty() {
                    format!("no release of this project was built from commit {commit}")
                } else if commits.len() > 1 {
                    format!("{commit} is the start of several commits; give the full SHA")
                } else {
                    format!(
                        "several releases of one package were built from {commit}; \
                         name the releases to promote by their versions"
                    )
                };
                let candidates = found.into_iter().map(|(_, at)| at);
                return Err(ambiguous(detail, candidates.take(PACKAGES_MAX)));
            }
            check_count(of_package.keys())?;
            let mut chosen = Vec::new();
            for (_, at) in found {
                let release = facts.find_release(&at)?.ok_or_else(|| {
                    Refusal::new(Code::Internal, "the index names a release it does not hold")
                })?;
                chosen.push((at.package, release));
            }
            Ok((chosen, Vec::new()))
        }
    }
}

/// A release that is only a draft is told apart from one that does not exist.
fn explain_draft(
    facts: &dyn Facts,
    package: &PackageName,
    text: &str,
    by: &str,
    refusal: Refusal,
) -> Result<Refusal, Refusal> {
    let Ok(version) = Version::new(text) else { return Ok(refusal) };
    let at = Coordinate { package: package.clone(), version };
    if refusal.code() == Code::NotFound && facts.find_draft(&at, by)?.is_some() {
        return Ok(Refusal::new(
            Code::NotPromotable,
            format!("{at} is a draft; publish it first, then promote it"),
        ));
    }
    Ok(refusal)
}

fn gates_of(
    facts: &dyn Facts,
    channel: &ChannelRecord,
    package: &PackageName,
    release: &ReleaseRecord,
    may: May<'_>,
) -> Result<Vec<Gate>, Refusal> {
    let name = &channel.definition.name;
    let at = Coordinate { package: package.clone(), version: release.version.clone() };
    let gate = |gate, refusal| Gate { package: Some(package.clone()), gate, refusal };
    let right = (!may(package)).then(|| {
        Refusal::new(
            Code::Forbidden,
            format!("this token may not promote {package} to {name}; ask an admin for the grant"),
        )
    });
    let block = release.blocked.as_ref().map(|block| {
        let reason = block.reason.as_deref().unwrap_or("no reason given");
        Refusal::new(Code::Blocked, format!("{at} is blocked: {reason}"))
    });
    let standing = standing(facts, channel, package)?;
    let is_current =
        standing.current.as_ref().is_some_and(|current| current.version == release.version);
    let hold = (standing.held && !is_current).then(|| held(name, package));
    let from = match &channel.definition.from {
        Some(from) if !is_current && facts.find_admission(from, &at)?.is_none() => {
            Some(not_in_from(facts, name, from, &at)?)
        }
        _ => None,
    };
    let promotable = release.unpromotable.as_ref().map(|why| {
        Refusal::new(Code::NotPromotable, format!("{at} can never be promoted: {why}"))
    });
    Ok(vec![
        gate("release", promotable),
        gate("right", right),
        gate("block", block),
        gate("hold", hold),
        gate("from", from),
    ])
}

fn held(channel: &ChannelName, package: &PackageName) -> Refusal {
    Refusal::new(
        Code::Held,
        format!(
            "{package} is held in {channel} (a rollback sets a hold); lift it first: \
             POST /api/v1/projects/…/channels/{channel}/lifts with \
             {{\"packages\":[\"{package}\"],\"reason\":…}}, or `ingot lift {package} --in {channel}`"
        ),
    )
    .with("package", package.to_string())
    .with("channel", channel.as_str())
}

/// Names the first channel on the way that still lacks the release.
fn not_in_from(
    facts: &dyn Facts,
    to: &ChannelName,
    from: &ChannelName,
    at: &Coordinate,
) -> Result<Refusal, Refusal> {
    let mut next = from.clone();
    for _ in 0..CHANNELS_MAX {
        match find_channel(facts, &next)?.definition.from {
            Some(before) if facts.find_admission(&before, at)?.is_none() => next = before,
            _ => break,
        }
    }
    Ok(Refusal::new(
        Code::NotInFrom,
        format!("{to} takes only what was promoted to {from}; promote {at} to {next} first"),
    )
    .with("next", json!({"package": at.package, "version": at.version, "channel": next})))
}

/// The events of a rollback: back along the line of distinct currents, and a hold.
pub fn roll_back(
    facts: &dyn Facts,
    channel: &ChannelName,
    wanted: &[(PackageName, Option<String>)],
    if_match: Option<Seq>,
    may: May<'_>,
) -> Result<Decision, Refusal> {
    let channel = find_channel(facts, channel)?;
    check_match(&channel, if_match)?;
    check_count(wanted.iter().map(|(package, _)| package))?;
    let mut events = Vec::new();
    for (package, to) in wanted {
        check_right(&channel, package, may)?;
        let standing = standing(facts, &channel, package)?;
        let Some(current) = &standing.current else {
            return Err(Refusal::new(
                Code::NoPrevious,
                format!("{package} was never promoted to {}", channel.definition.name),
            ));
        };
        let target = match to {
            Some(text) => target_of(facts, &channel, package, text)?,
            None if standing.held => return Err(held_rollback(&channel, package, &standing)),
            None => previous(facts, &channel, package, &standing)?,
        };
        if target == current.version && standing.held {
            continue;
        }
        events.push(Event::Transition {
            transition: TransitionKind::Rollback,
            channel: channel.definition.name.clone(),
            package: package.clone(),
            from: Some(current.version.clone()),
            to: Some(target),
        });
    }
    let fresh = !events.is_empty();
    Ok(Decision { events, fresh })
}

fn held_rollback(channel: &ChannelRecord, package: &PackageName, standing: &Standing) -> Refusal {
    let name = &channel.definition.name;
    let earlier: Vec<_> = standing.earlier().map(|version| version.to_string()).collect();
    Refusal::new(
        Code::Held,
        format!(
            "{package} is held in {name}, most likely since it was rolled back already; to go \
             further back name the release with `to` ({}), or lift the hold first: POST \
             /api/v1/projects/…/channels/{name}/lifts, or `ingot lift {package} --in {name}`",
            if earlier.is_empty() { "there is none before".to_owned() } else { earlier.join(", ") }
        ),
    )
    .with("package", package.to_string())
    .with("channel", name.as_str())
    .with("earlier", earlier)
}

fn target_of(
    facts: &dyn Facts,
    channel: &ChannelRecord,
    package: &PackageName,
    text: &str,
) -> Result<Version, Refusal> {
    let release = resolve(facts, package, text)?;
    let at = Coordinate { package: package.clone(), version: release.version.clone() };
    if facts.find_admission(&channel.definition.name, &at)?.is_none() {
        return Err(not_admitted(channel, &at));
    }
    if release.blocked.is_some() {
        return Err(Refusal::new(
            Code::Blocked,
            format!("{at} is blocked; choose another release"),
        ));
    }
    Ok(release.version)
}

fn not_admitted(channel: &ChannelRecord, at: &Coordinate) -> Refusal {
    Refusal::new(
        Code::NotAdmitted,
        format!(
            "{at} is not admitted to {}; only what was promoted there is",
            channel.definition.name
        ),
    )
}

fn previous(
    facts: &dyn Facts,
    channel: &ChannelRecord,
    package: &PackageName,
    standing: &Standing,
) -> Result<Version, Refusal> {
    for version in standing.earlier() {
        let at = Coordinate { package: package.clone(), version: version.clone() };
        let admitted = facts.find_admission(&channel.definition.name, &at)?.is_some();
        let served = facts.find_release(&at)?.is_some_and(|release| release.blocked.is_none());
        if admitted && served {
            return Ok(at.version);
        }
    }
    Err(Refusal::new(
        Code::NoPrevious,
        format!(
            "nothing that may be served stood in {} before the current release of {package}; \
             promote another release, or name one with `to`",
            channel.definition.name
        ),
    ))
}

/// Refuses promotions of packages until lifted.
pub fn hold(
    facts: &dyn Facts,
    channel: &ChannelName,
    packages: &[PackageName],
    may: May<'_>,
) -> Result<Decision, Refusal> {
    set_hold(facts, channel, packages, TransitionKind::Hold, may)
}

/// Ends holds.
pub fn lift(
    facts: &dyn Facts,
    channel: &ChannelName,
    packages: &[PackageName],
    may: May<'_>,
) -> Result<Decision, Refusal> {
    set_hold(facts, channel, packages, TransitionKind::Lift, may)
}

fn set_hold(
    facts: &dyn Facts,
    channel: &ChannelName,
    packages: &[PackageName],
    kind: TransitionKind,
    may: May<'_>,
) -> Result<Decision, Refusal> {
    let channel = find_channel(facts, channel)?;
    check_count(packages.iter())?;
    let mut events = Vec::new();
    for package in packages {
        check_right(&channel, package, may)?;
        if facts.find_package(package)?.is_none() {
            return Err(Refusal::new(Code::NotFound, format!("there is no package {package}")));
        }
        let standing = standing(facts, &channel, package)?;
        if standing.held == (kind == TransitionKind::Hold) {
            continue;
        }
        let current = standing.current.map(|current| current.version);
        events.push(Event::Transition {
            transition: kind,
            channel: channel.definition.name.clone(),
            package: package.clone(),
            from: current.clone(),
            to: current,
        });
    }
    let fresh = !events.is_empty();
    Ok(Decision { events, fresh })
}

/// Takes releases out of what a channel admits. The current one must be replaced first.
pub fn revoke(
    facts: &dyn Facts,
    channel: &ChannelName,
    releases: &[(PackageName, String)],
    may: May<'_>,
) -> Result<Decision, Refusal> {
    let channel = find_channel(facts, channel)?;
    if releases.is_empty() || releases.len() > PACKAGES_MAX {
        return Err(count_refusal());
    }
    let mut seen = BTreeSet::new();
    let mut events = Vec::new();
    for (package, text) in releases {
        check_right(&channel, package, may)?;
        let release = resolve(facts, package, text)?;
        let at = Coordinate { package: package.clone(), version: release.version };
        if !seen.insert(at.clone()) {
            return Err(Refusal::new(Code::Invalid, format!("{at} is named twice")));
        }
        if facts.find_admission(&channel.definition.name, &at)?.is_none() {
            return Err(not_admitted(&channel, &at));
        }
        let current = standing(facts, &channel, package)?.current.map(|current| current.version);
        if current.as_ref() == Some(&at.version) {
            return Err(Refusal::new(
                Code::IsCurrent,
                format!(
                    "{at} is current in {}; promote another release or roll back first, \
                     or block the release to stop it everywhere at once",
                    channel.definition.name
                ),
            ));
        }
        events.push(Event::Transition {
            transition: TransitionKind::Revoke,
            channel: channel.definition.name.clone(),
            package: package.clone(),
            from: current,
            to: Some(at.version),
        });
    }
    Ok(Decision::fresh(events))
}

/// Defines a project's channels, all of them; one that is in use stays.
pub fn define(facts: &dyn Facts, wanted: &[ChannelDefinition]) -> Result<Decision, Refusal> {
    let invalid = |detail: String| Err(Refusal::new(Code::Invalid, detail));
    if wanted.is_empty() || wanted.len() > CHANNELS_MAX {
        return invalid(format!("a project has 1 to {CHANNELS_MAX} channels"));
    }
    for (n, channel) in wanted.iter().enumerate() {
        let name = &channel.name;
        if name.as_str() == "full" || RESERVED_VERSIONS.contains(&name.as_str()) {
            return Err(Refusal::new(
                Code::Reserved,
                format!("{name} cannot be a channel: the word has another meaning"),
            ));
        }
        if wanted[..n].iter().any(|other| other.name == *name) {
            return invalid(format!("channel {name} is named twice"));
        }
        // A channel is fed from one named before it: the order is the way to production, and
        // there can be no circle.
        if let Some(from) = &channel.from
            && !wanted[..n].iter().any(|other| other.name == *from)
        {
            return invalid(format!(
                "channel {name} is fed from {from}, which must come before it"
            ));
        }
    }
    let existing = facts.channels()?;
    for channel in &existing {
        let name = &channel.definition.name;
        if channel.used && !wanted.iter().any(|other| other.name == *name) {
            return Err(Refusal::new(
                Code::ChannelInUse,
                format!(
                    "{name} holds promoted releases and cannot be removed; keep it in the list"
                ),
            ));
        }
    }
    if existing.iter().map(|channel| &channel.definition).eq(wanted.iter()) {
        return Ok(Decision::same());
    }
    Ok(Decision::fresh(vec![Event::ChannelsDefined { channels: wanted.to_vec() }]))
}

fn standing(
    facts: &dyn Facts,
    channel: &ChannelRecord,
    package: &PackageName,
) -> Result<Standing, Refusal> {
    Ok(facts.find_standing(&channel.definition.name, package)?.unwrap_or_default())
}

fn check_match(channel: &ChannelRecord, if_match: Option<Seq>) -> Result<(), Refusal> {
    match if_match {
        Some(expected) if expected != channel.seq => Err(Refusal::new(
            Code::PreconditionFailed,
            format!(
                "{} is at {}, not at {expected}: somebody changed it since you looked; \
                 look again and repeat the request with the new number",
                channel.definition.name, channel.seq
            ),
        )
        .with("seq", channel.seq)),
        _ => Ok(()),
    }
}

fn check_right(
    channel: &ChannelRecord,
    package: &PackageName,
    may: May<'_>,
) -> Result<(), Refusal> {
    if may(package) {
        return Ok(());
    }
    Err(Refusal::new(
        Code::Forbidden,
        format!(
            "this token may not change {package} in {}; ask an admin for the grant",
            channel.definition.name
        ),
    ))
}

fn count_refusal() -> Refusal {
    Refusal::new(Code::Invalid, format!("name 1 to {PACKAGES_MAX} packages"))
}

fn check_count<'a>(packages: impl Iterator<Item = &'a PackageName>) -> Result<(), Refusal> {
    let mut seen = BTreeSet::new();
    for package in packages {
        if !seen.insert(package) {
            return Err(Refusal::new(Code::Invalid, format!("{package} is named twice")));
        }
    }
    if seen.is_empty() || seen.len() > PACKAGES_MAX {
        return Err(count_refusal());
    }
    Ok(())
}
