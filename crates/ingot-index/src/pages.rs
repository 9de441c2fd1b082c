//! Longer reads, some rows at a time: lists of the API, documents of the formats, history.

use ingot_core::Timestamp;
use ingot_core::names::{ChannelName, PackageName, ProjectName, Seq, Version};
use ingot_core::records::{ReleaseRecord, TokenRecord};
use ingot_core::refusal::{Code, Refusal};
use ingot_core::standing::{Standing, Transition};

use crate::IndexError;
use crate::engine::{Direction, Pair};
use crate::keys::{Key, Spot, Table, end_of};
use crate::reads::{Reads, Source, damaged, decode, key_parts, name};
use crate::rows::{
    AdmissionRow, AdmittedRelease, ChannelPackage, ChannelTransition, PackageRow, PastChannel,
    ProjectRow, StandingRow,
};

/// Most rows of one page; a larger limit means this one.
pub const PAGE_ROWS_MAX: usize = 1000;

/// Some rows, and how to ask for those after them.
#[derive(Clone, Debug, PartialEq)]
pub struct Page<T> {
    /// The rows.
    pub items: Vec<T>,
    /// Given as `after`, continues behind the last row; none when that was the last there is.
    pub next: Option<String>,
}

impl<T> Page<T> {
    fn map<U>(self, each: impl FnMut(T) -> Result<U, IndexError>) -> Result<Page<U>, IndexError> {
        let items: Result<_, _> = self.items.into_iter().map(each).collect();
        Ok(Page { items: items?, next: self.next })
    }
}

fn spot_cursor(spot: Spot) -> String {
    format!("{}.{}", spot.seq, spot.position)
}

fn parse_spot(cursor: &str) -> Result<Spot, Refusal> {
    let spot = cursor.split_once('.').and_then(|(seq, position)| {
        Some(Spot { seq: seq.parse().ok()?, position: position.parse().ok()? })
    });
    spot.ok_or_else(|| Refusal::new(Code::BadRequest, "`after` is not a cursor of this list"))
}

fn spot_of(key: &[u8]) -> Result<Spot, IndexError> {
    Spot::of(key).ok_or_else(|| damaged("a key has no place in the ledger"))
}

/// The key just behind a key.
fn behind(mut key: Vec<u8>) -> Vec<u8> {
    key.push(0);
    key
}

impl<S: Source> Reads<S> {
    /// One row more than asked for is read, to know whether there is another page.
    fn page(
        &self,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        limit: usize,
        cursor: impl Fn(&[u8]) -> Result<String, IndexError>,
    ) -> Result<Page<Pair>, IndexError> {
        let limit = limit.clamp(1, PAGE_ROWS_MAX);
        let mut items = self.source.pairs(from, to, direction, limit + 1)?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = match items.last() {
            Some((key, _)) if more => Some(cursor(key)?),
            _ => None,
        };
        Ok(Page { items, next })
    }

    /// Rows under a prefix, ordered by the name the key ends in.
    fn page_by_name(
        &self,
        prefix: Key,
        start: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Pair>, IndexError> {
        let skip = prefix.clone().bytes().len();
        let started = prefix.clone().last(start).bytes();
        let from = match after {
            Some(after) => started.clone().max(behind(prefix.last(after).bytes())),
            None => started.clone(),
        };
        let cursor = |key: &[u8]| {
            let [last] = key_parts(key, skip)?;
            Ok(last.to_owned())
        };
        self.page(&from, &end_of(&started), Direction::Forward, limit, cursor)
    }

    /// Rows under a prefix, newest place in the ledger first.
    fn page_newest_first(
        &self,
        prefix: Key,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Pair>, Refusal> {
        let from = prefix.clone().bytes();
        let to = match after {
            Some(after) => prefix.spot(parse_spot(after)?).bytes(),
            None => end_of(&from),
        };
        let cursor = |key: &[u8]| Ok(spot_cursor(spot_of(key)?));
        Ok(self.page(&from, &to, Direction::Backward, limit, cursor)?)
    }

    /// Rows under a prefix, oldest place in the ledger first.
    fn page_oldest_first(
        &self,
        prefix: Key,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Pair>, Refusal> {
        let to = end_of(&prefix.clone().bytes());
        let from = match after {
            Some(after) => prefix.spot(parse_spot(after)?.next()).bytes(),
            None => prefix.bytes(),
        };
        let cursor = |key: &[u8]| Ok(spot_cursor(spot_of(key)?));
        Ok(self.page(&from, &to, Direction::Forward, limit, cursor)?)
    }

    fn release_of(&self, package: &PackageName, value: &[u8]) -> Result<ReleaseRecord, IndexError> {
        let version: Version = decode(value)?;
        self.release(package, &version)?
            .ok_or_else(|| damaged("a release stands in an order but nowhere else"))
    }

    /// Packages whose `format:name` starts with `prefix`, in order of name.
    pub fn packages(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<PackageRow>, Refusal> {
        let page = self.page_by_name(Key::of(Table::Package), prefix, after, limit)?;
        Ok(page.map(|(key, value)| {
            let [package] = key_parts(&key, 1)?;
            Ok(PackageRow { package: name(package)?, record: decode(&value)? })
        })?)
    }

    /// The package whose name equals this one but for case.
    pub fn find_package_twin(&self, package: &PackageName) -> Result<Option<PackageName>, Refusal> {
        let lower = package.to_string().to_ascii_lowercase();
        let taken: Option<PackageName> = self.record(Key::of(Table::PackageTwin).last(lower))?;
        Ok(taken.filter(|taken| taken != package))
    }

    /// The releases of a package, the one published last first.
    pub fn releases(
        &self,
        package: &PackageName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ReleaseRecord>, Refusal> {
        let prefix = Key::of(Table::ReleaseOrder).part(package.to_string());
        let page = self.page_newest_first(prefix, after, limit)?;
        Ok(page.map(|(_, value)| self.release_of(package, &value))?)
    }

    /// What is current, and whether promotions are refused, without the line that
    /// [`ingot_core::facts::Facts::find_standing`] also reads.
    pub fn find_current(
        &self,
        channel: &ChannelName,
        package: &PackageName,
    ) -> Result<Option<ChannelPackage>, Refusal> {
        let row = self.standing_row(channel, package)?;
        Ok(row.map(|row| ChannelPackage {
            package: package.clone(),
            current: row.current,
            held: row.held,
        }))
    }

    /// The packages of a channel whose `format:name` starts with `prefix`, in order of name.
    /// Everything that was ever promoted there or is held.
    pub fn channel_packages(
        &self,
        channel: &ChannelName,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ChannelPackage>, Refusal> {
        let start = Key::of(Table::Standing).part(channel);
        let skip = start.clone().bytes().len();
        let page = self.page_by_name(start, prefix, after, limit)?;
        Ok(page.map(|(key, value)| {
            let [package] = key_parts(&key, skip)?;
            let row: StandingRow = decode(&value)?;
            Ok(ChannelPackage { package: name(package)?, current: row.current, held: row.held })
        })?)
    }

    /// The releases of a package that are admitted to a channel, the one admitted last first.
    pub fn admitted(
        &self,
        channel: &ChannelName,
        package: &PackageName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<AdmittedRelease>, Refusal> {
        let prefix = Key::of(Table::AdmissionOrder).part(channel).part(package.to_string());
        let page = self.page_newest_first(prefix, after, limit)?;
        Ok(page.map(|(_, value)| {
            let release = self.release_of(package, &value)?;
            let key = Key::of(Table::Admission).part(channel).part(package.to_string());
            let row: AdmissionRow = self
                .record(key.last(&release.version))?
                .ok_or_else(|| damaged("an admission stands in an order but nowhere else"))?;
            Ok(AdmittedRelease { release, admission: row.admission })
        })?)
    }

    /// The transitions of a channel, oldest first.
    pub fn channel_transitions(
        &self,
        channel: &ChannelName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<ChannelTransition>, Refusal> {
        let prefix = Key::of(Table::TransitionOrder).part(channel);
        let page = self.page_oldest_first(prefix, after, limit)?;
        Ok(page.map(|(_, value)| decode(&value))?)
    }

    /// The transitions of one package in a channel, oldest first.
    pub fn package_transitions(
        &self,
        channel: &ChannelName,
        package: &PackageName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<Transition>, Refusal> {
        let prefix = Key::of(Table::Transition).part(channel).part(package.to_string());
        let page = self.page_oldest_first(prefix, after, limit)?;
        Ok(page.map(|(_, value)| decode(&value))?)
    }

    /// A channel as it was at some time: the fold of its transitions up to then, inclusive.
    pub fn channel_at(&self, channel: &ChannelName, at: Timestamp) -> Result<PastChannel, Refusal> {
        let mut past = PastChannel::default();
        let mut after = None;
        loop {
            let page = self.channel_transitions(channel, after.as_deref(), PAGE_ROWS_MAX)?;
            for ChannelTransition { package, transition } in page.items {
                // The ledger's clock never goes back: nothing behind this one can be earlier.
                if transition.at > at {
                    return Ok(past);
                }
                past.seq = transition.seq;
                past.standings.entry(package).or_default().apply(&transition);
            }
            after = page.next;
            if after.is_none() {
                return Ok(past);
            }
        }
    }

    /// Where one package stood in a channel at some time, and the last commit that changed it.
    pub fn standing_at(
        &self,
        channel: &ChannelName,
        package: &PackageName,
        at: Timestamp,
    ) -> Result<Option<(Seq, Standing)>, Refusal> {
        let mut past: Option<(Seq, Standing)> = None;
        let mut after = None;
        loop {
            let page =
                self.package_transitions(channel, package, after.as_deref(), PAGE_ROWS_MAX)?;
            for transition in page.items {
                if transition.at > at {
                    return Ok(past);
                }
                let (seq, standing) = past.get_or_insert_default();
                *seq = transition.seq;
                standing.apply(&transition);
            }
            after = page.next;
            if after.is_none() {
                return Ok(past);
            }
        }
    }

    /// The projects, in order of name (system ledger).
    pub fn projects(&self, after: Option<&str>, limit: usize) -> Result<Page<ProjectRow>, Refusal> {
        let page = self.page_by_name(Key::of(Table::Project), "", after, limit)?;
        Ok(page.map(|(_, value)| decode(&value))?)
    }

    /// The tokens minted in a project, or with none those good in all of them, in order of id
    /// (system ledger).
    pub fn tokens(
        &self,
        project: Option<&ProjectName>,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<TokenRecord>, Refusal> {
        let project = project.map_or("", ProjectName::as_str);
        let prefix = Key::of(Table::ProjectToken).part(project);
        let skip = prefix.clone().bytes().len();
        let page = self.page_by_name(prefix, "", after, limit)?;
        Ok(page.map(|(key, _)| {
            let [id] = key_parts(&key, skip)?;
            self.record(Key::of(Table::Token).last(id))?
                .ok_or_else(|| damaged("a token stands in a list but nowhere else"))
        })?)
    }
}
