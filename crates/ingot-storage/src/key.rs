//! Where a blob lies.

use ingot_core::{Digest, ProjectName};
use object_store::path::Path;

/// The place of one blob: project, content, and how often that content was collected before.
///
/// A collected digest that is uploaded again gets a new incarnation, so that a late physical
/// delete of the old one cannot hit the new one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobKey {
    /// The project that owns the blob.
    pub project: ProjectName,
    /// The sha256 of the bytes.
    pub digest: Digest,
    /// How many collections of this digest came before.
    pub incarnation: u32,
}

/// What the digests of a blob's pieces are called, after the blob's own name.
pub(crate) const PIECES_SUFFIX: &str = ".pieces";

impl BlobKey {
    /// `projects/{p}/blobs/sha256/ab/<hex>.<incarnation>`, relative to the root of the store.
    pub fn path(&self) -> String {
        let shard = self.shard();
        let name = self.name();
        format!("{}/{shard}/{name}", Self::folder(&self.project))
    }

    /// The folder that holds the shards of a project.
    pub(crate) fn folder(project: &ProjectName) -> String {
        format!("projects/{}/blobs/sha256", project.as_ref())
    }

    /// The first two hex digits of the digest.
    pub(crate) fn shard(&self) -> String {
        format!("{:02x}", self.digest.as_bytes()[0])
    }

    /// The file name inside the shard.
    pub(crate) fn name(&self) -> String {
        format!("{}.{}", self.digest.hex(), self.incarnation)
    }

    /// The file name, inside the shard, of the digests of the pieces.
    pub(crate) fn pieces_name(&self) -> String {
        format!("{}{PIECES_SUFFIX}", self.name())
    }

    /// The blob as a path of an object store.
    pub(crate) fn location(&self) -> Path {
        Path::from(self.path())
    }

    /// The digests of its pieces as a path of an object store.
    pub(crate) fn pieces_location(&self) -> Path {
        Path::from(format!("{}{PIECES_SUFFIX}", self.path()))
    }

    /// Reads a file name back; none for anything that is not exactly a blob's name.
    pub(crate) fn parse_name(project: &ProjectName, name: &str) -> Option<Self> {
        let (hex, incarnation) = name.split_once('.')?;
        let digest = Digest::from_hex(hex).ok()?;
        let incarnation = incarnation.parse().ok()?;
        let key = Self { project: project.clone(), digest, incarnation };
        (key.name() == name).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_nothing_else_does() {
        let project = ProjectName::new("main").unwrap();
        let key = BlobKey { project: project.clone(), digest: Digest::of(b"x"), incarnation: 7 };
        assert_eq!(BlobKey::parse_name(&project, &key.name()), Some(key.clone()));
        assert!(key.path().starts_with("projects/main/blobs/sha256/2d/2d71"));
        let hex = key.digest.hex();
        for bad in [
            hex.clone(),
            format!("{hex}."),
            format!("{hex}.07"),
            format!("{hex}.+7"),
            format!("{hex}.4294967296"),
            format!("{hex}.7.pieces"),
            format!("{hex}.7#1"),
            format!("{}.7", hex.to_uppercase()),
        ] {
            assert_eq!(BlobKey::parse_name(&project, &bad), None, "{bad}");
        }
        assert!(BlobKey::parse_name(&project, &format!("{hex}.{}", u32::MAX)).is_some());
    }
}
