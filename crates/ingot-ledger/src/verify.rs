//! Checking everything that lies in the store, and naming all that is wrong with it.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use ingot_core::{Digest, Seq};
use object_store::ObjectMeta;

use crate::commit::{Commit, Head};
use crate::ledger::Ledger;
use crate::{Error, Result};

/// What [`Ledger::verify`] found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// The last commit that could be read; none when there is no commit.
    pub head: Option<Head>,
    /// How many commits were followed.
    pub commits: u64,
    /// How many segments were read.
    pub segments: u64,
    /// How many snapshots were read.
    pub snapshots: u64,
    /// Everything that is wrong, in order of where it lies.
    pub faults: Vec<Fault>,
}

impl VerifyReport {
    /// Whether nothing is wrong. A commit that does not count ([`FaultKind::Late`]) is worth a
    /// look but harms nothing.
    pub fn is_sound(&self) -> bool {
        self.faults.iter().all(|fault| fault.kind == FaultKind::Late)
    }

    fn add(&mut self, kind: FaultKind, key: &str, seq: Seq, problem: &str) {
        let (key, problem) = (key.to_owned(), problem.to_owned());
        self.faults.push(Fault { kind, key, seq, problem });
    }

    /// Adds what a read answered; only a store that does not answer ends the walk.
    fn add_error(&mut self, key: &str, seq: Seq, error: Error) -> Result<()> {
        let (kind, key, problem) = match error {
            Error::Damaged { key, reason } => (FaultKind::Damaged, key, reason),
            Error::ChainBroken { reason, .. } => (FaultKind::ChainBroken, key.to_owned(), reason),
            error @ Error::NewerFormat { .. } => {
                (FaultKind::NewerFormat, key.to_owned(), error.to_string())
            }
            error => return Err(error),
        };
        self.add(kind, &key, seq, &problem);
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What sort of thing.
    pub kind: FaultKind,
    /// The object it is wrong with.
    pub key: String,
    /// The commit it concerns; of a segment that cannot be read its first.
    pub seq: Seq,
    /// What is wrong, for a person.
    pub problem: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: commit {}: {}", self.key, self.seq, self.problem)
    }
}

/// What sort of thing can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// An object is not what was written.
    Damaged,
    /// An object that others rely on is not there.
    Missing,
    /// A commit does not follow from the one before, or a snapshot is not of this chain.
    ChainBroken,
    /// An object is of a newer format and was not looked into.
    NewerFormat,
    /// A readable commit that differs from what its segment holds: left by a writer that came too
    /// late. The segment counts; compaction removes the commit.
    Late,
}

impl Ledger {
    /// Reads all commits, segments and snapshots and checks them against each other. Changes
    /// nothing and may run beside writers and compaction.
    ///
    /// Errors: only when the store does not answer; whatever is wrong is in the report.
    pub async fn verify(&self) -> Result<VerifyReport> {
        let mut report = VerifyReport::default();
        let listed = self.list_commits().await?;
        let segments = self.list_segments().await?;
        let mut head = Some(self.start());
        let end = segments.last().map_or(0, |last| last + 1);
        for number in 0..end {
            let (first, last) = self.layout.segment_range(number);
            match segments.contains(&number) {
                true => {
                    report.segments += 1;
                    self.verify_segment(&mut report, &mut head, number, &listed).await?;
                }
                false => {
                    let key = self.layout.segment(number);
                    report.add(FaultKind::Missing, key.as_ref(), first, "it is missing");
                    self.verify_commits(&mut report, &mut head, first, last).await?;
                }
            }
        }
        let first = self.layout.segment_range(end).0;
        let last = listed.last_key_value().map_or(0, |(seq, _)| *seq);
        self.verify_commits(&mut report, &mut head, first, last).await?;
        self.verify_snapshots(&mut report).await?;
        Ok(report)
    }

    async fn verify_segment(
        &self,
        report: &mut VerifyReport,
        head: &mut Option<Head>,
        number: u64,
        listed: &BTreeMap<Seq, ObjectMeta>,
    ) -> Result<()> {
        let (first, last) = self.layout.segment_range(number);
        let key = self.layout.segment(number);
        let mut seq = first;
        while seq <= last {
            let part = match self.load_part(seq).await {
                Ok(Some(part)) => part,
                Ok(None) => {
                    report.add(FaultKind::Missing, key.as_ref(), seq, "it is missing");
                    break;
                }
                Err(error) => {
                    report.add_error(key.as_ref(), seq, error)?;
                    break;
                }
            };
            if head.is_some_and(|head| seq == first && part.header().prev != head.hash) {
                let problem = "it does not follow the commit before";
                report.add(FaultKind::ChainBroken, key.as_ref(), first, problem);
            }
            while let Some(line) = part.find(seq) {
                check_line(report, head, key.as_ref(), seq, &line)?;
                if listed.contains_key(&seq) {
                    self.verify_packed(report, seq, &line).await?;
                }
                seq += 1;
            }
        }
        if seq <= last {
            // The rest of it cannot be read. The commits themselves may still be there.
            *head = None;
            let there = listed.range(seq..=last).next_back().map_or(0, |(seq, _)| *seq);
            let from = listed.range(seq..=last).next().map_or(seq, |(seq, _)| *seq);
            self.verify_commits(report, head, from, there).await?;
            if there < last {
                *head = None;
            }
        }
        Ok(())
    }

    /// A commit that is still there beside its segment must be the same.
    async fn verify_packed(&self, report: &mut VerifyReport, seq: Seq, line: &[u8]) -> Result<()> {
        let key = self.layout.commit(seq);
        let Some(alone) = self.door.find(&key).await? else { return Ok(()) };
        if alone == line {
            return Ok(());
        }
        match Commit::decode(key.as_ref(), &alone) {
            Ok(commit) if commit.seq == seq => {
                let problem = "it differs from its segment, which counts";
                report.add(FaultKind::Late, key.as_ref(), seq, problem);
            }
            Ok(_) => report.add(FaultKind::Damaged, key.as_ref(), seq, "it carries another number"),
            Err(error) => report.add_error(key.as_ref(), seq, error)?,
        }
        Ok(())
    }

    async fn verify_commits(
        &self,
        report: &mut VerifyReport,
        head: &mut Option<Head>,
        first: Seq,
        last: Seq,
    ) -> Result<()> {
        for seq in first..=last {
            let key = self.layout.commit(seq);
            let mut found = self.door.find(&key).await?;
            if found.is_none() {
                // It may have been packed and deleted since it was listed.
                found = match self.find_line(seq).await {
                    Ok(found) => found,
                    Err(Error::Damaged { .. }) => None,
                    Err(error) => return Err(error),
                };
            }
            match found {
                Some(line) => check_line(report, head, key.as_ref(), seq, &line)?,
                None => {
                    report.add(FaultKind::Missing, key.as_ref(), seq, "it is missing");
                    *head = None;
                }
            }
        }
        Ok(())
    }

    async fn verify_snapshots(&self, report: &mut VerifyReport) -> Result<()> {
        let mut seen = HashSet::new();
        for key in self.manifest_keys().await? {
            let seq = self.layout.manifest_of(&key).map_or(0, |(_, seq)| seq);
            let manifest = match self.read_manifest(&key).await {
                Ok(manifest) => manifest,
                Err(error) => {
                    report.add_error(key.as_ref(), seq, error)?;
                    continue;
                }
            };
            report.snapshots += 1;
            match self.lies_on_chain(&manifest.head).await {
                Ok(true) => {}
                Ok(false) => {
                    let problem = "it was made at a commit that is not in the ledger";
                    report.add(FaultKind::ChainBroken, key.as_ref(), seq, problem);
                }
                Err(error) => report.add_error(key.as_ref(), seq, error)?,
            }
            for chunk in manifest.chunks {
                if !seen.insert(chunk.digest) {
                    continue;
                }
                if let Err(error) = self.read_chunk(&chunk).await {
                    report.add_error(key.as_ref(), seq, error)?;
                }
            }
        }
        Ok(())
    }
}

/// Checks one commit against the one before, if that is known, and goes on from it.
fn check_line(
    report: &mut VerifyReport,
    head: &mut Option<Head>,
    key: &str,
    seq: Seq,
    line: &[u8],
) -> Result<()> {
    let commit = match Commit::decode(key, line) {
        Ok(commit) => commit,
        Err(error) => {
            *head = None;
            return report.add_error(key, seq, error);
        }
    };
    let misfit = match head {
        Some(head) => commit.misfit(head),
        None => (commit.seq != seq).then(|| format!("it carries the number {}", commit.seq)),
    };
    if let Some(problem) = misfit {
        report.add(FaultKind::ChainBroken, key, seq, &problem);
    }
    report.commits += 1;
    let found = Head { seq, hash: Digest::of(line), at: commit.at };
    *head = Some(found);
    report.head = Some(found);
    Ok(())
}
