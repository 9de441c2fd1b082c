//! What each event does to what is kept.
//!
//! A pure function of the events and their places in the ledger: whatever the batches, the engine
//! and the hour, the same ledger gives the same bytes. It decides nothing; an event that does not
//! fit is an error, since a rule let it through somewhere else.

use std::ops::Deref;

use serde::Serialize;

use ingot_core::facts::Facts;
use ingot_core::names::{PackageName, Seq};
use ingot_core::records::{AnswerRecord, PackageRecord};
use ingot_core::{Entry, Event, Timestamp};

use crate::IndexError;
use crate::engine::{Batch, Direction};
use crate::index::{Tag, tag_write};
use crate::keys::{self, Key, Spot, Table, end_of};
use crate::pending::{Checkpoint, Pending};
use crate::reads::{Base, Overlay, Reads, Source, decode};
use crate::rows::AnswerAge;

mod channel;
mod release;
mod system;

/// The version of this fold: raised with any change to what is kept, so that older indexes and
/// snapshots are not taken for it.
pub const FOLD_VERSION: u32 = 1;

/// How long an answer is kept for a repeated request, in hours of the ledger's clock.
pub const ANSWER_HOURS: i64 = 24;

/// Most answers that one commit takes away.
pub const PRUNED_ANSWERS_MAX: usize = 64;

/// What the fold remembers from event to event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoldState {
    seq: Seq,
    /// No answer kept is old enough to go before this; none when that is not known.
    prune_from: Option<Timestamp>,
}

/// Commits on top of what is committed, seen by nobody else.
///
/// Reads (it derefs to [`Reads`], which implements [`Facts`]) see what was applied so far.
pub struct Fold<'a> {
    reads: Reads<Overlay<'a>>,
    begun: Seq,
    prune_from: Option<Timestamp>,
}

/// A fold that is ready to be committed.
#[derive(Clone, Debug)]
pub struct FoldedBatch {
    pub(crate) space: String,
    pub(crate) begun: Seq,
    pub(crate) batch: Batch,
}

impl FoldedBatch {
    /// How many keys it writes.
    pub fn keys(&self) -> usize {
        self.batch.writes.len()
    }
}

pub(crate) fn encode<T: Serialize>(record: &T) -> Result<Vec<u8>, IndexError> {
    serde_json::to_vec(record)
        .map_err(|error| IndexError::Damaged(format!("a record cannot be written: {error}")))
}

fn misfit(what: impl Into<String>) -> IndexError {
    IndexError::Misfit(what.into())
}

impl<'a> Deref for Fold<'a> {
    type Target = Reads<Overlay<'a>>;
    fn deref(&self) -> &Self::Target {
        &self.reads
    }
}

impl<'a> Fold<'a> {
    pub(crate) fn new(base: Base<'a>) -> Self {
        let seq = base.seq;
        let source = Overlay { base, pending: Pending::default(), seq };
        Self { reads: Reads { source }, begun: seq, prune_from: None }
    }

    /// What is folded and pending, for the rules.
    pub fn facts(&self) -> &dyn Facts {
        &self.reads
    }

    /// Adds one event of commit `seq`; `position` counts the commit's events from 0.
    ///
    /// # Errors
    /// Nothing of the event is pending then.
    pub fn apply(&mut self, entry: &Entry, seq: Seq, position: u32) -> Result<(), IndexError> {
        let checkpoint = self.checkpoint();
        let applied = self.apply_whole(entry, Spot { seq, position });
        if applied.is_err() {
            self.revert(checkpoint);
        }
        applied
    }

    /// Remembers what is pending now.
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint {
            undo_len: self.reads.source.pending.undo_len(),
            state: FoldState { seq: self.reads.source.seq, prune_from: self.prune_from },
        }
    }

    /// Takes back everything that was applied since, as after a refusal half-way.
    pub fn revert(&mut self, checkpoint: Checkpoint) {
        self.reads.source.pending.revert(checkpoint.undo_len);
        self.reads.source.seq = checkpoint.state.seq;
        self.prune_from = checkpoint.state.prune_from;
    }

    /// Ends the fold: all that is pending, together with the commit it goes up to.
    pub fn into_batch(self, tag: Tag) -> Result<FoldedBatch, IndexError> {
        let Overlay { base, pending, .. } = self.reads.source;
        let mut batch = pending.into_batch();
        batch.writes.push(tag_write(tag)?);
        Ok(FoldedBatch { space: base.space, begun: self.begun, batch })
    }

    fn apply_whole(&mut self, entry: &Entry, spot: Spot) -> Result<(), IndexError> {
        if spot.seq < self.reads.source.seq || spot.seq <= self.begun {
            return Err(misfit(format!("commit {} comes again", spot.seq)));
        }
        if spot.seq > self.reads.source.seq {
            self.reads.source.seq = spot.seq;
            self.prune(entry.at)?;
        }
        match &entry.event {
            Event::Staged { .. }
            | Event::Published { .. }
            | Event::Sealed { .. }
            | Event::Aliased { .. }
            | Event::Blocked { .. }
            | Event::Unblocked { .. } => self.fold_release(entry, spot),
            Event::ChannelsDefined { channels } => self.define_channels(channels, spot),
            Event::Transition { .. } => self.fold_transition(entry, spot),
            Event::Answered { key, fingerprint, fresh, body } => {
                let answer = AnswerRecord {
                    fingerprint: *fingerprint,
                    fresh: *fresh,
                    body: body.clone(),
                    seq: spot.seq,
                    at: entry.at,
                };
                self.keep_answer(&entry.by, key, &answer, spot)
            }
            Event::ProjectCreated { .. }
            | Event::TokenMinted { .. }
            | Event::TokenRevoked { .. } => self.fold_system(entry),
        }
    }

    fn put<T: Serialize>(&mut self, key: Key, record: &T) -> Result<(), IndexError> {
        let value = encode(record)?;
        self.reads.source.pending.write(key.bytes(), Some(value));
        Ok(())
    }

    /// Writes a key whose parts say all there is to say.
    fn mark(&mut self, key: Key) {
        self.reads.source.pending.write(key.bytes(), Some(Vec::new()));
    }

    fn remove(&mut self, key: Key) {
        self.reads.source.pending.write(key.bytes(), None);
    }

    /// Notes that a package changed; `releases` more of them.
    fn touch_package(
        &mut self,
        package: &PackageName,
        releases: u64,
        seq: Seq,
    ) -> Result<(), IndexError> {
        let key = Key::of(Table::Package).last(package.to_string());
        let found: Option<PackageRecord> = self.reads.record(key.clone())?;
        if found.is_none() {
            // What is no release does not make a package.
            if releases == 0 {
                return Ok(());
            }
            let lower = package.to_string().to_ascii_lowercase();
            let twin = Key::of(Table::PackageTwin).last(lower);
            if self.reads.source.value(&twin.clone().bytes())?.is_none() {
                self.put(twin, package)?;
            }
        }
        let mut record = found.unwrap_or_default();
        record.releases += releases;
        record.revision = seq;
        self.put(key, &record)
    }

    fn keep_answer(
        &mut self,
        by: &str,
        key: &str,
        answer: &AnswerRecord,
        spot: Spot,
    ) -> Result<(), IndexError> {
        let value = encode(answer)?;
        self.reads.source.pending.write(keys::answer(by, key), Some(value));
        let age = AnswerAge { at: answer.at, by: by.to_owned(), key: key.to_owned() };
        self.put(Key::of(Table::AnswerAge).spot(spot), &age)
    }

    /// Forgets answers that are too old at the time of a commit, the oldest first. Depends on the
    /// commits alone: what one leaves the next one takes.
    fn prune(&mut self, now: Timestamp) -> Result<(), IndexError> {
        if self.prune_from.is_some_and(|from| now < from) {
            return Ok(());
        }
        let prefix = Key::of(Table::AnswerAge).bytes();
        let to = end_of(&prefix);
        let oldest =
            self.reads.source.pairs(&prefix, &to, Direction::Forward, PRUNED_ANSWERS_MAX)?;
        let all_seen = oldest.len() < PRUNED_ANSWERS_MAX;
        // Whatever is added from here on is no older than `now`.
        self.prune_from = if all_seen { Some(outlived(now)) } else { None };
        for (age_key, value) in oldest {
            let age: AnswerAge = decode(&value)?;
            if now < outlived(age.at) {
                self.prune_from = Some(outlived(age.at));
                break;
            }
            let key = keys::answer(&age.by, &age.key);
            let given = Spot::of(&age_key).map(|spot| spot.seq);
            let kept: Option<AnswerRecord> =
                self.reads.source.value(&key)?.map(|value| decode(&value)).transpose()?;
            // The key may have been used anew since.
            if kept.is_some_and(|kept| Some(kept.seq) == given) {
                self.reads.source.pending.write(key, None);
            }
            self.reads.source.pending.write(age_key, None);
        }
        Ok(())
    }
}

/// When an answer given at some time may be forgotten.
fn outlived(at: Timestamp) -> Timestamp {
    at.saturating_add(jiff::SignedDuration::from_hours(ANSWER_HOURS)).unwrap_or(Timestamp::MAX)
}
