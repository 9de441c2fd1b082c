//! Packing old commits into segments, and deleting them once they are packed and old.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use ingot_core::{Digest, Seq, Timestamp};
use object_store::ObjectMeta;

use crate::commit::{Commit, Head};
use crate::ledger::Ledger;
use crate::segment::Packer;
use crate::{Error, Result};

/// How many commits are fetched beside each other.
const FETCHES_AT_ONCE: usize = 8;

/// What one compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// How many segments it wrote, or found written by another process at the same time.
    pub segments: u64,
    /// How many commits it deleted.
    pub commits_deleted: u64,
}

impl Ledger {
    /// Packs every full range of commits into its segment, then deletes the packed commits that
    /// were created longer than `keep_commits` before `now`.
    ///
    /// May be stopped at any step and run again, beside writers, readers and other compactions: a
    /// segment is created once, its bytes follow from the commits, and it is read back and
    /// followed from end to end before the first of its commits goes.
    pub async fn compact(&self, now: Timestamp) -> Result<Compacted> {
        let mut done = Compacted::default();
        let segments = self.list_segments().await?;
        let listed = self.list_commits().await?;
        let mut number = segments.last().map_or(0, |last| last + 1);
        self.state().segments.extend(segments);
        let mut before = self.end_of_segment(number).await?;
        loop {
            let (first, last) = self.layout.segment_range(number);
            let full = listed.range(first..=last).count() as u64 == last + 1 - first;
            if !full {
                break;
            }
            before = self.pack(number, &before).await?;
            self.state().segments.insert(number);
            done.segments += 1;
            number += 1;
        }

        // The store's own time of creation: what a commit says of itself may be long before it
        // landed.
        let mut old: BTreeMap<u64, Vec<Seq>> = BTreeMap::new();
        for (seq, meta) in &listed {
            let packed = self.layout.segment_of(*seq);
            if packed < number && self.age(meta, now) > self.options.keep_commits {
                old.entry(packed).or_default().push(*seq);
            }
        }
        for (number, seqs) in old {
            self.check_segment(number).await?;
            self.door.sync_found(&self.layout.segment(number)).await?;
            let keys: Vec<_> = seqs.iter().map(|seq| self.layout.commit(*seq)).collect();
            self.door.delete(&keys).await?;
            done.commits_deleted += seqs.len() as u64;
        }
        Ok(done)
    }

    /// How long ago, at `now`, the store created an object.
    pub(crate) fn age(&self, meta: &ObjectMeta, now: Timestamp) -> Duration {
        let created = Timestamp::from_millisecond(meta.last_modified.timestamp_millis());
        let age =
            created.ok().and_then(|created| Duration::try_from(now.duration_since(created)).ok());
        age.unwrap_or_default()
    }

    /// All commits that lie there one by one.
    pub(crate) async fn list_commits(&self) -> Result<BTreeMap<Seq, ObjectMeta>> {
        let listed = self.door.walk(&self.layout.commits()).await?;
        let numbered = |meta: ObjectMeta| Some((self.layout.commit_seq(&meta.location)?, meta));
        Ok(listed.into_iter().filter_map(numbered).collect())
    }

    /// The head that the commits before a segment end with, by that segment's predecessor.
    async fn end_of_segment(&self, number: u64) -> Result<Head> {
        match number {
            0 => Ok(self.start()),
            _ => self.check_segment(number - 1).await,
        }
    }

    /// Writes one segment and makes sure that it is there.
    async fn pack(&self, number: u64, before: &Head) -> Result<Head> {
        let (first, last) = self.layout.segment_range(number);
        let mut head = *before;
        let mut packer = Packer::new(before);
        let mut fetched = futures_util::stream::iter(first..=last)
            .map(|seq| async move { self.door.find(&self.layout.commit(seq)).await })
            .buffered(FETCHES_AT_ONCE);
        while let Some(line) = fetched.next().await.transpose()? {
            let key = self.layout.commit(head.seq + 1);
            // Gone since the listing: another compaction has packed it. That one's segment is
            // checked like one's own.
            let Some(line) = line else { return self.check_segment(number).await };
            head = follow(key.as_ref(), &line, &head)?;
            if let Some((digest, bytes)) = packer.push(&line, head) {
                self.write_part(&digest, &bytes).await?;
            }
        }
        let (part, segment) = packer.finish(&self.name);
        if let Some((digest, bytes)) = part {
            self.write_part(&digest, &bytes).await?;
        }
        self.door.create_fixed(&self.layout.segment(number), &segment).await?;
        Ok(head)
    }

    async fn write_part(&self, digest: &Digest, bytes: &Bytes) -> Result<()> {
        self.door.create_fixed(&self.layout.segment_part(digest), bytes).await
    }

    /// Reads a whole segment from the store and follows its chain. Gives back the head it ends
    /// with.
    pub(crate) async fn check_segment(&self, number: u64) -> Result<Head> {
        let (first, last) = self.layout.segment_range(number);
        let key = self.layout.segment(number);
        let mut head: Option<Head> = None;
        let mut seq = first;
        while seq <= last {
            let part = self.load_part(seq).await?;
            let part = part.ok_or_else(|| Error::damaged(key.as_ref(), "it is missing"))?;
            // The time before the first commit is not in the segment; it is in the one before.
            let mut at = head.unwrap_or(Head {
                seq: first - 1,
                hash: part.header().prev,
                at: Timestamp::UNIX_EPOCH,
            });
            while let Some(line) = part.find(seq) {
                at = follow(key.as_ref(), &line, &at)?;
                seq += 1;
            }
            head = Some(at);
        }
        head.ok_or_else(|| Error::damaged(key.as_ref(), "it is empty"))
    }
}

/// Checks that a line is the commit after `head`, and gives back the new head.
pub(crate) fn follow(key: &str, line: &[u8], head: &Head) -> Result<Head> {
    let commit = Commit::decode(key, line)?;
    match commit.misfit(head) {
        None => Ok(Head { seq: commit.seq, hash: Digest::of(line), at: commit.at }),
        Some(reason) => Err(Error::broken(head.seq + 1, reason)),
    }
}
