//! One open ledger with its fold: a project's, or the system's.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ingot_core::facts::Facts;
use ingot_core::names::Seq;
use ingot_core::rules::{Decision, Moment};
use ingot_core::{Code, Entry, ProjectName, Refusal, Timestamp};
use ingot_index::{FOLD_VERSION, Index, IndexError, Tag, View};
use ingot_ledger::{Commit, Error as LedgerError, Head, Ledger, SnapshotManifest};
use serde_json::Value;
use tokio::io::AsyncReadExt;
use tokio::sync::{Mutex, watch};

use crate::committer::{Committer, Committing, Outcome, Status, start};
use crate::projects::SYSTEM;
use crate::store::{Request, Setup};

/// Commits folded into the index at once while catching up.
const FOLD_COMMITS: usize = 256;

/// An open ledger, its fold and its committer.
pub(crate) struct Project {
    pub(crate) name: String,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) index: Arc<Index>,
    committing: Mutex<Option<Arc<Committing>>>,
    task: Mutex<Option<tokio::task::JoinHandle<()>>>,
    status: watch::Receiver<Status>,
}

impl Project {
    /// Opens the ledger and folds what the index has not seen.
    pub(crate) async fn open(
        setup: &Setup,
        name: &str,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Self, Refusal> {
        if name != SYSTEM {
            setup
                .blobs
                .prepare(&ProjectName::new(name)?)
                .await
                .map_err(|error| unavailable("the blob store cannot be prepared", error))?;
        }
        let ledger = Arc::new(open_ledger(setup, name).await?);
        let index = Arc::clone(&setup.index);
        let head = restore(&ledger, &index, name).await.map_err(|trouble| trouble.refusal())?;
        let (status, watching) =
            watch::channel(Status { seq: head.seq, broken: None, troubled: false });
        let committer = Committer {
            space: name.to_owned(),
            ledger: Arc::clone(&ledger),
            index: Arc::clone(&index),
            clock: Arc::clone(&setup.clock),
            writer: setup.writer.clone(),
            snapshot_seq: head.seq,
            head,
            status,
            snapshot_every: setup.snapshot_every,
            scratch: setup.scratch.clone(),
        };
        let (committing, task) = start(committer, setup.deadline, runtime);
        Ok(Self {
            name: name.to_owned(),
            ledger,
            index,
            committing: Mutex::new(Some(Arc::new(committing))),
            task: Mutex::new(Some(task)),
            status: watching,
        })
    }

    /// The last commit folded.
    pub(crate) fn seq(&self) -> Seq {
        self.status.borrow().seq
    }

    /// Reads, all at one commit.
    pub(crate) fn view(&self) -> Result<View<'_>, Refusal> {
        self.index.view(&self.name).map_err(|error| {
            Refusal::new(Code::Internal, "the index cannot be read").because(error)
        })
    }

    pub(crate) fn readiness(&self) -> Result<(), Refusal> {
        let status = self.status.borrow();
        if let Some(why) = &status.broken {
            return Err(Refusal::new(Code::Unavailable, why.clone()));
        }
        if status.troubled {
            return Err(Refusal::new(
                Code::Unavailable,
                format!("the ledger of {} is not settled yet", self.name),
            ));
        }
        Ok(())
    }

    pub(crate) async fn wait_for(&self, seq: Seq, patience: Duration) -> Result<(), Refusal> {
        let mut status = self.status.clone();
        let caught_up = status.wait_for(|status| status.seq >= seq);
        match tokio::time::timeout(patience, caught_up).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Refusal::new(
                Code::NotCaughtUp,
                format!("this replica has not seen commit {seq} yet; try again"),
            )
            .with("seq", self.seq())),
        }
    }

    /// Makes a change; see [`Committing::change`].
    pub(crate) async fn change(
        &self,
        by: &str,
        request: &Request,
        decide: impl FnMut(&dyn Facts, Moment) -> Result<Decision, Refusal> + Send + 'static,
        answer: impl Fn(&dyn Facts, Moment, &Decision) -> Result<Value, Refusal> + Send + 'static,
    ) -> Result<Outcome, Refusal> {
        let committing = self.committing.lock().await.clone();
        let Some(committing) = committing else {
            return Err(Refusal::new(Code::Unavailable, "the server is stopping; try again"));
        };
        let (change, key) = (request.change(by), request.idempotency.clone());
        committing.change(change, key, Box::new(decide), Box::new(answer)).await
    }

    /// Takes no more changes, and waits for those under way.
    pub(crate) async fn close(&self) {
        drop(self.committing.lock().await.take());
        if let Some(task) = self.task.lock().await.take() {
            let _ = task.await;
        }
    }
}

/// Opens a ledger where this setup keeps it.
pub(crate) async fn open_ledger(setup: &Setup, name: &str) -> Result<Ledger, Refusal> {
    let prefix =
        if name == SYSTEM { "system/ledger".to_owned() } else { format!("projects/{name}/ledger") };
    let mut options = ingot_ledger::Options::new(Arc::clone(&setup.clock));
    options.sync_found.clone_from(&setup.ledgers_root);
    Ledger::open(Arc::clone(&setup.ledgers), name, &prefix, options)
        .await
        .map_err(|error| Trouble::from(error).refusal())
}

/// Why the fold is not where the ledger is.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The fold.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A commit holds what this version of Ingot does not know.
    #[error("commit {seq} of {space} holds an event this version does not know: {why}")]
    UnknownEvent { space: String, seq: Seq, why: String },
    /// A temporary file.
    #[error("a temporary file of a snapshot")]
    Scratch(#[from] std::io::Error),
}

impl Trouble {
    /// Why no change can be taken until somebody looks, where that is so.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        match self {
            Self::Ledger(LedgerError::ChainBroken { .. }) => Some(
                "the ledger's hash chain does not fit; writes of this project have stopped: run \
                 `ingot verify` and restore the commit it names",
            ),
            Self::UnknownEvent { .. } => Some(
                "the ledger holds events of a newer version of Ingot; upgrade this server, which \
                 until then answers from what it knows and takes no changes",
            ),
            _ => None,
        }
    }

    pub(crate) fn refusal(self) -> Refusal {
        if let Some(why) = self.broken() {
            return Refusal::new(Code::Unavailable, why).because(self);
        }
        unavailable("the ledger cannot be read; healthy reads go on, try the change again", self)
    }
}

fn unavailable(words: &str, source: impl std::error::Error + Send + Sync + 'static) -> Refusal {
    Refusal::new(Code::Unavailable, words).because(source)
}

/// Brings the index to the ledger's head, from its own tag where that lies on the chain, else
/// from the newest snapshot, else from the first commit.
async fn restore(ledger: &Arc<Ledger>, index: &Arc<Index>, space: &str) -> Result<Head, Trouble> {
    if let Some(tag) = index.tag(space)? {
        let head = Head { seq: tag.seq, hash: tag.hash, at: tag.at };
        if ledger.lies_on_chain(&head).await? {
            return catch_up(ledger, index, space).await;
        }
        tracing::warn!(space, seq = tag.seq, "the index does not fit the ledger; rebuilding it");
    }
    index.reset(space)?;
    if let Some(snapshot) = ledger.newest_snapshot(FOLD_VERSION, None).await? {
        match load(ledger, index, space, &snapshot).await {
            Ok(()) => {}
            Err(error) => {
                tracing::warn!(space, %error, "a snapshot is not usable; folding from the start");
                index.reset(space)?;
            }
        }
    }
    catch_up(ledger, index, space).await
}

async fn load(
    ledger: &Arc<Ledger>,
    index: &Arc<Index>,
    space: &str,
    snapshot: &SnapshotManifest,
) -> Result<(), Trouble> {
    let (ledger, index, space) = (Arc::clone(ledger), Arc::clone(index), space.to_owned());
    let (chunks, head) = (snapshot.chunks.clone(), snapshot.head);
    let runtime = tokio::runtime::Handle::current();
    // The index takes chunks one by one and blocks; each is fetched when it is asked for.
    let loaded = tokio::task::spawn_blocking(move || {
        let chunks = chunks
            .iter()
            .map(|chunk| runtime.block_on(ledger.read_chunk(chunk)).map_err(Trouble::from));
        index.load(&space, chunks, Tag { seq: head.seq, hash: head.hash, at: head.at })
    });
    loaded.await.map_err(|error| Trouble::Scratch(std::io::Error::other(error)))?
}

/// Folds what the ledger has beyond the fold.
pub(crate) async fn catch_up(ledger: &Ledger, index: &Index, space: &str) -> Result<Head, Trouble> {
    let mut head = match index.tag(space)? {
        Some(tag) => Head { seq: tag.seq, hash: tag.hash, at: tag.at },
        None => ledger.start(),
    };
    loop {
        let commits = ledger.read_after(&head, FOLD_COMMITS).await?;
        let Some(last) = commits.last() else { return Ok(head) };
        fold(index, space, &commits)?;
        head = last.head();
    }
}

/// Folds commits that follow on what is folded, in one batch.
pub(crate) fn fold(index: &Index, space: &str, commits: &[Commit]) -> Result<(), Trouble> {
    let mut fold = index.begin(space)?;
    let mut head = None;
    for commit in commits {
        for (position, text) in (0..).zip(&commit.entries) {
            let entry: Entry =
                serde_json::from_str(text.get()).map_err(|error| Trouble::UnknownEvent {
                    space: space.to_owned(),
                    seq: commit.seq,
                    why: error.to_string(),
                })?;
            fold.apply(&entry, commit.seq, position)?;
        }
        head = Some(commit.head());
    }
    if let Some(Head { seq, hash, at }) = head {
        index.commit(&fold.into_batch(Tag { seq, hash, at })?)?;
    }
    Ok(())
}

/// Makes a snapshot of the fold and packs old commits.
pub(crate) async fn maintain(
    ledger: &Arc<Ledger>,
    index: &Arc<Index>,
    space: &str,
    scratch: &Path,
    now: Timestamp,
) -> Result<(), Trouble> {
    let file = scratch.join(format!("snapshot-{space}"));
    let (dumped, at) = (Arc::clone(index), file.clone());
    let name = space.to_owned();
    // Commits wait while the fold is read, so it is copied aside first and stored from there.
    let copied = tokio::task::spawn_blocking(move || copy_aside(&dumped, &name, &at));
    let copied =
        copied.await.map_err(|error| Trouble::Scratch(std::io::Error::other(error))).flatten();
    let stored = match copied {
        Ok(Some((tag, lengths))) => store_snapshot(ledger, &file, tag, &lengths).await,
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    let _ = tokio::fs::remove_file(&file).await;
    stored?;
    ledger.prune_snapshots(now).await?;
    ledger.compact(now).await?;
    Ok(())
}

fn copy_aside(
    index: &Index,
    space: &str,
    file: &Path,
) -> Result<Option<(Tag, Vec<usize>)>, Trouble> {
    let dump = index.dump(space)?;
    let Some(tag) = dump.view().tag()? else { return Ok(None) };
    let mut out = std::io::BufWriter::new(std::fs::File::create(file)?);
    let mut lengths = Vec::new();
    for chunk in dump {
        let chunk = chunk?;
        lengths.push(chunk.len());
        out.write_all(&chunk)?;
    }
    out.flush()?;
    Ok(Some((tag, lengths)))
}

async fn store_snapshot(
    ledger: &Ledger,
    file: &Path,
    tag: Tag,
    lengths: &[usize],
) -> Result<(), Trouble> {
    let head = Head { seq: tag.seq, hash: tag.hash, at: tag.at };
    let mut writer = ledger.begin_snapshot(&head, FOLD_VERSION);
    let mut copy = tokio::fs::File::open(file).await?;
    for &length in lengths {
        let mut chunk = vec![0; length];
        copy.read_exact(&mut chunk).await?;
        writer.write(chunk.into()).await?;
    }
    writer.finish().await?;
    Ok(())
}
