//! What a rule may look at.
//!
//! One implementation folds the ledger (`ingot-index`); it serves the state on disk and the state
//! "as if the changes before mine in this batch had been made" through the same functions.

use crate::digest::{AnyDigest, Digest};
use crate::names::{Alias, ChannelName, Coordinate, PackageName, ProjectName, Seq, Version};
use crate::origin::CommitSha;
use crate::records::{
    Admission, AnswerRecord, BlobRecord, ChannelRecord, DraftRecord, PackageRecord, Place,
    ReleaseRecord, TokenRecord,
};
use crate::refusal::Refusal;
use crate::standing::{Standing, Transition};

/// Reads of the folded ledger, all at one commit. An engine that fails answers with
/// [`crate::Code::Internal`]; nothing is ever guessed.
pub trait Facts {
    /// The last commit these facts include.
    fn seq(&self) -> Seq;
    /// A published release.
    fn find_release(&self, at: &Coordinate) -> Result<Option<ReleaseRecord>, Refusal>;
    /// What a principal has staged.
    fn find_draft(&self, at: &Coordinate, by: &str) -> Result<Option<DraftRecord>, Refusal>;
    /// A package.
    fn find_package(&self, package: &PackageName) -> Result<Option<PackageRecord>, Refusal>;
    /// The taken version that equals this one but for case.
    fn find_case_twin(&self, at: &Coordinate) -> Result<Option<Version>, Refusal>;
    /// The version an alias names.
    fn find_alias(&self, package: &PackageName, alias: &Alias) -> Result<Option<Version>, Refusal>;
    /// The versions of a package whose release digest this is.
    fn versions_by_digest(
        &self,
        package: &PackageName,
        digest: &Digest,
    ) -> Result<Vec<Version>, Refusal>;
    /// The versions of a package built from a commit, or from one that starts so; at most `limit`.
    fn versions_by_commit(
        &self,
        package: &PackageName,
        commit: &CommitSha,
        limit: usize,
    ) -> Result<Vec<(CommitSha, Version)>, Refusal>;
    /// Every release of the project built from a commit, in order of package; at most `limit`.
    fn releases_by_commit(
        &self,
        commit: &CommitSha,
        limit: usize,
    ) -> Result<Vec<(CommitSha, Coordinate)>, Refusal>;
    /// The files and releases with a digest; at most `limit`.
    fn places(&self, digest: &AnyDigest, limit: usize) -> Result<Vec<Place>, Refusal>;
    /// The channels, in the order they were defined.
    fn channels(&self) -> Result<Vec<ChannelRecord>, Refusal>;
    /// Where a package stands in a channel.
    fn find_standing(
        &self,
        channel: &ChannelName,
        package: &PackageName,
    ) -> Result<Option<Standing>, Refusal>;
    /// Whether a release is admitted to a channel.
    fn find_admission(
        &self,
        channel: &ChannelName,
        at: &Coordinate,
    ) -> Result<Option<Admission>, Refusal>;
    /// The transitions of one package in one channel, oldest first, after a commit; at most `limit`.
    fn transitions(
        &self,
        channel: &ChannelName,
        package: &PackageName,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Transition>, Refusal>;
    /// Some content.
    fn find_blob(&self, digest: &Digest) -> Result<Option<BlobRecord>, Refusal>;
    /// The answer kept for a key that a principal used.
    fn find_answer(&self, by: &str, key: &str) -> Result<Option<AnswerRecord>, Refusal>;
    /// Whether a project exists (system ledger).
    fn has_project(&self, project: &ProjectName) -> Result<bool, Refusal>;
    /// A token by the hash of its secret, unless it was revoked (system ledger).
    fn find_token(&self, hash: &str) -> Result<Option<TokenRecord>, Refusal>;
    /// A token by its public id, unless it was revoked (system ledger).
    fn find_token_by_id(&self, id: &str) -> Result<Option<TokenRecord>, Refusal>;
}
