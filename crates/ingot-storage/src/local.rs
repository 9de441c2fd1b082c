//! Blobs in a directory, written with plain system calls.
//!
//! A blob appears under its name by a hard link, which fails if the name is taken, after its
//! bytes are on disk; then the folder is synced. No step is skipped because a file was found
//! rather than made: whoever made it may not have synced it yet.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use ingot_core::{Digest, ProjectName};
use sha2::{Digest as _, Sha256};

use crate::buffer::Stock;
use crate::error::StorageError;
use crate::hashing::{INLINE_HASH_BYTES_MAX, PIECE_BYTES};
use crate::key::{BlobKey, PIECES_SUFFIX};
use crate::pieces::Pieces;
use crate::spool::{Content, Spooled};
use crate::spool_files::{SpoolFiles, create_unique, sweep_folder};

/// How many shards there are: one for each first byte of a digest.
const SHARDS: u16 = 256;

/// The directory. All functions block.
pub(crate) struct Local {
    root: PathBuf,
    files: Arc<SpoolFiles>,
    stock: Arc<Stock>,
    prepared: Mutex<HashSet<ProjectName>>,
    /// A sync failed: what is on disk is unknown, and asking again would get a false yes.
    read_only: AtomicBool,
    #[cfg(test)]
    pub(crate) fail_syncs: AtomicBool,
}

/// How a put came out; in both cases the blob is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is new, or was damaged before.
    Written,
    /// It was there already, and is right: read in full, unless it was trusted.
    Found,
}

/// What lies under a blob's name.
enum Found {
    Nothing,
    Sound(File),
    Damaged,
}

impl Local {
    pub(crate) fn new(
        root: &Path,
        files: Arc<SpoolFiles>,
        stock: Arc<Stock>,
    ) -> Result<Self, StorageError> {
        fs::create_dir_all(root).map_err(StorageError::io("make the directory of the store"))?;
        Ok(Self {
            root: root.into(),
            files,
            stock,
            prepared: Mutex::default(),
            read_only: AtomicBool::new(false),
            #[cfg(test)]
            fail_syncs: AtomicBool::new(false),
        })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes the shards of a project, durably.
    pub(crate) fn prepare(&self, project: &ProjectName) -> Result<(), StorageError> {
        if self.lock_prepared().contains(project) {
            return Ok(());
        }
        self.check_writable()?;
        let what = "make the folders of a project";
        let folder = self.root.join(BlobKey::folder(project));
        for shard in 0..SHARDS {
            fs::create_dir_all(folder.join(format!("{shard:02x}")))
                .map_err(StorageError::io(what))?;
        }
        // Also when they were there already: whoever made them may have died before the sync.
        let above = folder.ancestors().take_while(|path| path.starts_with(&self.root));
        for parent in above {
            self.sync_folder(parent)?;
        }
        self.lock_prepared().insert(project.clone());
        Ok(())
    }

    /// Stores a body durably. A blob that is there already is read first, unless `trusted`, and
    /// replaced when it is damaged: the right bytes are in hand, and content is its name.
    pub(crate) fn put(
        &self,
        key: &BlobKey,
        spooled: &Spooled,
        trusted: bool,
    ) -> Result<Put, StorageError> {
        self.check_writable()?;
        self.prepare(&key.project)?;
        let shard = self.shard(key);
        let path = shard.join(key.name());
        match self.look_at(&path, key, spooled.size(), trusted)? {
            Found::Sound(file) => return self.adopt_found(&file, key, spooled),
            Found::Nothing => {}
            Found::Damaged => {
                self.files.check_reserve(&self.root)?;
                self.put_pieces_of(key, spooled)?;
                let staged = self.stage(&shard, key, spooled)?;
                fs::rename(&staged.0, &path).map_err(StorageError::io("replace a damaged blob"))?;
                tracing::warn!(digest = %key.digest, "a damaged blob was replaced by an upload");
                self.sync_folder(&shard)?;
                return Ok(Put::Written);
            }
        }
        self.files.check_reserve(&self.root)?;
        self.put_pieces_of(key, spooled)?;
        let staged = self.stage(&shard, key, spooled)?;
        match fs::hard_link(&staged.0, &path) {
            Ok(()) => {
                drop(staged);
                self.sync_folder(&shard)?;
                Ok(Put::Written)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // Another upload of the same bytes was faster.
                drop(staged);
                match self.look_at(&path, key, spooled.size(), trusted)? {
                    Found::Sound(file) => self.adopt_found(&file, key, spooled),
                    Found::Nothing | Found::Damaged => {
                        Err(StorageError::Damaged { digest: key.digest })
                    }
                }
            }
            Err(error) => Err(StorageError::io("name a blob")(error)),
        }
    }

    /// Makes what somebody else wrote durable before it is acknowledged.
    fn adopt_found(
        &self,
        file: &File,
        key: &BlobKey,
        spooled: &Spooled,
    ) -> Result<Put, StorageError> {
        self.sync(file)?;
        if let Some(pieces) = &spooled.0.pieces
            && self.find_pieces(key, spooled.size()).as_ref() != Some(pieces)
        {
            self.put_pieces(key, pieces)?;
        }
        self.sync_folder(&self.shard(key))?;
        Ok(Put::Found)
    }

    fn look_at(
        &self,
        path: &Path,
        key: &BlobKey,
        size: u64,
        trusted: bool,
    ) -> Result<Found, StorageError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
            other => other.map_err(StorageError::io("open a blob"))?,
        };
        let known = file.metadata().map_err(StorageError::io("look at a blob"))?;
        if known.len() != size {
            return Ok(Found::Damaged);
        }
        if trusted {
            return Ok(Found::Sound(file));
        }
        // A read error of the disk is damage too: the bytes in hand are better.
        match self.hash(&file, size) {
            Ok(digest) if digest == key.digest => Ok(Found::Sound(file)),
            Ok(_) | Err(_) => Ok(Found::Damaged),
        }
    }

    fn hash(&self, file: &File, size: u64) -> io::Result<Digest> {
        let mut buffer = self.stock.take();
        let mut hasher = Sha256::new();
        let mut position = 0;
        while position < size {
            let count = (size - position).min(PIECE_BYTES as u64);
            let piece = buffer.space(count as usize);
            file.read_exact_at(piece, position)?;
            hasher.update(piece);
            position += count;
        }
        Ok(Digest::from_bytes(hasher.finalize().into()))
    }

    /// Gives the synced body a temp name in the shard it belongs to.
    fn stage(
        &self,
        shard: &Path,
        key: &BlobKey,
        spooled: &Spooled,
    ) -> Result<Staged, StorageError> {
        let spool = match &spooled.0.content {
            Content::Memory(bytes) => return self.stage_bytes(shard, &key.name(), bytes),
            Content::File(spool) => spool,
        };
        self.sync(&spool.file)?;
        loop {
            let staged = shard.join(temp_name(&key.name(), crate::spool_files::unique_number()));
            match fs::hard_link(&spool.path, &staged) {
                Ok(()) => return Ok(Staged(staged)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                    return self.stage_copy(shard, key, spooled);
                }
                Err(error) => return Err(StorageError::io("adopt a spool file")(error)),
            }
        }
    }

    /// For a spool folder on another file system.
    fn stage_copy(
        &self,
        shard: &Path,
        key: &BlobKey,
        spooled: &Spooled,
    ) -> Result<Staged, StorageError> {
        let what = "copy a spool file";
        let (mut file, path) = create_unique(|number| shard.join(temp_name(&key.name(), number)))
            .map_err(StorageError::io(what))?;
        let staged = Staged(path);
        io::copy(&mut spooled.reader(), &mut file).map_err(StorageError::io(what))?;
        self.sync(&file)?;
        Ok(staged)
    }

    fn stage_bytes(&self, shard: &Path, name: &str, bytes: &[u8]) -> Result<Staged, StorageError> {
        let what = "write a blob";
        let (mut file, path) = create_unique(|number| shard.join(temp_name(name, number)))
            .map_err(StorageError::io(what))?;
        let staged = Staged(path);
        file.write_all(bytes).map_err(StorageError::io(what))?;
        self.sync(&file)?;
        Ok(staged)
    }

    fn put_pieces_of(&self, key: &BlobKey, spooled: &Spooled) -> Result<(), StorageError> {
        spooled.0.pieces.as_ref().map_or(Ok(()), |pieces| self.put_pieces(key, pieces))
    }

    /// Writes the digests of the pieces. Their name is durable only after a sync of the shard.
    pub(crate) fn put_pieces(&self, key: &BlobKey, pieces: &Pieces) -> Result<(), StorageError> {
        self.check_writable()?;
        let shard = self.shard(key);
        let staged = self.stage_bytes(&shard, &key.pieces_name(), pieces.encoded())?;
        fs::rename(&staged.0, shard.join(key.pieces_name()))
            .map_err(StorageError::io("name the digests of pieces"))
    }

    /// The digests of the pieces, if they are there and sound.
    pub(crate) fn find_pieces(&self, key: &BlobKey, size: u64) -> Option<Pieces> {
        let bytes = fs::read(self.shard(key).join(key.pieces_name())).ok()?;
        Pieces::parse(bytes.into(), key.digest, size)
    }

    /// Opens a blob whose length is right.
    pub(crate) fn open(&self, key: &BlobKey, size: u64) -> Result<File, StorageError> {
        let digest = key.digest;
        let file = match File::open(self.shard(key).join(key.name())) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(StorageError::Missing { digest });
            }
            other => other.map_err(StorageError::io("open a blob"))?,
        };
        let known = file.metadata().map_err(StorageError::io("look at a blob"))?;
        if known.len() != size {
            return Err(StorageError::Damaged { digest });
        }
        Ok(file)
    }

    /// The keys in one shard of a project, sorted.
    pub(crate) fn keys(
        &self,
        project: &ProjectName,
        shard: u16,
    ) -> Result<Vec<BlobKey>, StorageError> {
        let what = "list the blobs";
        let folder = self.root.join(BlobKey::folder(project)).join(format!("{shard:02x}"));
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(StorageError::io(what))?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let name = entry.map_err(StorageError::io(what))?.file_name();
            keys.extend(name.to_str().and_then(|name| BlobKey::parse_name(project, name)));
        }
        keys.sort();
        Ok(keys)
    }

    /// Removes what torn writes left behind in the shards of all projects.
    pub(crate) fn sweep(&self, older_than: Duration, now: SystemTime) -> Result<u64, StorageError> {
        let what = "look for leftovers";
        let projects = match fs::read_dir(self.root.join("projects")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
            other => other.map_err(StorageError::io(what))?,
        };
        let mut swept = 0;
        for project in projects {
            let name = project.map_err(StorageError::io(what))?.file_name();
            let Some(project) = name.to_str().and_then(|name| ProjectName::new(name).ok()) else {
                continue;
            };
            let folder = self.root.join(BlobKey::folder(&project));
            for shard in 0..SHARDS {
                let shard = folder.join(format!("{shard:02x}"));
                swept += sweep_folder(&shard, older_than, now, |name, path| {
                    let orphan = name.strip_suffix(PIECES_SUFFIX).is_some_and(|blob| {
                        !path.with_file_name(blob).try_exists().unwrap_or(true)
                    });
                    name.contains('#') || orphan
                })?;
            }
        }
        Ok(swept)
    }

    fn shard(&self, key: &BlobKey) -> PathBuf {
        self.root.join(BlobKey::folder(&key.project)).join(key.shard())
    }

    fn check_writable(&self) -> Result<(), StorageError> {
        if self.read_only.load(Ordering::SeqCst) {
            return Err(StorageError::ReadOnly);
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), StorageError> {
        self.sync(&File::open(folder).map_err(StorageError::io("open a folder"))?)
    }

    /// Syncs a file or folder. The first failure turns all writes off: the kernel forgets what
    /// it could not write, so that a second sync would say yes to what is not there.
    fn sync(&self, file: &File) -> Result<(), StorageError> {
        #[cfg(test)]
        if self.fail_syncs.load(Ordering::SeqCst) {
            self.read_only.store(true, Ordering::SeqCst);
            let source = io::Error::other("injected");
            return Err(StorageError::Io { what: "sync to disk", source });
        }
        file.sync_all().map_err(|source| {
            self.read_only.store(true, Ordering::SeqCst);
            StorageError::Io { what: "sync to disk", source }
        })
    }

    fn lock_prepared(&self) -> std::sync::MutexGuard<'_, HashSet<ProjectName>> {
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// `name#123`: a form that object stores over the same directory do not list either.
fn temp_name(name: &str, number: u64) -> String {
    format!("{name}#{number}")
}

/// A temp name, removed when dropped, if it is still there.
struct Staged(PathBuf);

impl Drop for Staged {
    fn drop(&mut self) {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "a temp name could not be removed; a sweep will");
            }
            _ => {}
        }
    }
}

/// Reads the bytes of an open blob at a place. Blocks.
pub(crate) fn read_at(
    file: &File,
    digest: Digest,
    position: u64,
    count: usize,
    stock: &Arc<Stock>,
) -> Result<Bytes, StorageError> {
    let wrong = |error: io::Error| match error.kind() {
        // It was cut off after it was opened.
        io::ErrorKind::UnexpectedEof => StorageError::Damaged { digest },
        _ => StorageError::io("read a blob")(error),
    };
    if count <= INLINE_HASH_BYTES_MAX {
        let mut bytes = vec![0; count];
        file.read_exact_at(&mut bytes, position).map_err(wrong)?;
        return Ok(bytes.into());
    }
    let mut buffer = stock.take();
    file.read_exact_at(buffer.space(count), position).map_err(wrong)?;
    Ok(Bytes::from_owner(buffer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hashing::Hashers;
    use crate::spool::{SpoolPlace, SpoolWriter};

    fn spool(files: &Arc<SpoolFiles>, stock: &Arc<Stock>, body: &[u8]) -> Spooled {
        let place = SpoolPlace { files: files.clone(), stock: stock.clone(), memory_bytes: 1000 };
        let mut writer = SpoolWriter::new(place.into(), ingot_core::HashSet::default());
        writer.write_all(body).unwrap();
        writer.finish().unwrap()
    }

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn after_a_failed_sync_nothing_is_written_until_restart_but_reads_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        let stock = Arc::new(Stock::default());
        let files = SpoolFiles::prepare(&folder.path().join("spool"), 0).unwrap();
        for size in [10, 2000, PIECE_BYTES + 1] {
            let local = Local::new(&root, files.clone(), stock.clone()).unwrap();
            let project = ProjectName::new("main").unwrap();
            let (before, body) = (vec![1; size], vec![2; size]);
            let key = |body: &[u8]| BlobKey {
                project: project.clone(),
                digest: Digest::of(body),
                incarnation: 0,
            };
            local.put(&key(&before), &spool(&files, &stock, &before), false).unwrap();
            local.fail_syncs.store(true, Ordering::SeqCst);
            let spooled = spool(&files, &stock, &body);
            assert!(matches!(
                local.put(&key(&body), &spooled, false),
                Err(StorageError::Io { what: "sync to disk", .. })
            ));
            local.fail_syncs.store(false, Ordering::SeqCst);
            for body in [&before, &body] {
                let spooled = spool(&files, &stock, body);
                let refused = local.put(&key(body), &spooled, false).unwrap_err();
                assert!(matches!(refused, StorageError::ReadOnly), "{refused:?}");
                assert!(refused.certainly_did_not_happen());
            }
            assert!(local.open(&key(&before), size as u64).is_ok(), "reads go on");
            assert!(matches!(
                local.open(&key(&body), size as u64),
                Err(StorageError::Missing { .. })
            ));
            let shard = local.shard(&key(&body));
            assert!(names(&shard).iter().all(|name| !name.contains('#')), "temp names are gone");
            let restarted = Local::new(&root, files.clone(), stock.clone()).unwrap();
            restarted.put(&key(&body), &spooled, false).unwrap();
            assert!(restarted.open(&key(&body), size as u64).is_ok());
        }
    }

    #[test]
    fn a_spool_file_that_cannot_be_linked_is_copied() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Arc::new(Stock::default());
        let files = SpoolFiles::prepare(&folder.path().join("spool"), 0).unwrap();
        let local = Local::new(&folder.path().join("root"), files.clone(), stock.clone()).unwrap();
        let body = vec![7; PIECE_BYTES + 3];
        let spooled = spool(&files, &stock, &body);
        let project = ProjectName::new("main").unwrap();
        let key = BlobKey { project, digest: spooled.digest(), incarnation: 0 };
        local.prepare(&key.project).unwrap();
        let staged = local.stage_copy(&local.shard(&key), &key, &spooled).unwrap();
        assert_eq!(fs::read(&staged.0).unwrap(), body);
        let path = staged.0.clone();
        drop(staged);
        assert!(!path.exists());
    }

    #[test]
    fn found_pieces_that_are_not_sound_are_written_again_by_a_put() {
        let folder = tempfile::tempdir().unwrap();
        let stock = Arc::new(Stock::default());
        let files = SpoolFiles::prepare(&folder.path().join("spool"), 0).unwrap();
        let local = Local::new(&folder.path().join("root"), files.clone(), stock.clone()).unwrap();
        let body = vec![7; PIECE_BYTES + 3];
        let spooled = spool(&files, &stock, &body);
        let project = ProjectName::new("main").unwrap();
        let key = BlobKey { project, digest: spooled.digest(), incarnation: 0 };
        local.put(&key, &spooled, false).unwrap();
        let mut hashers = Hashers::new(ingot_core::HashSet::default());
        body.chunks(PIECE_BYTES).for_each(|piece| hashers.update(piece));
        let expected = Pieces::of(key.digest, body.len() as u64, &hashers.finish().pieces);
        assert_eq!(local.find_pieces(&key, body.len() as u64), Some(expected.clone()));
        fs::write(local.shard(&key).join(key.pieces_name()), b"torn").unwrap();
        assert_eq!(local.find_pieces(&key, body.len() as u64), None);
        local.put(&key, &spooled, true).unwrap();
        assert_eq!(local.find_pieces(&key, body.len() as u64), Some(expected));
    }
}
