//! Reads, written once for what is committed and for what is pending.

use serde::de::DeserializeOwned;

use ingot_core::digest::{AnyDigest, Digest};
use ingot_core::facts::Facts;
use ingot_core::names::{
    Alias, ChannelName, Coordinate, FilePath, PackageName, ProjectName, Seq, Version,
};
use ingot_core::origin::CommitSha;
use ingot_core::records::{
    Admission, AnswerRecord, BlobRecord, ChannelRecord, DraftRecord, PackageRecord, Place,
    ReleaseRecord, TokenRecord,
};
use ingot_core::refusal::Refusal;
use ingot_core::standing::{Standing, Transition};

use crate::IndexError;
use crate::engine::{Direction, Engine, Pair};
use crate::gate::ReadPass;
use crate::keys::{self, Key, Spot, Table, end_of};
use crate::pending::Pending;
use crate::rows::{AdmissionRow, ChannelRow, ProjectRow, StandingRow};

/// Ordered keys and values of one space at one commit.
pub trait Source {
    /// The value of a key.
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError>;
    /// At most `limit` pairs with `from <= key < to`.
    fn pairs(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError>;
    /// The last commit that is included.
    fn seq(&self) -> Seq;
}

/// What an engine holds of one space.
#[derive(Clone)]
pub struct Base<'a> {
    pub(crate) engine: &'a dyn Engine,
    pub(crate) space: String,
    pub(crate) seq: Seq,
}

impl Base<'_> {
    pub(crate) fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        self.engine.scan(&self.space, from, to, direction, limit)
    }
}

/// What is committed, kept still for as long as this lives.
pub struct Committed<'a> {
    pub(crate) base: Base<'a>,
    pub(crate) _pass: ReadPass,
}

impl Source for Committed<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        self.base.engine.get(&self.base.space, key)
    }
    fn pairs(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        self.base.scan(from, to, direction, limit)
    }
    fn seq(&self) -> Seq {
        self.base.seq
    }
}

/// What is committed, as if the pending writes had been made.
pub struct Overlay<'a> {
    pub(crate) base: Base<'a>,
    pub(crate) pending: Pending,
    pub(crate) seq: Seq,
}

impl Source for Overlay<'_> {
    fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, IndexError> {
        match self.pending.find(key) {
            Some(written) => Ok(written.clone()),
            None => self.base.engine.get(&self.base.space, key),
        }
    }
    fn pairs(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
    ) -> Result<Vec<Pair>, IndexError> {
        self.pending.scan(&self.base, from, to, direction, limit)
    }
    fn seq(&self) -> Seq {
        self.seq
    }
}

/// Everything that can be asked of a space.
pub struct Reads<S> {
    pub(crate) source: S,
}

pub(crate) fn damaged(what: &str) -> IndexError {
    IndexError::Damaged(what.to_owned())
}

pub(crate) fn decode<T: DeserializeOwned>(value: &[u8]) -> Result<T, IndexError> {
    serde_json::from_slice(value)
        .map_err(|error| IndexError::Damaged(format!("a record cannot be read: {error}")))
}

/// Parses a name that a key holds.
pub(crate) fn name<T: std::str::FromStr>(text: &str) -> Result<T, IndexError> {
    text.parse().map_err(|_| damaged("a key holds a name that is none"))
}

/// The parts of a key after `skip` bytes, exactly `N` of them.
pub(crate) fn key_parts<const N: usize>(key: &[u8], skip: usize) -> Result<[&str; N], IndexError> {
    let parts = keys::parts(key, skip).ok_or_else(|| damaged("a key is not text"))?;
    parts.try_into().map_err(|_| damaged("a key has another number of parts"))
}

impl<S: Source> Reads<S> {
    pub(crate) fn record<T: DeserializeOwned>(&self, key: Key) -> Result<Option<T>, IndexError> {
        self.source.value(&key.bytes())?.map(|value| decode(&value)).transpose()
    }

    /// The first `limit` pairs with a prefix.
    pub(crate) fn start_of(&self, prefix: Key, limit: usize) -> Result<Vec<Pair>, IndexError> {
        let prefix = prefix.bytes();
        self.source.pairs(&prefix, &end_of(&prefix), Direction::Forward, limit)
    }

    pub(crate) fn standing_row(
        &self,
        channel: &ChannelName,
        package: &PackageName,
    ) -> Result<Option<StandingRow>, IndexError> {
        self.record(Key::of(Table::Standing).part(channel).last(package.to_string()))
    }

    pub(crate) fn standing(
        &self,
        channel: &ChannelName,
        package: &PackageName,
    ) -> Result<Option<Standing>, IndexError> {
        let Some(row) = self.standing_row(channel, package)? else { return Ok(None) };
        let line = Key::of(Table::StandingLine).part(channel).last(package.to_string());
        let line = self.record(line)?.unwrap_or_default();
        Ok(Some(Standing { line, current: row.current, held: row.held }))
    }

    pub(crate) fn release(
        &self,
        package: &PackageName,
        version: &Version,
    ) -> Result<Option<ReleaseRecord>, IndexError> {
        self.record(Key::of(Table::Release).part(package.to_string()).last(version))
    }

    pub(crate) fn channel_rows(&self) -> Result<Vec<ChannelRow>, IndexError> {
        let pairs = self.start_of(Key::of(Table::Channel), usize::MAX)?;
        let rows: Result<Vec<ChannelRow>, _> =
            pairs.iter().map(|(_, value)| decode(value)).collect();
        let mut rows = rows?;
        rows.sort_by_key(|row| row.ordinal);
        Ok(rows)
    }
}

impl<S: Source> Facts for Reads<S> {
    fn seq(&self) -> Seq {
        self.source.seq()
    }

    fn find_release(&self, at: &Coordinate) -> Result<Option<ReleaseRecord>, Refusal> {
        Ok(self.release(&at.package, &at.version)?)
    }

    fn find_draft(&self, at: &Coordinate, by: &str) -> Result<Option<DraftRecord>, Refusal> {
        let key = Key::of(Table::Draft).part(at.package.to_string()).part(&at.version).last(by);
        Ok(self.record(key)?)
    }

    fn find_package(&self, package: &PackageName) -> Result<Option<PackageRecord>, Refusal> {
        Ok(self.record(Key::of(Table::Package).last(package.to_string()))?)
    }

    fn find_case_twin(&self, at: &Coordinate) -> Result<Option<Version>, Refusal> {
        let lower = at.version.as_str().to_ascii_lowercase();
        let key = Key::of(Table::VersionTwin).part(at.package.to_string()).last(lower);
        let taken: Option<Version> = self.record(key)?;
        Ok(taken.filter(|taken| *taken != at.version))
    }

    fn find_alias(&self, package: &PackageName, alias: &Alias) -> Result<Option<Version>, Refusal> {
        Ok(self.record(Key::of(Table::Alias).part(package.to_string()).last(alias))?)
    }

    fn versions_by_digest(
        &self,
        package: &PackageName,
        digest: &Digest,
    ) -> Result<Vec<Version>, Refusal> {
        // Two versions share a release digest only when one build was published twice.
        let prefix = Key::of(Table::ReleaseDigest).raw(digest.as_bytes()).part(package.to_string());
        let skip = prefix.clone().bytes().len();
        let mut versions = Vec::new();
        for (key, _) in self.start_of(prefix, usize::MAX)? {
            let [version] = key_parts(&key, skip)?;
            versions.push(name(version)?);
        }
        Ok(versions)
    }

    fn versions_by_commit(
        &self,
        package: &PackageName,
        commit: &CommitSha,
        limit: usize,
    ) -> Result<Vec<(CommitSha, Version)>, Refusal> {
        let prefix = Key::of(Table::CommitVersion).part(package.to_string());
        let skip = prefix.clone().bytes().len();
        let mut versions = Vec::new();
        for (key, _) in self.start_of(prefix.last(commit.as_str()), limit)? {
            let [commit, version] = key_parts(&key, skip)?;
            versions.push((name(commit)?, name(version)?));
        }
        Ok(versions)
    }

    fn releases_by_commit(
        &self,
        commit: &CommitSha,
        limit: usize,
    ) -> Result<Vec<(CommitSha, Coordinate)>, Refusal> {
        let mut releases = Vec::new();
        let prefix = Key::of(Table::CommitRelease).last(commit.as_str());
        for (key, _) in self.start_of(prefix, limit)? {
            let [commit, package, version] = key_parts(&key, 1)?;
            let at = Coordinate { package: name(package)?, version: name(version)? };
            releases.push((name(commit)?, at));
        }
        releases.sort_by(|a: &(CommitSha, Coordinate), b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        Ok(releases)
    }

    fn places(&self, digest: &AnyDigest, limit: usize) -> Result<Vec<Place>, Refusal> {
        let mut places = Vec::new();
        if let AnyDigest::Sha256(digest) = digest {
            let prefix = Key::of(Table::ReleaseDigest).raw(digest.as_bytes());
            let skip = prefix.clone().bytes().len();
            for (key, _) in self.start_of(prefix, limit)? {
                let [package, version] = key_parts(&key, skip)?;
                let coordinate = Coordinate { package: name(package)?, version: name(version)? };
                places.push(Place { coordinate, path: None });
            }
        }
        let Some(prefix) = keys::places(digest) else { return Ok(places) };
        let skip = prefix.clone().bytes().len();
        for (key, _) in self.start_of(prefix, limit - places.len())? {
            let [package, version, path] = key_parts(&key, skip)?;
            let coordinate = Coordinate { package: name(package)?, version: name(version)? };
            places.push(Place { coordinate, path: Some(name::<FilePath>(path)?) });
        }
        Ok(places)
    }

    fn channels(&self) -> Result<Vec<ChannelRecord>, Refusal> {
        Ok(self.channel_rows()?.into_iter().map(|row| row.record).collect())
    }

    fn find_standing(
        &self,
        channel: &ChannelName,
        package: &PackageName,
    ) -> Result<Option<Standing>, Refusal> {
        Ok(self.standing(channel, package)?)
    }

    fn find_admission(
        &self,
        channel: &ChannelName,
        at: &Coordinate,
    ) -> Result<Option<Admission>, Refusal> {
        let key = Key::of(Table::Admission).part(channel).part(at.package.to_string());
        let row: Option<AdmissionRow> = self.record(key.last(&at.version))?;
        Ok(row.map(|row| row.admission))
    }

    fn transitions(
        &self,
        channel: &ChannelName,
        package: &PackageName,
        after: Seq,
        limit: usize,
    ) -> Result<Vec<Transition>, Refusal> {
        let prefix = Key::of(Table::Transition).part(channel).part(package.to_string());
        let end = end_of(&prefix.clone().bytes());
        let first = Spot { seq: after.saturating_add(1), position: 0 };
        let from = prefix.spot(first).bytes();
        let pairs = self.source.pairs(&from, &end, Direction::Forward, limit)?;
        let transitions: Result<_, IndexError> =
            pairs.iter().map(|(_, value)| decode(value)).collect();
        Ok(transitions?)
    }

    fn find_blob(&self, digest: &Digest) -> Result<Option<BlobRecord>, Refusal> {
        Ok(self.record(Key::of(Table::Blob).raw(digest.as_bytes()))?)
    }

    fn find_answer(&self, by: &str, key: &str) -> Result<Option<AnswerRecord>, Refusal> {
        let value = self.source.value(&keys::answer(by, key))?;
        Ok(value.map(|value| decode(&value)).transpose()?)
    }

    fn has_project(&self, project: &ProjectName) -> Result<bool, Refusal> {
        let row: Option<ProjectRow> = self.record(Key::of(Table::Project).last(project))?;
        Ok(row.is_some())
    }

    fn find_token(&self, hash: &str) -> Result<Option<TokenRecord>, Refusal> {
        let id: Option<String> = self.record(Key::of(Table::TokenHash).last(hash))?;
        match id {
            Some(id) => self.find_token_by_id(&id),
            None => Ok(None),
        }
    }

    fn find_token_by_id(&self, id: &str) -> Result<Option<TokenRecord>, Refusal> {
        Ok(self.record(Key::of(Table::Token).last(id))?)
    }
}
