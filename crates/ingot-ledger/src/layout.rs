//! Where things lie in the store, below the ledger's prefix.
//!
//! | key | is |
//! |---|---|
//! | `commits/<n/10000, 16 digits>/<n, 20 digits>` | commit n: one line of JSON |
//! | `segments/<first>-<last>` (20 digits each) | a full range of commits: one line of JSON that describes it, then the commits, one a line; or, where these would be too many bytes, the list of its parts |
//! | `segments/parts/<sha256>` | consecutive commits of a segment, one a line |
//! | `snapshots/manifests/<fold version, 10 digits>/<n, 20 digits>` | what a snapshot consists of: one line of JSON |
//! | `snapshots/chunks/<sha256>` | a piece of a snapshot, opaque here |
//!
//! Every object is created once and never changed. All keys are plain ASCII, so that every store
//! spells them the same way.

use ingot_core::{Digest, Seq};
use object_store::path::Path;

/// How many commits share a directory. Directories stay small enough to list, and a directory is
/// made (and synced) rarely.
pub const COMMITS_PER_DIRECTORY: u64 = 10_000;

/// The keys of one ledger.
#[derive(Clone, Debug)]
pub struct Layout {
    prefix: Path,
    segment_commits: u64,
}

impl Layout {
    /// The layout below `prefix`, with segments of that many commits.
    ///
    /// Errors when the prefix is not a plain path such as `projects/main/ledger`.
    pub fn new(prefix: &str, segment_commits: u64) -> crate::Result<Self> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
        match Path::parse(prefix) {
            Ok(prefix) if !prefix.as_ref().is_empty() && prefix.as_ref().bytes().all(plain) => {
                Ok(Self { prefix, segment_commits })
            }
            _ => Err(crate::Error::not_accepted("the ledger's prefix", prefix)),
        }
    }

    fn key(&self, rest: &str) -> Path {
        Path::parse(format!("{}/{rest}", self.prefix)).expect("digits and hex are legal in keys")
    }

    /// The directory of all commits.
    pub fn commits(&self) -> Path {
        self.key("commits")
    }
    /// Commit `seq`.
    pub fn commit(&self, seq: Seq) -> Path {
        self.key(&format!("commits/{:016}/{seq:020}", seq / COMMITS_PER_DIRECTORY))
    }
    /// The number of the commit that a key is of.
    pub fn commit_seq(&self, key: &Path) -> Option<Seq> {
        let seq = key.filename()?.parse().ok()?;
        (self.commit(seq) == *key).then_some(seq)
    }
    /// The directory of all segments.
    pub fn segments(&self) -> Path {
        self.key("segments")
    }
    /// Which segment a commit belongs to; the first is 0.
    pub fn segment_of(&self, seq: Seq) -> u64 {
        seq.saturating_sub(1) / self.segment_commits
    }
    /// The first and the last commit of a segment.
    pub fn segment_range(&self, number: u64) -> (Seq, Seq) {
        (number * self.segment_commits + 1, (number + 1) * self.segment_commits)
    }
    /// A segment.
    pub fn segment(&self, number: u64) -> Path {
        let (first, last) = self.segment_range(number);
        self.key(&format!("segments/{first:020}-{last:020}"))
    }
    /// The number of the segment that a key is of.
    pub fn segment_number(&self, key: &Path) -> Option<u64> {
        let first: Seq = key.filename()?.split_once('-')?.0.parse().ok()?;
        let number = self.segment_of(first);
        (self.segment(number) == *key).then_some(number)
    }
    /// A part of a segment.
    pub fn segment_part(&self, digest: &Digest) -> Path {
        self.key(&format!("segments/parts/{}", digest.hex()))
    }
    /// The directory of all snapshot manifests.
    pub fn manifests(&self) -> Path {
        self.key("snapshots/manifests")
    }
    /// The directory of the snapshot manifests of one version of the fold.
    pub fn manifests_of(&self, fold_version: u32) -> Path {
        self.key(&format!("snapshots/manifests/{fold_version:010}"))
    }
    /// The manifest of the snapshot at `seq` for one version of the fold.
    pub fn manifest(&self, fold_version: u32, seq: Seq) -> Path {
        self.key(&format!("snapshots/manifests/{fold_version:010}/{seq:020}"))
    }
    /// The fold version and the commit that a manifest's key is of.
    pub fn manifest_of(&self, key: &Path) -> Option<(u32, Seq)> {
        let mut parts = key.as_ref().rsplit('/');
        let seq = parts.next()?.parse().ok()?;
        let fold_version = parts.next()?.parse().ok()?;
        (self.manifest(fold_version, seq) == *key).then_some((fold_version, seq))
    }
    /// The directory of all snapshot chunks.
    pub fn chunks(&self) -> Path {
        self.key("snapshots/chunks")
    }
    /// A chunk of a snapshot.
    pub fn chunk(&self, digest: &Digest) -> Path {
        self.key(&format!("snapshots/chunks/{}", digest.hex()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_apart_and_read_back() {
        let layout = Layout::new("projects/main/ledger", 1024).expect("a plain prefix");
        for seq in [1, 9_999, 10_000, 10_001, Seq::from(u32::MAX)] {
            assert_eq!(layout.commit_seq(&layout.commit(seq)), Some(seq));
            assert_eq!(layout.manifest_of(&layout.manifest(3, seq)), Some((3, seq)));
        }
        assert_eq!(
            layout.commit(10_000).as_ref(),
            "projects/main/ledger/commits/0000000000000001/00000000000000010000"
        );
        assert_eq!(layout.segment_range(1), (1025, 2048));
        assert_eq!([1, 1024, 1025].map(|seq| layout.segment_of(seq)), [0, 0, 1]);
        assert_eq!(layout.segment_number(&layout.segment(7)), Some(7));
        let foreign = Layout::new("projects/main/ledger", 100).expect("a plain prefix").segment(7);
        assert_eq!(layout.segment_number(&foreign), None, "made with another size");
        assert_eq!(layout.commit_seq(&layout.segment(0)), None);
    }

    #[test]
    fn prefixes_are_plain() {
        for bad in ["", "/", "a//b", "../x", "a b", "a/ü", "a#1"] {
            assert!(Layout::new(bad, 8).is_err(), "{bad:?}");
        }
    }
}
