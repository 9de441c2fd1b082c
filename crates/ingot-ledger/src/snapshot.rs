//! Snapshots of the fold: opaque chunks named by their content, and a manifest created once under
//! the commit and the version of the fold. They save time and hold no truth: one that cannot be
//! read is done without.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use ingot_core::{Digest, Seq, Timestamp};
use object_store::path::Path;
use serde::{Deserialize, Serialize};

use crate::commit::{FORMAT_VERSION, Head, check_version};
use crate::door::Created;
use crate::ledger::Ledger;
use crate::{Error, Result};

/// The largest chunk, in bytes.
pub const CHUNK_BYTES_MAX: usize = 16 * 1024 * 1024;
/// The most chunks of one snapshot.
pub const CHUNKS_MAX: usize = 65_536;
/// How many snapshots of each version of the fold are kept.
pub const SNAPSHOTS_KEPT: usize = 2;
/// How long a chunk that no manifest names is left alone: its snapshot may still be under way.
pub const CHUNK_GRACE: Duration = Duration::from_hours(1);

/// What a snapshot consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotManifest {
    /// The version of the fold that made it; another version cannot read it.
    pub fold_version: u32,
    /// The commit it was made at.
    pub head: Head,
    /// The chunks, in order.
    pub chunks: Vec<SnapshotChunk>,
}

/// One chunk of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SnapshotChunk {
    /// Its length.
    pub bytes: u64,
    /// Its content.
    pub digest: Digest,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    at: Timestamp,
    chunks: Vec<SnapshotChunk>,
    fold: u32,
    hash: Digest,
    ledger: String,
    seq: Seq,
    v: u32,
}

impl SnapshotManifest {
    fn encode(&self, ledger: &str) -> Bytes {
        let written = Written {
            at: self.head.at,
            chunks: self.chunks.clone(),
            fold: self.fold_version,
            hash: self.head.hash,
            ledger: ledger.to_owned(),
            seq: self.head.seq,
            v: FORMAT_VERSION,
        };
        Bytes::from(serde_json::to_vec(&written).expect("plain data with string keys serialises"))
    }

    pub(crate) fn decode(key: &str, ledger: &str, bytes: &[u8]) -> Result<Self> {
        check_version(key, bytes)?;
        let written: Written = serde_json::from_slice(bytes)
            .map_err(|error| Error::damaged(key, format!("not a manifest: {error}")))?;
        let manifest = Self {
            fold_version: written.fold,
            head: Head { seq: written.seq, hash: written.hash, at: written.at },
            chunks: written.chunks,
        };
        match written.ledger == ledger && manifest.encode(ledger) == bytes {
            true => Ok(manifest),
            false => Err(Error::damaged(key, "of another ledger, or not in the canonical form")),
        }
    }
}

/// A snapshot under way. Dropped before [`finish`](Self::finish), it leaves chunks that
/// [`Ledger::prune_snapshots`] removes.
pub struct SnapshotWriter<'a> {
    ledger: &'a Ledger,
    manifest: SnapshotManifest,
}

impl SnapshotWriter<'_> {
    /// Stores the next chunk.
    ///
    /// Errors: `NotAccepted` when it is empty or larger than [`CHUNK_BYTES_MAX`], or when there
    /// are [`CHUNKS_MAX`] already; `Unavailable`, `SyncFailed`.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        if bytes.is_empty() || bytes.len() > CHUNK_BYTES_MAX {
            let reason = format!("{} bytes, where 1 to {CHUNK_BYTES_MAX} can be", bytes.len());
            return Err(Error::not_accepted("a snapshot's chunk", reason));
        }
        if self.manifest.chunks.len() == CHUNKS_MAX {
            let reason = format!("it has {CHUNKS_MAX} chunks already");
            return Err(Error::not_accepted("a snapshot", reason));
        }
        let digest = Digest::of(&bytes);
        let key = self.ledger.layout.chunk(&digest);
        match self.ledger.door.create(&key, bytes.clone()).await {
            Created::New => {}
            // Written anew, so that it counts as young and is whole, whatever was there. Its bytes
            // follow from its name, so nothing that anybody may rely on is changed.
            Created::Occupied => self.ledger.door.overwrite(&key, bytes.clone()).await?,
            Created::Unknown(error) => return Err(error),
        }
        self.manifest.chunks.push(SnapshotChunk { bytes: bytes.len() as u64, digest });
        Ok(())
    }

    /// Makes the snapshot visible. When another process made one at the same commit before, that
    /// one is given back and stands.
    pub async fn finish(self) -> Result<SnapshotManifest> {
        let Self { ledger, manifest } = self;
        let key = ledger.layout.manifest(manifest.fold_version, manifest.head.seq);
        let bytes = manifest.encode(&ledger.name);
        match ledger.door.create(&key, bytes).await {
            Created::New => Ok(manifest),
            Created::Unknown(error) => Err(error),
            Created::Occupied => {
                let found = ledger.read_manifest(&key).await?;
                ledger.door.sync_found(&key).await?;
                match found.head == manifest.head {
                    true => Ok(found),
                    false => Err(Error::damaged(key.as_ref(), "it was made at another commit")),
                }
            }
        }
    }
}

impl Ledger {
    /// Starts a snapshot of the fold at `head`.
    pub fn begin_snapshot(&self, head: &Head, fold_version: u32) -> SnapshotWriter<'_> {
        let manifest = SnapshotManifest { fold_version, head: *head, chunks: Vec::new() };
        SnapshotWriter { ledger: self, manifest }
    }

    /// The newest snapshot of one version of the fold, at or before a commit if one is given. One
    /// whose manifest is damaged is passed over. That its head lies on the chain
    /// ([`lies_on_chain`](Self::lies_on_chain)) and its chunks are whole, the reader finds out.
    pub async fn newest_snapshot(
        &self,
        fold_version: u32,
        at_most: Option<Seq>,
    ) -> Result<Option<SnapshotManifest>> {
        let listed = self.door.list(&self.layout.manifests_of(fold_version)).await?;
        let keys = listed.objects.into_iter().map(|meta| meta.location);
        let mut seqs: Vec<Seq> = keys
            .filter_map(|key| self.layout.manifest_of(&key))
            .map(|(_, seq)| seq)
            .filter(|seq| at_most.is_none_or(|most| *seq <= most))
            .collect();
        seqs.sort_unstable();
        for seq in seqs.into_iter().rev() {
            match self.read_manifest(&self.layout.manifest(fold_version, seq)).await {
                Ok(manifest) => return Ok(Some(manifest)),
                Err(error @ Error::Damaged { .. }) => {
                    tracing::warn!(ledger = self.name, %error, "a snapshot is passed over");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// One chunk of a snapshot, verified.
    ///
    /// Errors: `Damaged` when it is not what it should be, or gone: then do without the snapshot.
    pub async fn read_chunk(&self, chunk: &SnapshotChunk) -> Result<Bytes> {
        let key = self.layout.chunk(&chunk.digest);
        match self.door.find(&key).await? {
            None => Err(Error::damaged(key.as_ref(), "it is missing")),
            Some(bytes)
                if bytes.len() as u64 != chunk.bytes || Digest::of(&bytes) != chunk.digest =>
            {
                Err(Error::damaged(key.as_ref(), "its bytes are not the ones it is named after"))
            }
            Some(bytes) => Ok(bytes),
        }
    }

    /// Removes all but the newest [`SNAPSHOTS_KEPT`] snapshots of each version of the fold, then
    /// the chunks that no manifest names and that are older than [`CHUNK_GRACE`] at `now`. Gives
    /// back how many objects it removed. Manifests go first, so that none names a chunk that was
    /// removed on purpose.
    pub async fn prune_snapshots(&self, now: Timestamp) -> Result<usize> {
        let mut by_fold: BTreeMap<u32, Vec<Seq>> = BTreeMap::new();
        for key in self.manifest_keys().await? {
            if let Some((fold_version, seq)) = self.layout.manifest_of(&key) {
                by_fold.entry(fold_version).or_default().push(seq);
            }
        }
        let mut old = Vec::new();
        for (fold_version, mut seqs) in by_fold {
            seqs.sort_unstable();
            seqs.truncate(seqs.len().saturating_sub(SNAPSHOTS_KEPT));
            old.extend(seqs.into_iter().map(|seq| self.layout.manifest(fold_version, seq)));
        }
        self.door.delete(&old).await?;

        // Chunks are listed before manifests: a chunk of a snapshot that appears in between is
        // then either named by a manifest that is seen, or too young.
        let chunks = self.door.walk(&self.layout.chunks()).await?;
        let mut named = HashSet::new();
        for key in self.manifest_keys().await? {
            match self.read_manifest(&key).await {
                Ok(manifest) => {
                    named.extend(
                        manifest.chunks.iter().map(|chunk| self.layout.chunk(&chunk.digest)),
                    );
                }
                // Without knowing what it names nothing can be removed safely.
                Err(error) => return Err(error),
            }
        }
        let unused: Vec<Path> = chunks
            .into_iter()
            .filter(|meta| !named.contains(&meta.location))
            .filter(|meta| self.age(meta, now) > CHUNK_GRACE)
            .map(|meta| meta.location)
            .collect();
        self.door.delete(&unused).await?;
        Ok(old.len() + unused.len())
    }

    pub(crate) async fn manifest_keys(&self) -> Result<Vec<Path>> {
        let listed = self.door.walk(&self.layout.manifests()).await?;
        Ok(listed.into_iter().map(|meta| meta.location).collect())
    }

    pub(crate) async fn read_manifest(&self, key: &Path) -> Result<SnapshotManifest> {
        let found = self.door.find(key).await?;
        let bytes = found.ok_or_else(|| Error::damaged(key.as_ref(), "it is missing"))?;
        let manifest = SnapshotManifest::decode(key.as_ref(), &self.name, &bytes)?;
        match self.layout.manifest(manifest.fold_version, manifest.head.seq) == *key {
            true => Ok(manifest),
            false => Err(Error::damaged(key.as_ref(), "it describes another snapshot")),
        }
    }
}
