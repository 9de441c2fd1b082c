//! The index of one process: its spaces, who reads them, and how they move on.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use ingot_core::names::Seq;
use ingot_core::{Digest, Timestamp};

use crate::engine::{Batch, Direction, Engine, EngineKind, Running};
use crate::fold::{FOLD_VERSION, Fold, FoldedBatch};
use crate::gate::Gate;
use crate::keys::{Key, Table};
use crate::marker::{Marker, Opened, sync_tree};
use crate::reads::{Base, Committed, Reads, decode};
use crate::rows::TagRow;
use crate::{IndexError, snapshot};

/// The commit that a space is folded up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Its number.
    pub seq: Seq,
    /// Its hash.
    pub hash: Digest,
    /// Its time.
    pub at: Timestamp,
}

/// What is folded, kept still at one commit for as long as the view lives. Commits to the space
/// wait for it: look, and let go. It stays on its thread.
pub type View<'a> = Reads<Committed<'a>>;

#[derive(Default)]
struct Space {
    gate: Arc<Gate>,
    /// True once what lies there was checked to be of this fold.
    checked: Mutex<bool>,
}

/// The folded ledgers of one process.
pub struct Index {
    running: Running,
    opened: Opened,
    /// The marker and the engine's directory; none in memory.
    on_disk: Option<(Marker, PathBuf)>,
    spaces: Mutex<HashMap<String, Arc<Space>>>,
    is_closed: RwLock<bool>,
}

fn other_fold(row: &TagRow) -> bool {
    row.fold != FOLD_VERSION
}

impl Index {
    /// Opens the index under a directory, which is created if needed. What is damaged, torn or in
    /// doubt is dropped and the index starts empty; [`Index::opened`] tells. `boot_id` names the
    /// machine's current run; an empty one is like none before.
    ///
    /// # Errors
    /// Only when the disk refuses, or another process has the index open.
    pub fn open(kind: EngineKind, dir: &Path, boot_id: &str) -> Result<Self, IndexError> {
        if kind == EngineKind::Memory {
            let running = Running::open(kind, dir)?;
            return Ok(Self::new(running, Opened::Clean, None));
        }
        fs::create_dir_all(dir)?;
        let marker = Marker::beside(dir, kind.as_str());
        let engine_dir = dir.join(kind.as_str());
        let mut opened = marker.look(boot_id)?;
        if opened == Opened::Dropped {
            tracing::warn!(dir = %engine_dir.display(), "the index was open when the machine went down; it is dropped");
            // Nobody can have it open: no process outlives its boot, and where the boot is not
            // known, the store's own lock has let only this process through.
            remove(&engine_dir)?;
        }
        marker.lay(boot_id)?;
        let running = match Running::open(kind, &engine_dir) {
            Ok(running) => running,
            Err(error @ (IndexError::Disk(_) | IndexError::Busy)) => return Err(error),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(dir = %engine_dir.display(), %error, cause, "the index cannot be opened; it is dropped");
                remove(&engine_dir)?;
                opened = Opened::Dropped;
                Running::open(kind, &engine_dir)?
            }
        };
        Ok(Self::new(running, opened, Some((marker, engine_dir))))
    }

    /// An index over an engine from elsewhere, as tests bring one that counts or fails.
    pub fn over(engine: Box<dyn Engine>) -> Self {
        Self::new(Running::Given(engine), Opened::Clean, None)
    }

    fn new(running: Running, opened: Opened, on_disk: Option<(Marker, PathBuf)>) -> Self {
        Self { running, opened, on_disk, spaces: Mutex::default(), is_closed: RwLock::new(false) }
    }

    /// In what state the index was found.
    pub fn opened(&self) -> Opened {
        self.opened
    }

    /// Writes everything out and lifts the marker, so that the next start need not doubt.
    /// Reads go on working, commits are refused from here on.
    pub fn close(&self) -> Result<(), IndexError> {
        let mut is_closed = self.is_closed.write().unwrap_or_else(PoisonError::into_inner);
        if *is_closed {
            return Ok(());
        }
        *is_closed = true;
        self.running.sync()?;
        if let Some((marker, dir)) = &self.on_disk {
            sync_tree(dir)?;
            marker.lift()?;
        }
        Ok(())
    }

    /// The space of that name: a project's, or `system`. Names come from the ledger, not from
    /// requests: each one looked at is remembered.
    fn space(&self, name: &str) -> Result<Arc<Space>, IndexError> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        let space = spaces.entry(name.to_owned()).or_default().clone();
        drop(spaces);
        let mut checked = space.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if !*checked {
            self.check(name)?;
            *checked = true;
        }
        drop(checked);
        Ok(space)
    }

    /// Drops what another version of the fold left, or a load that did not end.
    fn check(&self, name: &str) -> Result<(), IndexError> {
        let engine = self.running.engine();
        let sound = match self.tag_row(name) {
            Ok(Some(row)) => !other_fold(&row),
            Ok(None) => engine.scan(name, &[], &[0xff], Direction::Forward, 1)?.is_empty(),
            Err(IndexError::Damaged(_)) => false,
            Err(error) => return Err(error),
        };
        if !sound {
            tracing::warn!(space = name, "what is folded there is not of this fold; it is dropped");
            engine.drop_space(name)?;
        }
        Ok(())
    }

    fn tag_row(&self, space: &str) -> Result<Option<TagRow>, IndexError> {
        let value = self.running.engine().get(space, &Key::of(Table::Tag).bytes())?;
        value.map(|value| decode(&value)).transpose()
    }

    fn read_tag(&self, space: &str) -> Result<Option<Tag>, IndexError> {
        let row = self.tag_row(space)?;
        Ok(row.map(|row| Tag { seq: row.seq, hash: row.hash, at: row.at }))
    }

    fn base(&self, space: &str) -> Result<Base<'_>, IndexError> {
        let seq = self.read_tag(space)?.map_or(0, |tag| tag.seq);
        Ok(Base { engine: self.running.engine(), space: space.to_owned(), seq })
    }

    /// The commit that a space is folded up to; none when nothing is.
    pub fn tag(&self, space: &str) -> Result<Option<Tag>, IndexError> {
        let _pass = self.space(space)?.gate.read();
        self.read_tag(space)
    }

    /// Everything that is folded, at one commit.
    pub fn view(&self, space: &str) -> Result<View<'_>, IndexError> {
        let pass = self.space(space)?.gate.read();
        Ok(Reads { source: Committed { base: self.base(space)?, _pass: pass } })
    }

    /// Starts to fold further commits. Only one fold of a space may be under way that is meant to
    /// be committed: the second is refused as [`IndexError::Moved`].
    pub fn begin(&self, space: &str) -> Result<Fold<'_>, IndexError> {
        self.space(space)?;
        Ok(Fold::new(self.base(space)?))
    }

    /// Makes a fold visible, all at once. Waits for those who read the space.
    ///
    /// # Panics
    /// When this thread itself holds a view of the space.
    pub fn commit(&self, folded: &FoldedBatch) -> Result<(), IndexError> {
        let is_closed = self.is_closed.read().unwrap_or_else(PoisonError::into_inner);
        if *is_closed {
            return Err(IndexError::Closed);
        }
        let space = self.space(&folded.space)?;
        let _pass = space.gate.write();
        let found = self.read_tag(&folded.space)?.map_or(0, |tag| tag.seq);
        if found != folded.begun {
            return Err(IndexError::Moved { begun: folded.begun, found });
        }
        self.running.engine().apply(&folded.space, &folded.batch)
    }

    /// Forgets a space.
    pub fn reset(&self, space: &str) -> Result<(), IndexError> {
        let found = self.space(space)?;
        let _pass = found.gate.write();
        self.running.engine().drop_space(space)
    }

    /// A digest of all that is folded: equal for equal ledgers, whatever the engine and whatever
    /// the batches. To have it together with its commit, see [`Reads::digest`].
    pub fn digest(&self, space: &str) -> Result<Digest, IndexError> {
        self.view(space)?.digest()
    }

    /// All that is folded, in chunks for a snapshot. Commits wait until it is dropped.
    pub fn dump(&self, space: &str) -> Result<snapshot::Dump<'_>, IndexError> {
        Ok(snapshot::Dump::new(self.view(space)?))
    }

    /// Replaces a space by what was dumped at a commit. If it fails the space is empty.
    pub fn load<C: AsRef<[u8]>, E: From<IndexError>>(
        &self,
        space: &str,
        chunks: impl IntoIterator<Item = Result<C, E>>,
        tag: Tag,
    ) -> Result<(), E> {
        let found = self.space(space)?;
        let _pass = found.gate.write();
        let engine = self.running.engine();
        engine.drop_space(space)?;
        let loaded = snapshot::load(engine, space, chunks).and_then(|()| {
            let batch = Batch { writes: vec![tag_write(tag)?] };
            engine.apply(space, &batch).map_err(E::from)
        });
        if loaded.is_err() {
            engine.drop_space(space)?;
        }
        loaded
    }
}

/// The write that says what is folded.
pub(crate) fn tag_write(tag: Tag) -> Result<(Vec<u8>, Option<Vec<u8>>), IndexError> {
    let row = TagRow { seq: tag.seq, hash: tag.hash, at: tag.at, fold: FOLD_VERSION };
    Ok((Key::of(Table::Tag).bytes(), Some(crate::fold::encode(&row)?)))
}

impl View<'_> {
    /// The commit that this view is at; none when nothing is folded.
    pub fn tag(&self) -> Result<Option<Tag>, IndexError> {
        let row: Option<TagRow> = self.record(Key::of(Table::Tag))?;
        Ok(row.map(|row| Tag { seq: row.seq, hash: row.hash, at: row.at }))
    }
}

/// Removes the directory, or whatever lies in its place.
fn remove(dir: &Path) -> Result<(), IndexError> {
    use std::io::ErrorKind::{NotADirectory, NotFound};
    let removed = match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == NotADirectory => fs::remove_file(dir),
        other => other,
    };
    match removed {
        Err(error) if error.kind() != NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
