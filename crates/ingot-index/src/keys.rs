//! What is kept under which key.
//!
//! A key is the byte of its [`Table`], then its parts: names separated by a zero byte (which no
//! name contains), digests raw, numbers big-endian, so that keys sort as what they mean. No value
//! grows with the number of releases of a package.

use ingot_core::Seq;
use ingot_core::digest::{AnyDigest, Digest, HashKind};

/// The tables, by the first byte of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Table {
    /// () → what is folded.
    Tag = 0x01,
    /// package → `PackageRecord`; in order of format and name.
    Package = b'P',
    /// package, version → `ReleaseRecord`.
    Release = b'R',
    /// package, place in the ledger → version; releases in the order they were published.
    ReleaseOrder = b'O',
    /// package, alias → version.
    Alias = b'A',
    /// package, commit, version; the versions built from a commit.
    CommitVersion = b'C',
    /// commit, package, version; the releases built from a commit.
    CommitRelease = b'c',
    /// sha256, package, version, path; where content is published.
    FilePlace = b'F',
    /// kind, hash, package, version, path; the same by other hashes.
    HashPlace = b'H',
    /// release digest, package, version.
    ReleaseDigest = b'D',
    /// sha256 → `BlobRecord`.
    Blob = b'B',
    /// sha256, package, version, path, principal; which drafts hold content.
    DraftPlace = b'e',
    /// package, version, principal → `DraftRecord`.
    Draft = b'E',
    /// package, version in lower case → version.
    VersionTwin = b'w',
    /// package in lower case → package.
    PackageTwin = b'W',
    /// channel → `ChannelRow`.
    Channel = b'N',
    /// channel, package → `StandingRow`.
    Standing = b'S',
    /// channel, package → the line of earlier currents.
    StandingLine = b's',
    /// channel, package, version → `AdmissionRow`.
    Admission = b'M',
    /// channel, package, place in the ledger → version; in the order of admission.
    AdmissionOrder = b'm',
    /// channel, package, place in the ledger → `Transition`.
    Transition = b'T',
    /// channel, place in the ledger → `ChannelTransition`.
    TransitionOrder = b't',
    /// principal, idempotency key → `AnswerRecord`.
    Answer = b'K',
    /// place in the ledger → `AnswerAge`; answers in the order they were given.
    AnswerAge = b'k',
    /// project → `ProjectRow`.
    Project = b'J',
    /// token id → `TokenRecord`.
    Token = b'Z',
    /// token hash → token id.
    TokenHash = b'z',
    /// project or nothing, token id; the tokens of a project.
    ProjectToken = b'Y',
}

/// Where in the ledger an event stands: its commit, and its place among the commit's events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The commit.
    pub seq: Seq,
    /// The event, from 0.
    pub position: u32,
}

impl Spot {
    /// Bytes a spot takes at the end of a key.
    pub const BYTES: usize = 12;
    /// Before anything.
    pub const START: Spot = Spot { seq: 0, position: 0 };

    /// Reads the spot that a key ends in.
    pub fn of(key: &[u8]) -> Option<Spot> {
        let (_, tail) = key.split_at_checked(key.len().checked_sub(Self::BYTES)?)?;
        let (seq, position) = tail.split_at_checked(8)?;
        Some(Spot {
            seq: u64::from_be_bytes(seq.try_into().ok()?),
            position: u32::from_be_bytes(position.try_into().ok()?),
        })
    }

    /// The smallest spot after this one.
    pub fn next(self) -> Spot {
        match self.position.checked_add(1) {
            Some(position) => Spot { position, ..self },
            None => Spot { seq: self.seq.saturating_add(1), position: 0 },
        }
    }
}

/// A key, or the start of one, in the making.
#[derive(Clone, Debug)]
pub struct Key(Vec<u8>);

impl Key {
    /// The start of every key of a table.
    pub fn of(table: Table) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(table as u8);
        Self(bytes)
    }
    /// Adds a name, and ends it.
    #[must_use]
    pub fn part(mut self, name: impl AsRef<str>) -> Self {
        self.0.extend_from_slice(name.as_ref().as_bytes());
        self.0.push(0);
        self
    }
    /// Adds a name as the last part of the key, or the first bytes of one to make a prefix.
    #[must_use]
    pub fn last(mut self, name: impl AsRef<str>) -> Self {
        self.0.extend_from_slice(name.as_ref().as_bytes());
        self
    }
    /// Adds raw bytes of fixed length.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }
    /// Adds a place in the ledger.
    #[must_use]
    pub fn spot(mut self, spot: Spot) -> Self {
        self.0.extend_from_slice(&spot.seq.to_be_bytes());
        self.0.extend_from_slice(&spot.position.to_be_bytes());
        self
    }
    /// The key.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The smallest key that is greater than every key with this prefix.
pub fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xff {
            end.push(last + 1);
            return end;
        }
    }
    // Only for a prefix of 0xff bytes, and no table has that number.
    vec![0xff; prefix.len() + 1]
}

/// The names that a key holds after `skip` bytes.
pub(crate) fn parts(key: &[u8], skip: usize) -> Option<Vec<&str>> {
    let names = std::str::from_utf8(key.get(skip..)?).ok()?;
    Some(names.split('\0').collect())
}

/// The start of the place keys of some content.
pub(crate) fn file_places(digest: &Digest) -> Key {
    Key::of(Table::FilePlace).raw(digest.as_bytes())
}

/// The start of the place keys of a hash; none if the text is not a hash of that kind.
pub(crate) fn hash_places(kind: HashKind, hash: &str) -> Option<Key> {
    let bytes = hex::decode(hash).ok().filter(|bytes| bytes.len() == kind.size_bytes())?;
    let number = match kind {
        HashKind::Md5 => 1,
        HashKind::Sha1 => 2,
        HashKind::Sha512 => 3,
    };
    Some(Key::of(Table::HashPlace).raw(&[number]).raw(&bytes))
}

/// The start of the place keys of any digest.
pub(crate) fn places(digest: &AnyDigest) -> Option<Key> {
    match digest {
        AnyDigest::Sha256(digest) => Some(file_places(digest)),
        AnyDigest::Other(kind, hash) => hash_places(*kind, hash),
    }
}

/// The key of an answer. Principals and keys are free text, so the first is kept off by length.
pub(crate) fn answer(by: &str, key: &str) -> Vec<u8> {
    let length = u32::try_from(by.len()).unwrap_or(u32::MAX).to_be_bytes();
    Key::of(Table::Answer).raw(&length).last(by).last(key).bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_prefix_is_just_after_all_that_starts_so() {
        assert_eq!(end_of(b"ab"), b"ac");
        assert_eq!(end_of(b"a\xff"), b"b");
        assert!(end_of(b"\xff").as_slice() > b"\xff".as_slice());
        assert!(end_of(b"R") <= Key::of(Table::Standing).bytes());
    }

    #[test]
    fn spots_sort_by_commit_then_place_and_read_back() {
        let key = |seq, position| {
            Key::of(Table::ReleaseOrder).part("raw:a").spot(Spot { seq, position }).bytes()
        };
        assert!(key(1, 9) < key(2, 0));
        assert!(key(255, 0) < key(256, 0));
        assert_eq!(Spot::of(&key(7, 3)), Some(Spot { seq: 7, position: 3 }));
        assert_eq!(Spot::of(b"short"), None);
    }

    #[test]
    fn answers_of_two_principals_never_share_a_key() {
        assert_ne!(answer("ab", "c"), answer("a", "bc"));
    }
}
