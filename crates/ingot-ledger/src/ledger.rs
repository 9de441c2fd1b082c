//! The ledger itself, and what one process remembers of it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ingot_core::{Seq, Timestamp};
use object_store::ObjectStore;

use crate::commit::Head;
use crate::door::Door;
use crate::layout::Layout;
use crate::segment::Part;
use crate::{Error, Result};

/// How many commits a segment packs. This belongs to the format: all who write to a ledger must
/// agree on it, because they look a segment up by its range.
pub const SEGMENT_COMMITS: u64 = 1024;
/// How long a commit is kept beside its segment.
pub const KEEP_COMMITS: Duration = Duration::from_hours(24);
/// How long the head may rely on having been confirmed. Far below [`KEEP_COMMITS`], so that what
/// was not there that long ago cannot have been deleted since.
pub const CONFIRM_MAX: Duration = Duration::from_mins(10);
/// How long one call to the store may take.
pub const CALL_DEADLINE: Duration = Duration::from_secs(30);

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a ledger needs from whoever opens it.
#[derive(Clone)]
pub struct Options {
    /// Tells the time; the crate has no clock of its own.
    pub clock: Clock,
    /// See [`CONFIRM_MAX`].
    pub confirm_max: Duration,
    /// See [`KEEP_COMMITS`].
    pub keep_commits: Duration,
    /// See [`SEGMENT_COMMITS`]; only tests set another.
    pub segment_commits: u64,
    /// See [`CALL_DEADLINE`].
    pub call_deadline: Duration,
    /// On local disk the directory that the store's keys are below: what is found there is synced
    /// before anything is acknowledged on it.
    pub sync_found: Option<PathBuf>,
}

impl Options {
    /// The usual limits, for a store that is not on local disk.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            confirm_max: CONFIRM_MAX,
            keep_commits: KEEP_COMMITS,
            segment_commits: SEGMENT_COMMITS,
            call_deadline: CALL_DEADLINE,
            sync_found: None,
        }
    }
}

/// One ledger in one store.
///
/// All calls take `&self` and may run beside each other; the order of commits is decided by the
/// store alone. Callers keep the [`Head`] they have folded up to and hand it in.
pub struct Ledger {
    pub(crate) name: String,
    pub(crate) layout: Layout,
    pub(crate) door: Door,
    pub(crate) options: Options,
    state: Mutex<State>,
}

/// What this process knows about the ledger, beside what its callers hand in.
#[derive(Default)]
pub(crate) struct State {
    /// Segments seen to exist. There may be more.
    pub(crate) segments: BTreeSet<u64>,
    /// At that time there was nothing after that commit.
    pub(crate) confirmed: Option<(Seq, Timestamp)>,
    /// Commits up to here are known to be durable.
    pub(crate) durable: Seq,
    /// The chain does not fit here: nothing more is written.
    pub(crate) broken: Option<(Seq, String)>,
    /// The part of a segment that was read last, since a replay reads on from it.
    pub(crate) part: Option<Arc<Part>>,
}

impl Ledger {
    /// Opens a ledger. Lists its segments and writes nothing: a ledger that has no commit yet is
    /// an empty one. `name` is `system` or the project's, `prefix` where it lies in the store,
    /// such as `projects/main/ledger`.
    ///
    /// Errors: `Unavailable`; `NotAccepted` for an odd prefix or for segments of another size.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        name: &str,
        prefix: &str,
        options: Options,
    ) -> Result<Self> {
        if options.segment_commits == 0 || options.confirm_max * 2 > options.keep_commits {
            return Err(Error::not_accepted(
                "the ledger's configuration",
                "commits must be kept for more than twice the time that a head may go unconfirmed",
            ));
        }
        let ledger = Self {
            name: name.to_owned(),
            layout: Layout::new(prefix, options.segment_commits)?,
            door: Door::new(store, options.call_deadline, options.sync_found.clone()),
            options,
            state: Mutex::default(),
        };
        let segments = ledger.list_segments().await?;
        ledger.state().segments = segments;
        Ok(ledger)
    }

    /// `system`, or the project's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The head before the first commit: where a replay from scratch starts.
    pub fn start(&self) -> Head {
        Head::start(&self.name)
    }

    /// Where the chain was found not to fit, if it was: then nothing more is written.
    pub fn find_break(&self) -> Option<Error> {
        let state = self.state();
        let (seq, reason) = state.broken.as_ref()?;
        Some(Error::broken(*seq, reason))
    }

    pub(crate) async fn list_segments(&self) -> Result<BTreeSet<u64>> {
        let listed = self.door.list(&self.layout.segments()).await?;
        let number = |key| {
            self.layout.segment_number(key).ok_or_else(|| {
                Error::not_accepted(
                    "a segment",
                    format!("{key} is not a range of {} commits", self.options.segment_commits),
                )
            })
        };
        listed.objects.iter().map(|meta| number(&meta.location)).collect()
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.options.clock)()
    }

    /// Remembers that at `at` there was nothing after commit `seq`.
    pub(crate) fn confirm(&self, seq: Seq, at: Timestamp) {
        let mut state = self.state();
        if state.confirmed.is_none_or(|(_, before)| before < at) {
            state.confirmed = Some((seq, at));
        }
    }

    /// Whether, at `now`, commit `seq + 1` cannot possibly have been packed and deleted: a short
    /// time ago it did not exist, and commits are kept for long.
    pub(crate) fn is_fresh(&self, seq: Seq, now: Timestamp) -> bool {
        let state = self.state();
        state.confirmed.is_some_and(|(confirmed, at)| {
            // A clock that went back says nothing.
            let elapsed = Duration::try_from(now.duration_since(at));
            confirmed <= seq && elapsed.is_ok_and(|elapsed| elapsed <= self.options.confirm_max)
        })
    }

    /// Makes commit `seq` durable if it is not known to be: its writer may have died between
    /// making it visible and syncing it. All before it are: none is appended to before it is.
    pub(crate) async fn ensure_durable(&self, seq: Seq) -> Result<()> {
        if self.options.sync_found.is_none() || seq <= self.state().durable {
            return Ok(());
        }
        let commit = self.layout.commit(seq);
        let segment = self.layout.segment(self.layout.segment_of(seq));
        if self.door.find_meta(&commit).await?.is_some() {
            self.door.sync_found(&commit).await?;
        } else if self.door.find_meta(&segment).await?.is_some() {
            self.door.sync_found(&segment).await?;
        } else {
            return Err(Error::NotOnChain { seq });
        }
        self.know_durable(seq);
        Ok(())
    }

    pub(crate) fn know_durable(&self, seq: Seq) {
        let mut state = self.state();
        state.durable = state.durable.max(seq);
    }
}
