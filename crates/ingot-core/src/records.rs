//! What the ledger folds into: one record per thing, as the rules and the views read it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Timestamp;
use crate::digest::Digest;
use crate::event::{ChannelDefinition, FileFact};
use crate::grant::Grant;
use crate::names::{Alias, FilePath, ProjectName, Seq, Version};
use crate::origin::Origin;

/// One published file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// What was recorded of it.
    #[serde(flatten)]
    pub fact: FileFact,
    /// When it was published.
    pub published_at: Timestamp,
    /// By whom.
    pub published_by: String,
}

/// Why a release is not served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Block {
    /// Why.
    pub reason: Option<String>,
    /// By whom.
    pub by: String,
    /// Since when.
    pub at: Timestamp,
}

/// One published release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Its version.
    pub version: Version,
    /// Its files, in order of path.
    pub files: Vec<FileRecord>,
    /// Where it came from.
    pub origin: Origin,
    /// When it became visible.
    pub published_at: Timestamp,
    /// Who made it visible.
    pub published_by: String,
    /// The commit that made it visible.
    pub published_seq: Seq,
    /// The release digest; set means sealed.
    pub digest: Option<Digest>,
    /// When it was sealed.
    pub sealed_at: Option<Timestamp>,
    /// Its further names, in the order given.
    pub aliases: Vec<Alias>,
    /// Set while it is blocked.
    pub blocked: Option<Block>,
    /// The spans in which it was blocked before: from, to.
    #[serde(default)]
    pub past_blocks: Vec<(Timestamp, Timestamp)>,
    /// Why it can never be promoted, if so.
    pub unpromotable: Option<String>,
    /// The last commit that changed it.
    pub revision: Seq,
}

impl ReleaseRecord {
    /// The file of that name.
    pub fn find_file(&self, path: &FilePath) -> Option<&FileRecord> {
        let at = self.files.binary_search_by(|file| file.fact.path.cmp(path)).ok()?;
        Some(&self.files[at])
    }
    /// Whether it was blocked at some time, so that a later block does not change the past.
    pub fn was_blocked(&self, at: Timestamp) -> bool {
        self.blocked.as_ref().is_some_and(|block| block.at <= at)
            || self.past_blocks.iter().any(|(from, to)| *from <= at && at < *to)
    }
    /// `published` or `sealed`.
    pub fn state(&self) -> &'static str {
        if self.digest.is_some() { "sealed" } else { "published" }
    }
}

/// The files that one principal has staged for one coordinate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DraftRecord {
    /// The files, in order of path.
    pub files: Vec<FileFact>,
    /// What the uploads said of their origin, put together.
    pub origin: Origin,
    /// When the last file came.
    pub at: Option<Timestamp>,
}

/// One package.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageRecord {
    /// How many releases it has.
    pub releases: u64,
    /// The last commit that changed the package, its releases or its standing anywhere.
    pub revision: Seq,
}

/// One channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// How it is defined.
    #[serde(flatten)]
    pub definition: ChannelDefinition,
    /// The last commit that changed it: its definition or what stands in it.
    pub seq: Seq,
    /// True once something was promoted to it.
    pub used: bool,
}

/// That a release was admitted to a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Admission {
    /// Since when.
    pub since: Timestamp,
    /// By whom.
    pub by: String,
    /// By which commit.
    pub seq: Seq,
}

/// Some content.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    /// Length in bytes.
    pub size: u64,
    /// How often content with this digest was collected so far.
    pub incarnation: u32,
    /// Whether any file, published or staged, holds it.
    pub referenced: bool,
}

/// An answer kept for a repeated request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AnswerRecord {
    /// A digest of the request it answers.
    pub fingerprint: Digest,
    /// "Created", or "was so already".
    pub fresh: bool,
    /// The body.
    pub body: Value,
    /// The commit that holds it.
    pub seq: Seq,
    /// When it was given.
    pub at: Timestamp,
}

/// A token, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// The public id.
    pub id: String,
    /// The hash it is looked up by, lower-case hex.
    pub hash: String,
    /// Who or what it is for.
    pub name: String,
    /// The project it is good in; none means all.
    pub project: Option<ProjectName>,
    /// What it may do.
    pub grants: Vec<Grant>,
    /// When it was minted.
    pub created_at: Timestamp,
    /// Who minted it.
    pub created_by: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// Where one file of some content is found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The release.
    pub coordinate: crate::names::Coordinate,
    /// The file; none when the whole release is meant.
    pub path: Option<FilePath>,
}

/// What retention may never remove, per channel and package.
pub type KeepSet = BTreeSet<crate::names::Coordinate>;
