//! Appending: one put under the next number, and three things that can come of it.

use bytes::Bytes;
use ingot_core::{Digest, Seq, Timestamp};
use jiff::{RoundMode, TimestampRound, Unit};
use serde_json::value::RawValue;

use crate::commit::{COMMIT_BYTES_MAX, Commit, Head, WRITER_BYTES_MAX, squeeze};
use crate::door::Created;
use crate::ledger::Ledger;
use crate::{Error, Result};

/// What came of an append.
#[derive(Debug)]
pub enum Appended {
    /// The commit is in the ledger and durable. This is the new head.
    Done(Head),
    /// The number went to another commit, and this one is not in the ledger and never will be.
    /// Read on, decide again.
    Taken,
    /// Nobody knows yet. Append nothing else before [`Ledger::settle`] has found out.
    Unknown(Pending),
}

/// A commit that may or may not be in the ledger.
#[derive(Debug)]
pub struct Pending {
    bytes: Bytes,
    before: Head,
    after: Head,
    /// The clock before the first put: until then this number was free.
    since: Timestamp,
    cause: Option<Error>,
}

impl Pending {
    /// The number it was put under.
    pub fn seq(&self) -> Seq {
        self.after.seq
    }
    /// Why it is not known what came of it, for the operator.
    pub fn cause(&self) -> Option<&Error> {
        self.cause.as_ref()
    }
    fn because(mut self, cause: Error) -> Appended {
        self.cause = Some(cause);
        Appended::Unknown(self)
    }
}

impl Ledger {
    /// Appends one commit after `head`. `at` is the deciding process's time; the commit gets the
    /// later of it and the head's, to the millisecond. `writer` is that process's random id.
    ///
    /// Errors mean that nothing was written: `NotAccepted` (no entries, or too many bytes),
    /// `ChainBroken` and `SyncFailed` (writes are stopped), `NotOnChain`, `Unavailable`.
    pub async fn append(
        &self,
        head: &Head,
        at: Timestamp,
        writer: &str,
        entries: Vec<Box<RawValue>>,
    ) -> Result<Appended> {
        self.door.check_sound()?;
        if let Some(broken) = self.find_break() {
            return Err(broken);
        }
        let commit = compose(head, at, writer, entries)?;
        let bytes = commit.encode();
        if bytes.len() > COMMIT_BYTES_MAX {
            let reason = format!("{} bytes are more than {COMMIT_BYTES_MAX}", bytes.len());
            return Err(Error::not_accepted("a commit", reason));
        }
        self.ensure_durable(head.seq).await?;
        let after = Head { seq: commit.seq, hash: Digest::of(&bytes), at: commit.at };
        let since = self.now();
        Ok(self.put(Pending { bytes, before: *head, after, since, cause: None }).await)
    }

    /// Finds out what came of an append, by making sure that its number is occupied. Call again,
    /// after a while, for as long as it answers `Unknown`.
    pub async fn settle(&self, pending: Pending) -> Appended {
        if let Err(error) = self.door.check_sound() {
            return pending.because(error);
        }
        self.put(pending).await
    }

    async fn put(&self, pending: Pending) -> Appended {
        let key = self.layout.commit(pending.seq());
        let outcome = match self.door.create(&key, pending.bytes.clone()).await {
            Created::New => self.judge(&pending, Found::Own).await,
            Created::Occupied => match self.door.find(&key).await {
                Ok(Some(bytes)) if bytes == pending.bytes => {
                    // It came to be there by a call whose answer was lost, and may not be synced.
                    match self.door.sync_found(&key).await {
                        Ok(()) => self.judge(&pending, Found::Own).await,
                        Err(error) => Err(error),
                    }
                }
                Ok(Some(_)) => self.judge(&pending, Found::Other).await,
                Ok(None) => self.judge(&pending, Found::Nothing).await,
                Err(error) => Err(error),
            },
            Created::Unknown(error) => Err(error),
        };
        match outcome {
            Ok(Some(Verdict::Done)) => {
                self.confirm(pending.seq(), pending.since);
                self.know_durable(pending.seq());
                Appended::Done(pending.after)
            }
            Ok(Some(Verdict::Taken)) => Appended::Taken,
            Ok(None) => pending.because(Error::Unavailable {
                key: key.to_string(),
                source: "the store said that it exists, but it is not there".into(),
            }),
            Err(error) => pending.because(error),
        }
    }

    /// Decides by what lies under the number, unless that number may have been packed and its
    /// commit deleted meanwhile: then the segment decides, and what lies there does not count.
    async fn judge(&self, pending: &Pending, found: Found) -> Result<Option<Verdict>> {
        // The clock is read after the create or the read: only so does it bound when that was.
        let now = self.now();
        let doubtful = matches!(found, Found::Nothing) || !self.is_fresh(pending.before.seq, now);
        if doubtful && let Some(packed) = self.find_packed(pending.seq()).await? {
            let own = packed == pending.bytes;
            return Ok(Some(if own { Verdict::Done } else { Verdict::Taken }));
        }
        Ok(match found {
            Found::Own => Some(Verdict::Done),
            Found::Other => Some(Verdict::Taken),
            Found::Nothing => None,
        })
    }

    /// The bytes of a commit in its segment, if there is such a segment.
    async fn find_packed(&self, seq: Seq) -> Result<Option<Bytes>> {
        let Some(part) = self.find_part(seq).await? else { return Ok(None) };
        let segment = self.layout.segment(part.number());
        // On local disk the segment, too, may have been found rather than made.
        self.door.sync_found(&segment).await?;
        Ok(part.find(seq))
    }
}

enum Found {
    Own,
    Other,
    Nothing,
}

enum Verdict {
    Done,
    Taken,
}

fn compose(
    head: &Head,
    at: Timestamp,
    writer: &str,
    entries: Vec<Box<RawValue>>,
) -> Result<Commit> {
    if entries.is_empty() {
        return Err(Error::not_accepted("a commit", "it has no entries"));
    }
    if writer.is_empty() || writer.len() > WRITER_BYTES_MAX {
        let reason = format!("it must have 1 to {WRITER_BYTES_MAX} bytes");
        return Err(Error::not_accepted("a writer's id", reason));
    }
    let milliseconds = TimestampRound::new().smallest(Unit::Millisecond).mode(RoundMode::Trunc);
    let at = at
        .round(milliseconds)
        .map_err(|error| Error::not_accepted("a commit's time", error.to_string()))?;
    Ok(Commit {
        seq: head.seq + 1,
        prev: head.hash,
        at: at.max(head.at),
        writer: writer.to_owned(),
        entries: entries.into_iter().map(squeeze).collect::<Result<_>>()?,
    })
}
