//! Reading: what follows a head, verified against the chain.

use bytes::Bytes;
use futures_util::StreamExt;
use ingot_core::{Digest, Seq};

use crate::commit::{Commit, Head};
use crate::ledger::Ledger;
use crate::{Error, Result};

/// About how many bytes of commits one read gives back: it stops at the first commit past this.
pub const READ_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many commits are fetched beside each other, once there is more than one.
const FETCHES_AT_ONCE: usize = 8;
/// How many commits a replay takes at a time.
const REPLAY_COMMITS: usize = 256;

impl Ledger {
    /// The commits after `head`, in order, each checked to follow from the one before. At most
    /// `limit`, or fewer when they are large; none only when there is nothing newer. Lists
    /// nothing, and asks for one object when there is nothing newer.
    ///
    /// Errors: `NotOnChain` when `head` is not of this ledger; `ChainBroken` when the ledger does
    /// not fit together (which also stops writes); `Damaged`, `NewerFormat`, `Unavailable`,
    /// `SyncFailed`.
    pub async fn read_after(&self, head: &Head, limit: usize) -> Result<Vec<Commit>> {
        self.ensure_durable(head.seq).await?;
        let (mut commits, mut size) = (Vec::new(), 0);
        let mut at = *head;
        // Several are asked for at once only when the last one was found alone: mostly there is
        // nothing newer, or a segment.
        let mut ahead = false;
        while commits.len() < limit && size < READ_BYTES_MAX {
            let room = limit - commits.len();
            let lines = self.fetch_after(&at, room, ahead).await?;
            ahead = !lines.packed;
            let Some(count) = self.take(&mut commits, &mut at, &mut size, &lines).await? else {
                // What lay there did not fit, and a segment turned out to cover it.
                continue;
            };
            if count == 0 {
                break;
            }
        }
        if at.seq > head.seq {
            self.ensure_durable(at.seq).await?;
        }
        Ok(commits)
    }

    /// Reads from a head to the end, in batches.
    pub fn replay(&self, from: &Head) -> Replay<'_> {
        Replay { ledger: self, head: *from }
    }

    /// Follows the chain from a head to the end and says where that is. For a ledger that is not
    /// folded; whoever folds it knows the head from that.
    pub async fn find_head(&self, from: &Head) -> Result<Head> {
        let mut replay = self.replay(from);
        while replay.next().await?.is_some() {}
        Ok(replay.head())
    }

    /// Whether a head is a commit of this ledger, for an index that remembers one.
    pub async fn lies_on_chain(&self, head: &Head) -> Result<bool> {
        Ok(self.head_at(head.seq).await? == Some(*head))
    }

    /// Checks lines and adds them. None: they came from commits that a segment has replaced, and
    /// must be fetched again.
    async fn take(
        &self,
        commits: &mut Vec<Commit>,
        at: &mut Head,
        size: &mut usize,
        lines: &Lines,
    ) -> Result<Option<usize>> {
        for line in &lines.lines {
            let seq = at.seq + 1;
            let key = if lines.packed {
                self.layout.segment(self.layout.segment_of(seq))
            } else {
                self.layout.commit(seq)
            };
            let decoded = Commit::decode(key.as_ref(), line);
            let misfit = decoded.as_ref().ok().and_then(|commit| commit.misfit(at));
            if !lines.packed
                && (misfit.is_some() || matches!(decoded, Err(Error::Damaged { .. })))
                && self.find_part(seq).await?.is_some()
            {
                return Ok(None);
            }
            if let Some(reason) = misfit {
                return Err(self.explain(at, reason).await?);
            }
            let commit = decoded?;
            *at = Head { seq, hash: Digest::of(line), at: commit.at };
            *size += line.len();
            commits.push(commit);
        }
        Ok(Some(lines.lines.len()))
    }

    /// Tells a head that is foreign to this ledger from a ledger that does not fit together.
    async fn explain(&self, head: &Head, reason: String) -> Result<Error> {
        if !self.lies_on_chain(head).await? {
            return Ok(Error::NotOnChain { seq: head.seq });
        }
        let seq = head.seq + 1;
        tracing::error!(ledger = self.name, seq, reason, "the ledger's chain is broken");
        self.state().broken.get_or_insert((seq, reason.clone()));
        Ok(Error::ChainBroken { seq, reason })
    }

    /// The bytes of the next commits, from their segment or one by one; none when there are none.
    async fn fetch_after(&self, head: &Head, room: usize, ahead: bool) -> Result<Lines> {
        let next = head.seq + 1;
        let number = self.layout.segment_of(next);
        let known = self.state().segments.contains(&number);
        if known {
            return self.packed_from(next, room).await?.ok_or_else(|| {
                Error::damaged(self.layout.segment(number).as_ref(), "it was there and is gone")
            });
        }
        let (_, end) = self.layout.segment_range(number);
        let before = self.now();
        let wanted = (next..=end).take(if ahead { room } else { 1 });
        let mut fetched = futures_util::stream::iter(wanted)
            .map(|seq| async move { self.door.find(&self.layout.commit(seq)).await })
            .buffered(FETCHES_AT_ONCE);
        let (mut lines, mut size, mut at_end) = (Vec::new(), 0, false);
        while size < READ_BYTES_MAX {
            match fetched.next().await.transpose()? {
                Some(Some(line)) => {
                    size += line.len();
                    lines.push(line);
                }
                Some(None) => {
                    at_end = true;
                    break;
                }
                None => break,
            }
        }
        drop(fetched);
        // Unless the head was confirmed a short while ago, what was found may have been put there
        // by a latecomer after the real commit was packed and deleted, and what was not found may
        // have been. The clock and the segment are looked at after the reads: only so does their
        // answer hold for them.
        if !self.is_fresh(head.seq, self.now())
            && let Some(packed) = self.packed_from(next, room).await?
        {
            return Ok(packed);
        }
        if at_end {
            self.confirm(head.seq + lines.len() as u64, before);
        }
        Ok(Lines { lines, packed: false })
    }

    async fn packed_from(&self, next: Seq, room: usize) -> Result<Option<Lines>> {
        let Some(part) = self.find_part(next).await? else { return Ok(None) };
        let lines = (next..).map_while(|seq| part.find(seq)).take(room).collect();
        Ok(Some(Lines { lines, packed: true }))
    }

    /// The bytes of one commit that counts.
    pub(crate) async fn find_line(&self, seq: Seq) -> Result<Option<Bytes>> {
        let alone = self.door.find(&self.layout.commit(seq)).await?;
        match self.find_part(seq).await? {
            Some(part) => Ok(part.find(seq)),
            None => Ok(alone),
        }
    }
}

struct Lines {
    lines: Vec<Bytes>,
    packed: bool,
}

/// A walk along the ledger; see [`Ledger::replay`].
pub struct Replay<'a> {
    ledger: &'a Ledger,
    head: Head,
}

impl Replay<'_> {
    /// The next commits, never an empty batch; none at the end. A later call may find more.
    pub async fn next(&mut self) -> Result<Option<Vec<Commit>>> {
        let commits = self.ledger.read_after(&self.head, REPLAY_COMMITS).await?;
        let Some(last) = commits.last() else { return Ok(None) };
        self.head = last.head();
        Ok(Some(commits))
    }

    /// How far the walk has come.
    pub fn head(&self) -> Head {
        self.head
    }
}
