//! What is kept beyond the records of the core, and what pages are made of.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use ingot_core::names::{PackageName, ProjectName, Seq};
use ingot_core::records::{Admission, ChannelRecord, PackageRecord, ReleaseRecord};
use ingot_core::standing::{Current, Standing, Transition};
use ingot_core::{Digest, Timestamp};

/// What is folded, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TagRow {
    pub(crate) seq: Seq,
    pub(crate) hash: Digest,
    pub(crate) at: Timestamp,
    pub(crate) fold: u32,
}

/// A channel and its place among the channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChannelRow {
    pub(crate) ordinal: u32,
    #[serde(flatten)]
    pub(crate) record: ChannelRecord,
}

/// The part of a standing that is read on every fetch; its line lies apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StandingRow {
    pub(crate) current: Option<Current>,
    pub(crate) held: bool,
}

/// An admission, and where in its commit it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AdmissionRow {
    #[serde(flatten)]
    pub(crate) admission: Admission,
    pub(crate) position: u32,
}

/// When which answer was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AnswerAge {
    pub(crate) at: Timestamp,
    pub(crate) by: String,
    pub(crate) key: String,
}

/// A package as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageRow {
    /// Its name.
    pub package: PackageName,
    /// What is known of it.
    pub record: PackageRecord,
}

/// One package of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelPackage {
    /// The package.
    pub package: PackageName,
    /// What is current; none if it was only ever held.
    pub current: Option<Current>,
    /// Whether promotions are refused.
    pub held: bool,
}

/// One release that is admitted to a channel.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmittedRelease {
    /// The release.
    pub release: ReleaseRecord,
    /// Since when, by whom and by which commit.
    pub admission: Admission,
}

/// One transition of a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelTransition {
    /// The package that it is about.
    pub package: PackageName,
    /// What happened.
    #[serde(flatten)]
    pub transition: Transition,
}

/// One project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectRow {
    /// Its name.
    pub project: ProjectName,
    /// When it was created.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
}

/// A channel as it was at some time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PastChannel {
    /// The last commit, up to that time, that changed what stands in it; 0 if there was none.
    pub seq: Seq,
    /// Where each package stood.
    pub standings: BTreeMap<PackageName, Standing>,
}
