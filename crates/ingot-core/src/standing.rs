//! Where one package stands in one channel: the fold of its transitions, and nothing else.
//!
//! The same function serves the index (now) and history (any time in the past), so the two
//! cannot disagree.

use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::event::TransitionKind;
use crate::names::{Seq, Version};

/// A transition as history tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// The commit that made it.
    pub seq: Seq,
    /// What was done.
    pub kind: TransitionKind,
    /// The release current before.
    pub from: Option<Version>,
    /// The release current after; for a revocation the one revoked.
    pub to: Option<Version>,
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// A release that became current, by whom and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Current {
    /// The release.
    pub version: Version,
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// By which commit.
    pub seq: Seq,
}

/// What one package has in one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The line of distinct currents, oldest first; the last one is current.
    /// A rollback cuts the line back to its target, so that the release rolled back from is
    /// never "previous" again; a revocation takes its release out.
    pub line: Vec<Version>,
    /// The current release.
    pub current: Option<Current>,
    /// Promotions are refused while this is set.
    pub held: bool,
}

impl Standing {
    /// Adds one transition.
    pub fn apply(&mut self, transition: &Transition) {
        let to = transition.to.as_ref();
        match transition.kind {
            TransitionKind::Promote => {
                if let Some(to) = to {
                    self.line.retain(|version| version != to);
                    self.stand(to, transition);
                }
            }
            TransitionKind::Rollback => {
                if let Some(to) = to {
                    // A target off the line was itself rolled back from: what stands behind it
                    // is what stood behind the release that is left now.
                    let keep = self.line.iter().position(|version| version == to);
                    self.line.truncate(keep.unwrap_or(self.line.len()));
                    self.stand(to, transition);
                }
                self.held = true;
            }
            TransitionKind::Hold => self.held = true,
            TransitionKind::Lift => self.held = false,
            TransitionKind::Revoke => self.line.retain(|version| Some(version) != to),
        }
    }

    fn stand(&mut self, version: &Version, transition: &Transition) {
        self.line.push(version.clone());
        self.current = Some(Current {
            version: version.clone(),
            since: transition.at,
            by: transition.by.clone(),
            seq: transition.seq,
        });
    }

    /// The releases before the current one, nearest first: where a rollback may go by itself.
    pub fn earlier(&self) -> impl Iterator<Item = &Version> {
        self.line.iter().rev().skip(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(steps: &[(TransitionKind, &str)]) -> Standing {
        let mut standing = Standing::default();
        for (n, (kind, to)) in steps.iter().enumerate() {
            standing.apply(&Transition {
                seq: n as Seq + 1,
                kind: *kind,
                from: standing.current.as_ref().map(|current| current.version.clone()),
                to: (!to.is_empty()).then(|| to.parse().expect("version")),
                by: "t".into(),
                at: Timestamp::UNIX_EPOCH,
                reason: None,
            });
        }
        standing
    }

    fn check(steps: &[(TransitionKind, &str)], current: &str, previous: Option<&str>) {
        let standing = after(steps);
        assert_eq!(standing.current.as_ref().expect("current").version.as_str(), current);
        assert_eq!(standing.earlier().next().map(Version::as_str), previous, "{steps:?}");
    }

    #[test]
    fn rolling_back_never_bounces() {
        use TransitionKind::{Promote, Revoke, Rollback};
        check(&[(Promote, "A"), (Promote, "B")], "B", Some("A"));
        check(&[(Promote, "A"), (Promote, "B"), (Rollback, "A")], "A", None);
        check(&[(Promote, "A"), (Promote, "B"), (Promote, "C"), (Rollback, "B")], "B", Some("A"));
        check(&[(Promote, "A"), (Promote, "B"), (Rollback, "A"), (Promote, "C")], "C", Some("A"));
        // Back to the one that was left: what stood before stays before.
        check(&[(Promote, "A"), (Promote, "B"), (Rollback, "A"), (Rollback, "B")], "B", Some("A"));
        check(&[(Promote, "A"), (Promote, "B"), (Promote, "A")], "A", Some("B"));
        check(&[(Promote, "A"), (Promote, "B"), (Promote, "C"), (Revoke, "B")], "C", Some("A"));
    }
}
