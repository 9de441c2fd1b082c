//! A store that fails on demand, counts, and does not let a promise be broken unnoticed.

use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{FutureExt, StreamExt};
use ingot_core::Digest;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};

use super::TestClock;
use crate::layout::Layout;

/// A kind of call on the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `put_opts`.
    Put,
    /// `get_opts` and `get_ranges`, of bytes.
    Get,
    /// `get_opts` of what is known about an object.
    Head,
    /// One key of a `delete_stream`.
    Delete,
    /// `list`, `list_with_offset` and `list_with_delimiter`.
    List,
    /// Starting a multipart upload, copy, rename.
    Other,
}

/// What is done to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// An error, and nothing happened.
    FailBefore,
    /// It happened, and the answer is an error.
    FailAfter,
    /// An error; it happens when [`FaultStore::release`] is called. Puts and deletes only.
    LandLate,
    /// An error; it happens before the call that comes after that many others.
    LandLateAfter(usize),
    /// No answer ever, and nothing happened.
    Stall,
    /// No answer ever, and it happened.
    StallAfter,
    /// `AlreadyExists`, and nothing happened: what S3 says to a create that meets a delete.
    FalselyExists,
}

/// Wraps a store. Calls without an injected fault go through.
///
/// It *panics*, in the call and again when it is dropped, if an object is overwritten with other
/// bytes (unless its name is the sha256 of the new ones and was not that of the old), and, where
/// it [guards](Self::guarding) a ledger, if a commit is deleted before its segment exists or a
/// segment at all.
pub struct FaultStore {
    inner: Arc<dyn ObjectStore>,
    guarded: Option<Layout>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    late: Vec<Late>,
    log: Vec<(Operation, String)>,
    violations: Vec<String>,
    clock: Option<TestClock>,
    /// How far the clock had been moved when an object was created.
    shifts: HashMap<Path, Duration>,
}

struct Rule {
    operation: Operation,
    key_part: String,
    skip: usize,
    injected: Injected,
}

struct Late {
    countdown: Option<usize>,
    call: Call,
}

enum Call {
    Put(Path, PutPayload, PutOptions),
    Delete(Path),
}

impl FaultStore {
    /// Wraps a store.
    pub fn new(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        Arc::new(Self { inner, guarded: None, state: Arc::default() })
    }

    /// Wraps a store and watches over the ledger with that layout.
    pub fn guarding(inner: Arc<dyn ObjectStore>, layout: Layout) -> Arc<Self> {
        Arc::new(Self { inner, guarded: Some(layout), state: Arc::default() })
    }

    /// Has objects bear the time of `clock` as their time of creation, as a store's own clock that
    /// goes with everybody's would.
    pub fn keep_time(&self, clock: &TestClock) {
        self.state().clock = Some(clock.clone());
    }

    /// Does `injected` to the call of that kind that comes after `skip` others.
    pub fn inject(&self, operation: Operation, skip: usize, injected: Injected) {
        self.inject_on(operation, "", skip, injected);
    }

    /// As [`inject`](Self::inject), counting only calls whose key contains `key_part`.
    pub fn inject_on(&self, operation: Operation, key_part: &str, skip: usize, injected: Injected) {
        let key_part = key_part.to_owned();
        self.state().rules.push(Rule { operation, key_part, skip, injected });
    }

    /// Forgets the faults that have not come to pass; says how many there were.
    pub fn clear(&self) -> usize {
        std::mem::take(&mut self.state().rules).len()
    }

    /// Lets everything land that is late, in the order it was sent. What the store answers reaches
    /// nobody, as with a sender that is gone.
    pub async fn release(&self) {
        let late = std::mem::take(&mut self.state().late);
        for late in late {
            land(&self.inner, &self.state, late.call).await;
        }
    }

    /// How many calls of a kind there were.
    pub fn count(&self, operation: Operation) -> usize {
        self.state().log.iter().filter(|(logged, _)| *logged == operation).count()
    }

    /// Every call so far: its kind and key.
    pub fn log(&self) -> Vec<(Operation, String)> {
        self.state().log.clone()
    }

    /// Starts counting anew.
    pub fn reset_counts(&self) {
        self.state().log.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic under this lock")
    }

    /// Logs a call, lets land what is due, and says what to do to it.
    async fn enter(&self, operation: Operation, key: &Path) -> Option<Injected> {
        enter(&self.inner, &self.state, operation, key).await
    }

    fn late(&self, injected: Injected, call: Call) {
        late(&self.state, injected, call);
    }

    async fn check_put(&self, key: &Path, payload: &PutPayload, mode: &PutMode) {
        if matches!(mode, PutMode::Create) {
            return;
        }
        let Ok(old) = self.inner.get(key).await else { return };
        let Ok(old) = old.bytes().await else { return };
        let new = Bytes::from(payload.clone());
        let named = |bytes: &[u8]| key.as_ref().ends_with(&Digest::of(bytes).hex());
        if old != new && (named(&old) || !named(&new)) {
            violate(&self.state, &format!("{key} was overwritten with other bytes"));
        }
    }
}

fn violate(state: &Mutex<State>, what: &str) -> ! {
    state.lock().expect("no panic under this lock").violations.push(what.to_owned());
    panic!("{what}");
}

async fn enter(
    inner: &Arc<dyn ObjectStore>,
    state: &Mutex<State>,
    operation: Operation,
    key: &Path,
) -> Option<Injected> {
    let (due, injected) = {
        let mut state = state.lock().expect("no panic under this lock");
        state.log.push((operation, key.to_string()));
        let (mut due, mut waiting) = (Vec::new(), Vec::new());
        for mut late in std::mem::take(&mut state.late) {
            match &mut late.countdown {
                Some(0) => due.push(late.call),
                Some(left) => {
                    *left -= 1;
                    waiting.push(late);
                }
                None => waiting.push(late),
            }
        }
        state.late = waiting;
        let mut chosen = None;
        for (index, rule) in state.rules.iter_mut().enumerate() {
            if rule.operation != operation || !key.as_ref().contains(&rule.key_part) {
                continue;
            }
            if rule.skip == 0 && chosen.is_none() {
                chosen = Some(index);
            }
            rule.skip = rule.skip.saturating_sub(1);
        }
        (due, chosen.map(|index| state.rules.remove(index).injected))
    };
    for call in due {
        land(inner, state, call).await;
    }
    injected
}

fn late(state: &Mutex<State>, injected: Injected, call: Call) {
    let countdown = match injected {
        Injected::LandLateAfter(calls) => Some(calls),
        _ => None,
    };
    state.lock().expect("no panic under this lock").late.push(Late { countdown, call });
}

async fn land(inner: &Arc<dyn ObjectStore>, state: &Mutex<State>, call: Call) {
    // Whoever sent it has given up: the answer, good or bad, reaches nobody.
    match call {
        Call::Put(key, payload, options) => {
            drop(put(inner, state, &key, payload, options).await);
        }
        Call::Delete(key) => drop(inner.delete(&key).await),
    }
}

/// Puts, and remembers when by the test's clock.
async fn put(
    inner: &Arc<dyn ObjectStore>,
    state: &Mutex<State>,
    key: &Path,
    payload: PutPayload,
    options: PutOptions,
) -> Result<PutResult> {
    let put = inner.put_opts(key, payload, options).await?;
    let mut state = state.lock().expect("no panic under this lock");
    let shift = state.clock.as_ref().and_then(|clock| Duration::try_from(clock.advanced()).ok());
    if let Some(shift) = shift {
        state.shifts.insert(key.clone(), shift);
    }
    Ok(put)
}

/// What is known about an object, with the time of the test's clock.
fn dated(state: &Mutex<State>, mut meta: ObjectMeta) -> ObjectMeta {
    let state = state.lock().expect("no panic under this lock");
    if let Some(shift) = state.shifts.get(&meta.location) {
        meta.last_modified += *shift;
    }
    meta
}

fn injected_error() -> Error {
    Error::Generic { store: "FaultStore", source: "injected".into() }
}

/// Does to a call whose effects are all in its answer what is to be done.
async fn read<T>(injected: Option<Injected>, call: impl Future<Output = Result<T>>) -> Result<T> {
    match injected {
        None => call.await,
        Some(Injected::Stall | Injected::StallAfter) => std::future::pending().await,
        Some(_) => Err(injected_error()),
    }
}

impl Drop for FaultStore {
    fn drop(&mut self) {
        let violations = std::mem::take(&mut self.state().violations);
        if !violations.is_empty() && !std::thread::panicking() {
            panic!("{violations:?}");
        }
    }
}
impl fmt::Display for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultStore({})", self.inner)
    }
}
impl fmt::Debug for FaultStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[async_trait]
impl ObjectStore for FaultStore {
    async fn put_opts(
        &self,
        key: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let injected = self.enter(Operation::Put, key).await;
        self.check_put(key, &payload, &options.mode).await;
        match injected {
            None => put(&self.inner, &self.state, key, payload, options).await,
            Some(Injected::FailBefore) => Err(injected_error()),
            Some(Injected::FailAfter) => {
                // Whatever came of it, the answer is lost.
                drop(put(&self.inner, &self.state, key, payload, options).await);
                Err(injected_error())
            }
            Some(late @ (Injected::LandLate | Injected::LandLateAfter(_))) => {
                self.late(late, Call::Put(key.clone(), payload, options));
                Err(injected_error())
            }
            Some(Injected::Stall) => std::future::pending().await,
            Some(Injected::StallAfter) => {
                drop(put(&self.inner, &self.state, key, payload, options).await);
                std::future::pending().await
            }
            Some(Injected::FalselyExists) => {
                Err(Error::AlreadyExists { path: key.to_string(), source: "injected".into() })
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let injected = self.enter(Operation::Other, key).await;
        read(injected, self.inner.put_multipart_opts(key, options)).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let operation = if options.head { Operation::Head } else { Operation::Get };
        let injected = self.enter(operation, key).await;
        let mut found = read(injected, self.inner.get_opts(key, options)).await?;
        found.meta = dated(&self.state, found.meta);
        Ok(found)
    }

    async fn get_ranges(&self, key: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let injected = self.enter(Operation::Get, key).await;
        read(injected, self.inner.get_ranges(key, ranges)).await
    }

    fn delete_stream(
        &self,
        keys: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
        let guarded = self.guarded.clone();
        keys.then(move |key| {
            let (inner, state, guarded) = (Arc::clone(&inner), Arc::clone(&state), guarded.clone());
            async move {
                let key = key?;
                let injected = enter(&inner, &state, Operation::Delete, &key).await;
                check_delete(&inner, &state, guarded.as_ref(), &key).await;
                match injected {
                    None => inner.delete(&key).await?,
                    Some(Injected::FailAfter) => {
                        inner.delete(&key).await?;
                        return Err(injected_error());
                    }
                    Some(Injected::Stall) => std::future::pending::<()>().await,
                    Some(Injected::StallAfter) => {
                        inner.delete(&key).await?;
                        std::future::pending::<()>().await;
                    }
                    Some(injected @ (Injected::LandLate | Injected::LandLateAfter(_))) => {
                        late(&state, injected, Call::Delete(key));
                        return Err(injected_error());
                    }
                    Some(Injected::FailBefore | Injected::FalselyExists) => {
                        return Err(injected_error());
                    }
                }
                Ok(key)
            }
        })
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, state) = (Arc::clone(&self.inner), Arc::clone(&self.state));
        let prefix = prefix.cloned().unwrap_or_default();
        async move {
            match enter(&inner, &state, Operation::List, &prefix).await {
                None => {
                    let listed = inner.list(Some(&prefix));
                    listed.map(move |meta| meta.map(|meta| dated(&state, meta))).boxed()
                }
                Some(Injected::Stall | Injected::StallAfter) => std::future::pending().await,
                Some(_) => futures_util::stream::iter([Err(injected_error())]).boxed(),
            }
        }
        .flatten_stream()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let injected = self.enter(Operation::List, &prefix.cloned().unwrap_or_default()).await;
        let mut listed = read(injected, self.inner.list_with_delimiter(prefix)).await?;
        listed.objects = listed.objects.into_iter().map(|meta| dated(&self.state, meta)).collect();
        Ok(listed)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let injected = self.enter(Operation::Other, to).await;
        read(injected, self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let injected = self.enter(Operation::Other, to).await;
        read(injected, self.inner.rename_opts(from, to, options)).await
    }
}

async fn check_delete(
    inner: &Arc<dyn ObjectStore>,
    state: &Mutex<State>,
    guarded: Option<&Layout>,
    key: &Path,
) {
    let Some(layout) = guarded else { return };
    if let Some(seq) = layout.commit_seq(key) {
        let segment = layout.segment(layout.segment_of(seq));
        if inner.head(&segment).await.is_err() {
            violate(state, &format!("{key} was deleted before {segment} exists"));
        }
    } else if key.prefix_matches(&layout.segments()) {
        violate(state, &format!("{key} was deleted"));
    }
}
