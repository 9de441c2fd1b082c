//! Releases, their drafts, and the content they hold.

use ingot_core::event::FileFact;
use ingot_core::names::{Coordinate, PackageName, Version};
use ingot_core::records::{BlobRecord, Block, DraftRecord, FileRecord, ReleaseRecord};
use ingot_core::{Digest, Entry, Event, HashKind, Origin};

use crate::IndexError;
use crate::fold::{Fold, misfit};
use crate::keys::{Key, Spot, Table, file_places, hash_places};

/// What uploads of one draft say of its origin, put together: the first word on each member
/// stands, but a full commit replaces its abbreviation.
fn merge_origin(known: &mut Origin, said: &Origin) {
    let longer = match (&known.commit, &said.commit) {
        (None, _) => true,
        (Some(known), Some(said)) => {
            known.is_short()
                && known.agrees_with(said)
                && said.as_str().len() > known.as_str().len()
        }
        (Some(_), None) => false,
    };
    if longer {
        known.commit.clone_from(&said.commit);
    }
    if known.source.is_none() {
        known.source.clone_from(&said.source);
    }
    if known.build.is_none() {
        known.build.clone_from(&said.build);
    }
}

fn release_key(package: &PackageName, version: &Version) -> Key {
    Key::of(Table::Release).part(package.to_string()).last(version)
}

fn draft_place(package: &PackageName, version: &Version, file: &FileFact, by: &str) -> Key {
    Key::of(Table::DraftPlace)
        .raw(file.digest.as_bytes())
        .part(package.to_string())
        .part(version)
        .part(&file.path)
        .last(by)
}

impl Fold<'_> {
    pub(super) fn fold_release(&mut self, entry: &Entry, spot: Spot) -> Result<(), IndexError> {
        match &entry.event {
            Event::Staged { package, version, file, origin } => {
                self.stage(entry, package, version, file, origin)
            }
            Event::Published { package, version, files, origin, unpromotable } => {
                let release = self.reads.release(package, version)?;
                if release.is_none() {
                    self.name_release(package, version, origin, spot)?;
                }
                self.touch_package(package, u64::from(release.is_none()), spot.seq)?;
                let mut release = release.unwrap_or_else(|| ReleaseRecord {
                    version: version.clone(),
                    files: Vec::new(),
                    origin: origin.clone(),
                    published_at: entry.at,
                    published_by: entry.by.clone(),
                    published_seq: spot.seq,
                    digest: None,
                    sealed_at: None,
                    aliases: Vec::new(),
                    blocked: None,
                    past_blocks: Vec::new(),
                    unpromotable: None,
                    revision: spot.seq,
                });
                for file in files {
                    self.publish_file(&mut release, package, file, entry)?;
                }
                if unpromotable.is_some() {
                    release.unpromotable.clone_from(unpromotable);
                }
                release.revision = spot.seq;
                self.put(release_key(package, version), &release)?;
                self.end_draft(package, version, &entry.by)
            }
            Event::Sealed { package, version, digest } => {
                self.mark(
                    Key::of(Table::ReleaseDigest)
                        .raw(digest.as_bytes())
                        .part(package.to_string())
                        .last(version),
                );
                self.change(package, version, spot, |release| {
                    release.digest = Some(*digest);
                    release.sealed_at = Some(entry.at);
                })
            }
            Event::Aliased { package, version, alias } => {
                self.put(Key::of(Table::Alias).part(package.to_string()).last(alias), version)?;
                self.change(package, version, spot, |release| {
                    if !release.aliases.contains(alias) {
                        release.aliases.push(alias.clone());
                    }
                })
            }
            Event::Blocked { package, version } => {
                let block =
                    Block { reason: entry.reason.clone(), by: entry.by.clone(), at: entry.at };
                self.change(package, version, spot, |release| release.blocked = Some(block))?;
                self.note_where_current(package, version, spot)
            }
            Event::Unblocked { package, version } => {
                self.change(package, version, spot, |release| {
                    if let Some(block) = release.blocked.take() {
                        release.past_blocks.push((block.at, entry.at));
                    }
                })?;
                self.note_where_current(package, version, spot)
            }
            _ => Ok(()),
        }
    }

    /// Changes a release that exists, and notes that it and its package changed.
    fn change(
        &mut self,
        package: &PackageName,
        version: &Version,
        spot: Spot,
        change: impl FnOnce(&mut ReleaseRecord),
    ) -> Result<(), IndexError> {
        let Some(mut release) = self.reads.release(package, version)? else {
            let at = Coordinate { package: package.clone(), version: version.clone() };
            return Err(misfit(format!("commit {} changes {at}, which is not there", spot.seq)));
        };
        change(&mut release);
        release.revision = spot.seq;
        self.put(release_key(package, version), &release)?;
        self.touch_package(package, 0, spot.seq)
    }

    /// Enters a new release everywhere it is found by something other than its content.
    fn name_release(
        &mut self,
        package: &PackageName,
        version: &Version,
        origin: &Origin,
        spot: Spot,
    ) -> Result<(), IndexError> {
        let name = package.to_string();
        self.put(Key::of(Table::ReleaseOrder).part(&name).spot(spot), version)?;
        let lower = version.as_str().to_ascii_lowercase();
        self.put(Key::of(Table::VersionTwin).part(&name).last(lower), version)?;
        if let Some(commit) = &origin.commit {
            let commit = commit.as_str();
            self.mark(Key::of(Table::CommitVersion).part(&name).part(commit).last(version));
            self.mark(Key::of(Table::CommitRelease).part(commit).part(&name).last(version));
        }
        Ok(())
    }

    fn publish_file(
        &mut self,
        release: &mut ReleaseRecord,
        package: &PackageName,
        file: &FileFact,
        entry: &Entry,
    ) -> Result<(), IndexError> {
        let at = release.files.binary_search_by(|known| known.fact.path.cmp(&file.path));
        let at = match at {
            // A name means one content for ever; the same said twice changes nothing.
            Ok(known) if release.files[known].fact.digest == file.digest => return Ok(()),
            Ok(_) => {
                let at = Coordinate { package: package.clone(), version: release.version.clone() };
                return Err(misfit(format!("{} of {at} gets other content", file.path)));
            }
            Err(at) => at,
        };
        let record = FileRecord {
            fact: file.clone(),
            published_at: entry.at,
            published_by: entry.by.clone(),
        };
        release.files.insert(at, record);
        let place =
            |start: Key| start.part(package.to_string()).part(&release.version).last(&file.path);
        self.mark(place(file_places(&file.digest)));
        for kind in HashKind::ALL {
            if let Some(start) = file.hashes.find(kind).and_then(|hash| hash_places(kind, hash)) {
                self.mark(place(start));
            }
        }
        self.hold_blob(file)
    }

    fn stage(
        &mut self,
        entry: &Entry,
        package: &PackageName,
        version: &Version,
        file: &FileFact,
        origin: &Origin,
    ) -> Result<(), IndexError> {
        let key = Key::of(Table::Draft).part(package.to_string()).part(version).last(&entry.by);
        let mut draft: DraftRecord = self.reads.record(key.clone())?.unwrap_or_default();
        let mut replaced = None;
        match draft.files.binary_search_by(|known| known.path.cmp(&file.path)) {
            Ok(at) => replaced = Some(std::mem::replace(&mut draft.files[at], file.clone())),
            Err(at) => draft.files.insert(at, file.clone()),
        }
        merge_origin(&mut draft.origin, origin);
        draft.at = Some(entry.at);
        self.put(key, &draft)?;
        if let Some(old) = replaced.filter(|old| old.digest != file.digest) {
            self.remove(draft_place(package, version, &old, &entry.by));
            self.release_blob(&old.digest)?;
        }
        self.mark(draft_place(package, version, file, &entry.by));
        self.hold_blob(file)
    }

    fn end_draft(
        &mut self,
        package: &PackageName,
        version: &Version,
        by: &str,
    ) -> Result<(), IndexError> {
        let key = Key::of(Table::Draft).part(package.to_string()).part(version).last(by);
        let draft: Option<DraftRecord> = self.reads.record(key.clone())?;
        let Some(draft) = draft else { return Ok(()) };
        self.remove(key);
        for file in &draft.files {
            self.remove(draft_place(package, version, file, by));
        }
        for file in &draft.files {
            self.release_blob(&file.digest)?;
        }
        Ok(())
    }

    fn hold_blob(&mut self, file: &FileFact) -> Result<(), IndexError> {
        let key = Key::of(Table::Blob).raw(file.digest.as_bytes());
        let known: Option<BlobRecord> = self.reads.record(key.clone())?;
        let incarnation = known.map_or(0, |known| known.incarnation).max(file.incarnation);
        self.put(key, &BlobRecord { size: file.size, incarnation, referenced: true })
    }

    /// Some draft let go of content: is anything else holding it?
    fn release_blob(&mut self, digest: &Digest) -> Result<(), IndexError> {
        let published = self.reads.start_of(file_places(digest), 1)?;
        let staged = Key::of(Table::DraftPlace).raw(digest.as_bytes());
        if !published.is_empty() || !self.reads.start_of(staged, 1)?.is_empty() {
            return Ok(());
        }
        let key = Key::of(Table::Blob).raw(digest.as_bytes());
        let known: Option<BlobRecord> = self.reads.record(key.clone())?;
        match known {
            Some(known) => self.put(key, &BlobRecord { referenced: false, ..known }),
            None => Ok(()),
        }
    }
}
