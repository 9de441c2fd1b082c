//! The keep-set: what retention may never take away from a channel.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::Timestamp;
use crate::event::TransitionKind;
use crate::names::Version;
use crate::standing::{Standing, Transition};

/// How far back a rollback must stay possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepPolicy {
    /// The last this many distinct releases that were current.
    pub distinct: usize,
    /// Everything that was current at any moment in the last this many days.
    pub days: u32,
}

impl Default for KeepPolicy {
    fn default() -> Self {
        Self { distinct: 10, days: 90 }
    }
}

/// The versions of one package that one channel keeps, from its whole history.
pub fn keep(history: &[Transition], policy: KeepPolicy, now: Timestamp) -> BTreeSet<Version> {
    let mut standing = Standing::default();
    // Each stay of a release as current: which, and until when (none: still).
    let mut stays: Vec<(Version, Option<Timestamp>)> = Vec::new();
    for transition in history {
        standing.apply(transition);
        let moved = matches!(transition.kind, TransitionKind::Promote | TransitionKind::Rollback);
        if let (true, Some(to)) = (moved, &transition.to) {
            if let Some((_, until @ None)) = stays.last_mut() {
                *until = Some(transition.at);
            }
            stays.push((to.clone(), None));
        }
    }
    let span = SignedDuration::from_hours(24 * i64::from(policy.days));
    let since = now.checked_sub(span).unwrap_or(Timestamp::MIN);
    let mut kept = BTreeSet::new();
    for (version, until) in stays.iter().rev() {
        let distinct = kept.len() < policy.distinct;
        if distinct || until.is_none_or(|until| until >= since) {
            kept.insert(version.clone());
        }
    }
    // Wherever a rollback could go by itself stays there, however long ago it was.
    kept.extend(standing.line.into_iter().rev().take(policy.distinct.max(1)));
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(steps: &[(i64, TransitionKind, &str)]) -> Vec<Transition> {
        let day = 24 * 60 * 60;
        let step = |(n, (at, kind, to)): (usize, &(i64, TransitionKind, &str))| Transition {
            seq: n as u64 + 1,
            kind: *kind,
            from: None,
            to: Some(to.parse().expect("version")),
            by: "t".into(),
            at: Timestamp::from_second(at * day).expect("time"),
            reason: None,
        };
        steps.iter().enumerate().map(step).collect()
    }

    fn check(steps: &[(i64, TransitionKind, &str)], policy: KeepPolicy, expected: &[&str]) {
        let now = Timestamp::from_second(1000 * 24 * 60 * 60).expect("time");
        let kept = keep(&history(steps), policy, now);
        let kept: Vec<_> = kept.iter().map(Version::as_str).collect();
        assert_eq!(kept, expected);
    }

    #[test]
    fn current_the_last_distinct_and_the_recent_are_kept() {
        use TransitionKind::{Promote, Rollback};
        let two = KeepPolicy { distinct: 2, days: 0 };
        let steps = [(1, Promote, "A"), (2, Promote, "B"), (3, Promote, "C"), (4, Promote, "B")];
        check(&steps, two, &["B", "C"]);
        // A release that stood long ago but was only left yesterday was current in the span.
        let recent = KeepPolicy { distinct: 1, days: 30 };
        check(&[(1, Promote, "A"), (999, Promote, "B")], recent, &["A", "B"]);
        check(&[(1, Promote, "A"), (2, Promote, "B")], recent, &["B"]);
        check(&[(1, Promote, "A"), (2, Promote, "B"), (3, Rollback, "A")], two, &["A", "B"]);
    }
}
