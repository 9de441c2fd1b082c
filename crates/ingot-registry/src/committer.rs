//! One committer per project and process: takes waiting wishes, decides each by the rules against
//! the fold plus what it decided before in the same batch, appends one commit, folds it, and
//! answers all.
//!
//! Nothing is acknowledged before the append is durable, and nothing is appended while the
//! outcome of an append is unknown.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use ingot_core::event::Event;
use ingot_core::facts::Facts;
use ingot_core::names::Seq;
use ingot_core::rules::{Decision, Moment};
use ingot_core::{Change, Code, Digest, Refusal, Timestamp};
use ingot_index::{Fold, Index, Tag};
use ingot_ledger::{Appended, Head, Ledger};
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};

use crate::store::Clock;

/// Most wishes in one commit.
const BATCH_WISHES_MAX: usize = 256;
/// Most bytes of entries in one commit, but for one wish that alone is larger.
const BATCH_BYTES_MAX: usize = 3 << 20;
/// Most bytes of entries that one wish may cause.
pub(crate) const WISH_BYTES_MAX: usize = 4 << 20;
/// Longest idempotency key, in bytes.
pub const KEY_BYTES_MAX: usize = 255;
/// How long an answer is given again to a request with the same key.
const ANSWERS_KEPT: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// Wishes that may wait for a committer before further ones are refused.
pub(crate) const QUEUE_MAX: usize = 4_096;
/// How long to wait before asking an unsettled ledger again.
const SETTLE_PAUSE: Duration = Duration::from_millis(200);

/// A client's key for one request, and what the request was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The key as it was sent.
    pub key: String,
    /// A digest of method, path and body.
    pub fingerprint: Digest,
}

/// What came of a change.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The commit that holds it; for what was so already, the last one known.
    pub seq: Seq,
    /// Whether it is new ("created"), or was so already.
    pub fresh: bool,
    /// The answer's body.
    pub body: Value,
}

type Decide = Box<dyn FnMut(&dyn Facts, Moment) -> Result<Decision, Refusal> + Send>;
type Answer = Box<dyn Fn(&dyn Facts, Moment, &Decision) -> Result<Value, Refusal> + Send>;

const WAITING: u8 = 0;
const TAKEN: u8 = 1;
const GIVEN_UP: u8 = 2;

/// One change that somebody asks for. `decide` may be called several times, when another process
/// was first to take the commit's number.
pub(crate) struct Wish {
    pub(crate) change: Change,
    pub(crate) idempotency: Option<Idempotency>,
    pub(crate) decide: Decide,
    pub(crate) answer: Answer,
    reply: oneshot::Sender<Result<Outcome, Refusal>>,
    /// Settles the race between a caller who gives up and the committer who begins.
    state: Arc<AtomicU8>,
}

/// The callers' side of a committer.
pub(crate) struct Committing {
    wishes: mpsc::Sender<Wish>,
    deadline: Duration,
}

impl Committing {
    /// Makes a change, or says why not; past the deadline whether it is certain that nothing
    /// happened.
    pub(crate) async fn change(
        &self,
        change: Change,
        idempotency: Option<Idempotency>,
        decide: Decide,
        answer: Answer,
    ) -> Result<Outcome, Refusal> {
        let (reply, answered) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(WAITING));
        let wish = Wish { change, idempotency, decide, answer, reply, state: Arc::clone(&state) };
        self.wishes.try_send(wish).map_err(|_| {
            Refusal::new(
                Code::Unavailable,
                "too many changes are waiting, or the server is stopping; try again shortly",
            )
        })?;
        match tokio::time::timeout(self.deadline, answered).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(unknown()),
            Err(_) => {
                let begun = state
                    .compare_exchange(WAITING, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire)
                    .is_err();
                if begun {
                    return Err(unknown());
                }
                Err(Refusal::new(
                    Code::Unavailable,
                    "the ledger did not answer in time; nothing was changed, try again",
                ))
            }
        }
    }
}

fn unknown() -> Refusal {
    Refusal::new(
        Code::OutcomeUnknown,
        "the ledger did not confirm in time, so the change may or may not have happened; \
         send the same request again (with the same Idempotency-Key) and the answer will tell",
    )
}

/// What a process knows of a project's ledger, for everyone who waits or asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    /// The last commit folded.
    pub(crate) seq: Seq,
    /// Why no changes are taken, for good: the chain does not fit, or speaks of unknown things.
    pub(crate) broken: Option<String>,
    /// Set while an append is not settled, or the fold lags behind the ledger.
    pub(crate) troubled: bool,
}

/// The committer's side.
pub(crate) struct Committer {
    pub(crate) space: String,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) index: Arc<Index>,
    pub(crate) clock: Clock,
    pub(crate) writer: String,
    pub(crate) head: Head,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) snapshot_every: Seq,
    pub(crate) snapshot_seq: Seq,
    pub(crate) scratch: std::path::PathBuf,
}

/// Starts a committer and hands out the callers' side.
pub(crate) fn start(
    committer: Committer,
    deadline: Duration,
    runtime: &tokio::runtime::Handle,
) -> (Committing, tokio::task::JoinHandle<()>) {
    let (wishes, waiting) = mpsc::channel(QUEUE_MAX);
    let task = runtime.spawn(committer.run(waiting));
    (Committing { wishes, deadline }, task)
}

/// What became of one wish while its batch was decided.
enum Verdict {
    Decided(Outcome),
    Refused(Refusal),
}

impl Committer {
    async fn run(mut self, mut waiting: mpsc::Receiver<Wish>) {
        let mut carried: Option<Wish> = None;
        loop {
            let first = match carried.take() {
                Some(wish) => wish,
                None => match waiting.recv().await {
                    Some(wish) => wish,
                    None => return,
                },
            };
            let mut batch = vec![first];
            while batch.len() < BATCH_WISHES_MAX {
                match waiting.try_recv() {
                    Ok(wish) => batch.push(wish),
                    Err(_) => break,
                }
            }
            batch.retain(|wish| {
                wish.state
                    .compare_exchange(WAITING, TAKEN, Ordering::AcqRel, Ordering::Acquire)
                    .is_ok()
            });
            while !batch.is_empty() {
                batch = self.commit(batch).await;
            }
            self.snapshot_when_due();
        }
    }

    /// Decides and appends one batch; gives back the wishes that did not fit into the commit.
    async fn commit(&mut self, mut batch: Vec<Wish>) -> Vec<Wish> {
        loop {
            if let Err(refusal) = self.ready().await {
                for wish in batch {
                    let _ = wish.reply.send(Err(refusal.clone()));
                }
                return Vec::new();
            }
            let at = (self.clock)().max(self.head.at);
            let moment = Moment { seq: self.head.seq + 1, at };
            let index = Arc::clone(&self.index);
            let (entries, verdicts, fold) = match decide(&index, &self.space, &mut batch, moment) {
                Ok(decided) => decided,
                Err(refusal) => {
                    for wish in batch {
                        let _ = wish.reply.send(Err(refusal.clone()));
                    }
                    return Vec::new();
                }
            };
            let rest = batch.split_off(verdicts.len());
            if entries.is_empty() {
                answer(batch, verdicts);
                return rest;
            }
            let appended = match self.append(at, entries).await {
                Ok(appended) => appended,
                Err(refusal) => {
                    for wish in batch {
                        let _ = wish.reply.send(Err(refusal.clone()));
                    }
                    return rest;
                }
            };
            let Some(head) = appended else {
                // Somebody else has that number: fold theirs, and decide again.
                drop(fold);
                self.mark_behind();
                batch.extend(rest);
                continue;
            };
            let tag = Tag { seq: head.seq, hash: head.hash, at: head.at };
            self.head = head;
            match fold.into_batch(tag).and_then(|folded| self.index.commit(&folded)) {
                Ok(()) => {
                    self.status.send_modify(|status| status.seq = moment.seq);
                    answer(batch, verdicts);
                }
                Err(error) => {
                    // The change is durable, but this process cannot show it: say so rather than
                    // answer later reads from before what was acknowledged.
                    tracing::error!(space = self.space, %error, "the index took no commit");
                    self.mark_behind();
                    for wish in batch {
                        let _ = wish.reply.send(Err(unknown()));
                    }
                }
            }
            return rest;
        }
    }

    /// Makes sure that the fold is where the ledger is; a broken ledger takes no changes.
    async fn ready(&mut self) -> Result<(), Refusal> {
        let status = self.status.borrow().clone();
        if let Some(why) = status.broken {
            return Err(Refusal::new(Code::Unavailable, why));
        }
        if status.troubled {
            self.catch_up().await?;
        }
        Ok(())
    }

    fn mark_behind(&self) {
        self.status.send_modify(|status| status.troubled = true);
    }

    /// Folds what the ledger has beyond the fold.
    async fn catch_up(&mut self) -> Result<(), Refusal> {
        let folded = crate::project::catch_up(&self.ledger, &self.index, &self.space).await;
        match folded {
            Ok(head) => {
                self.status.send_modify(|status| {
                    status.seq = head.seq;
                    status.troubled = false;
                });
                self.head = head;
                Ok(())
            }
            Err(trouble) => {
                if let Some(why) = trouble.broken() {
                    self.status.send_modify(|status| status.broken = Some(why.to_owned()));
                }
                Err(trouble.refusal())
            }
        }
    }

    /// Appends after the head: the new head, or none when another's commit has that number.
    async fn append(
        &mut self,
        at: Timestamp,
        entries: Vec<Box<RawValue>>,
    ) -> Result<Option<Head>, Refusal> {
        let mut appended = self.ledger.append(&self.head, at, &self.writer, entries).await;
        loop {
            match appended {
                Ok(Appended::Done(head)) => {
                    self.status.send_modify(|status| status.troubled = false);
                    return Ok(Some(head));
                }
                Ok(Appended::Taken) => return Ok(None),
                Ok(Appended::Unknown(pending)) => {
                    tracing::warn!(
                        space = self.space,
                        seq = self.head.seq + 1,
                        "the outcome of an append is unknown; settling it before anything else"
                    );
                    self.mark_behind();
                    tokio::time::sleep(SETTLE_PAUSE).await;
                    appended = Ok(self.ledger.settle(pending).await);
                }
                Err(error) => {
                    tracing::error!(space = self.space, %error, "the ledger refused an append");
                    self.mark_behind();
                    return Err(crate::project::Trouble::from(error).refusal());
                }
            }
        }
    }

    fn snapshot_when_due(&mut self) {
        if self.head.seq < self.snapshot_seq + self.snapshot_every {
            return;
        }
        self.snapshot_seq = self.head.seq;
        let (ledger, index) = (Arc::clone(&self.ledger), Arc::clone(&self.index));
        let (space, now) = (self.space.clone(), (self.clock)());
        let scratch = self.scratch.clone();
        tokio::spawn(async move {
            let made = crate::project::maintain(&ledger, &index, &space, &scratch, now).await;
            if let Err(error) = made {
                tracing::warn!(space, %error, "a snapshot could not be made; the next will be");
            }
        });
    }
}

/// Decides wishes in order until the commit is full.
fn decide<'a>(
    index: &'a Index,
    space: &str,
    batch: &mut [Wish],
    moment: Moment,
) -> Result<(Vec<Box<RawValue>>, Vec<Verdict>, Fold<'a>), Refusal> {
    let mut fold = index.begin(space).map_err(internal)?;
    let mut entries = Vec::new();
    let mut verdicts = Vec::new();
    let mut bytes = 0;
    for wish in batch {
        if bytes > BATCH_BYTES_MAX {
            break;
        }
        let before = fold.checkpoint();
        match decide_one(wish, &mut fold, moment, entries.len()) {
            Ok((outcome, new)) => {
                bytes += new.iter().map(|entry| entry.get().len()).sum::<usize>();
                entries.extend(new);
                verdicts.push(Verdict::Decided(outcome));
            }
            Err(refusal) => {
                fold.revert(before);
                verdicts.push(Verdict::Refused(refusal));
            }
        }
    }
    Ok((entries, verdicts, fold))
}

fn internal(error: ingot_index::IndexError) -> Refusal {
    Refusal::new(Code::Internal, "the index cannot be read").because(error)
}

fn answer(batch: Vec<Wish>, verdicts: Vec<Verdict>) {
    for (wish, verdict) in batch.into_iter().zip(verdicts) {
        // A caller who went away loses the answer; the change stands, and a retry finds it.
        let _ = wish.reply.send(match verdict {
            Verdict::Decided(outcome) => Ok(outcome),
            Verdict::Refused(refusal) => Err(refusal),
        });
    }
}

/// Decides one wish on top of those before it, and folds its entries in.
fn decide_one(
    wish: &mut Wish,
    fold: &mut Fold<'_>,
    moment: Moment,
    position: usize,
) -> Result<(Outcome, Vec<Box<RawValue>>), Refusal> {
    if let Some(idempotency) = &wish.idempotency
        && let Some(kept) = fold.facts().find_answer(&wish.change.by, &idempotency.key)?
        && moment.at.duration_since(kept.at) < ANSWERS_KEPT
    {
        if kept.fingerprint != idempotency.fingerprint {
            return Err(Refusal::new(
                Code::KeyReused,
                "this Idempotency-Key was used for another request; use a new key per request",
            ));
        }
        let outcome = Outcome { seq: kept.seq, fresh: kept.fresh, body: kept.body };
        return Ok((outcome, Vec::new()));
    }
    let decision = (wish.decide)(fold.facts(), moment)?;
    let mut entries = Vec::new();
    let mut bytes = 0;
    let mut add = |fold: &mut Fold<'_>, event: Event| -> Result<(), Refusal> {
        let entry = wish.change.entry(moment.at, event);
        let text = serde_json::value::to_raw_value(&entry).map_err(|error| {
            Refusal::new(Code::Internal, "an event did not print").because(error)
        })?;
        bytes += text.get().len();
        if bytes > WISH_BYTES_MAX {
            return Err(Refusal::new(
                Code::TooLarge,
                "this change is too large for one commit; split it into several",
            ));
        }
        let place = u32::try_from(position + entries.len()).unwrap_or(u32::MAX);
        fold.apply(&entry, moment.seq, place).map_err(internal)?;
        entries.push(text);
        Ok(())
    };
    for event in decision.events.iter().cloned() {
        add(fold, event)?;
    }
    let body = (wish.answer)(fold.facts(), moment, &decision)?;
    if let Some(idempotency) = &wish.idempotency {
        let event = Event::Answered {
            key: idempotency.key.clone(),
            fingerprint: idempotency.fingerprint,
            fresh: decision.fresh,
            body: body.clone(),
        };
        add(fold, event)?;
    }
    let seq = if entries.is_empty() { moment.seq - 1 } else { moment.seq };
    Ok((Outcome { seq, fresh: decision.fresh, body }, entries))
}
