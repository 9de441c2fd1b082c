//! An object store that fails before or after each step of a put, or sends too little.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use ingot_storage::{Blobs, PART_BYTES_MIN, PARTS_IN_FLIGHT_MAX, PIECE_BYTES, StorageError};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
    UploadPart,
};
use tokio::sync::{Semaphore, watch};

use crate::stores::{body, drain, key_of, options, put, read, spool};

/// Where a fault strikes: the step does not happen, or it happens and its answer is lost.
#[derive(Clone, Copy, Debug)]
enum When {
    Before,
    After,
}

/// The fault, shared with the uploads in parts.
struct Fault {
    when: When,
    /// Steps until it strikes; negative once it did, or if it never does.
    left: AtomicI64,
    aborts: AtomicU64,
    /// Parts wait here, if this is so.
    gate: Option<Gate>,
}

/// Holds parts back, and counts those that wait.
struct Gate {
    open: Semaphore,
    waiting: watch::Sender<usize>,
    most: AtomicU64,
}

impl Gate {
    async fn pass(&self) {
        self.waiting.send_modify(|waiting| {
            *waiting += 1;
            self.most.fetch_max(*waiting as u64, Ordering::SeqCst);
        });
        self.open.acquire().await.unwrap().forget();
        self.open.add_permits(1);
        self.waiting.send_modify(|waiting| *waiting -= 1);
    }
}

impl Fault {
    fn strikes(&self) -> bool {
        self.left.fetch_sub(1, Ordering::SeqCst) == 0
    }

    async fn around<T>(&self, step: impl Future<Output = Result<T>>) -> Result<T> {
        let strikes = self.strikes();
        let error = || Error::Generic { store: "faulty", source: "injected".into() };
        match self.when {
            When::Before if strikes => Err(error()),
            When::After if strikes => {
                // Whatever the answer was, it is lost.
                let _ = step.await;
                Err(error())
            }
            _ => step.await,
        }
    }
}

struct Faulty {
    store: InMemory,
    fault: Arc<Fault>,
    /// Downloads end after this many bytes, without an error.
    sent_bytes_max: usize,
}

impl Faulty {
    fn new(when: When, left: i64) -> Arc<Self> {
        Self::with_gate(when, left, None)
    }

    fn with_gate(when: When, left: i64, gate: Option<Gate>) -> Arc<Self> {
        let aborts = AtomicU64::new(0);
        let fault = Fault { when, left: AtomicI64::new(left), aborts, gate };
        Self { store: InMemory::new(), fault: fault.into(), sent_bytes_max: usize::MAX }.into()
    }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}
impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, at: &Path, body: PutPayload, how: PutOptions) -> Result<PutResult> {
        self.fault.around(self.store.put_opts(at, body, how)).await
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        how: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let upload = self.fault.around(self.store.put_multipart_opts(at, how)).await?;
        Ok(Box::new(FaultyUpload { upload, fault: self.fault.clone() }))
    }
    async fn get_opts(&self, at: &Path, how: GetOptions) -> Result<GetResult> {
        let mut found = self.fault.around(self.store.get_opts(at, how)).await?;
        if self.sent_bytes_max < usize::MAX {
            let (meta, range) = (found.meta.clone(), found.range.clone());
            let attributes = found.attributes.clone();
            let bytes = found.bytes().await?;
            let sent = bytes.slice(..bytes.len().min(self.sent_bytes_max));
            let stream = futures_util::stream::once(std::future::ready(Ok(sent))).boxed();
            found = GetResult {
                payload: GetResultPayload::Stream(stream),
                meta,
                range,
                attributes,
                extensions: Default::default(),
            };
        }
        Ok(found)
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(paths)
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, how: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, how).await
    }
}

#[derive(Debug)]
struct FaultyUpload {
    upload: Box<dyn MultipartUpload>,
    fault: Arc<Fault>,
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fault({:?})", self.when)
    }
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, part: PutPayload) -> UploadPart {
        let (part, fault) = (self.upload.put_part(part), self.fault.clone());
        Box::pin(async move {
            if let Some(gate) = &fault.gate {
                gate.pass().await;
            }
            fault.around(part).await
        })
    }
    async fn complete(&mut self) -> Result<PutResult> {
        self.fault.around(self.upload.complete()).await
    }
    async fn abort(&mut self) -> Result<()> {
        self.fault.aborts.fetch_add(1, Ordering::SeqCst);
        self.upload.abort().await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_that_fails_at_any_step_can_be_repeated() {
    for size in [10, PIECE_BYTES + 1, 3 * PART_BYTES_MIN as usize] {
        let bytes = body(size as u64, size);
        let key = key_of(&bytes);
        for when in [When::Before, When::After] {
            let mut step = 0;
            loop {
                let folder = tempfile::tempdir().unwrap();
                let store = Faulty::new(when, step);
                let blobs = Blobs::over(store.clone(), options(folder.path())).unwrap();
                let spooled = spool(&blobs, &bytes).await;
                let outcome = blobs.put(&key, &spooled).await;
                let struck = store.fault.left.swap(-1, Ordering::SeqCst) < 0;
                let at = format!("{size} bytes, {when:?} step {step}");
                assert_eq!(outcome.is_err(), struck, "{at}: {outcome:?}");
                if let Err(error) = outcome {
                    assert!(!error.certainly_did_not_happen(), "{at}: it is unknown");
                    blobs.put(&key, &spooled).await.expect(&at);
                }
                assert!(read(&blobs, &key, size, None).await == bytes, "{at}");
                let multipart_failed = size > PART_BYTES_MIN as usize && struck && step >= 3;
                let aborted = store.fault.aborts.load(Ordering::SeqCst) > 0;
                assert_eq!(aborted, multipart_failed, "{at}: parts are not left behind");
                if !struck {
                    break;
                }
                step += 1;
            }
            assert!(step >= 1, "no step was ever hit");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_short_never_ends_as_complete() {
    for size in [10, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
        for missing in [1, size / 2, size] {
            let folder = tempfile::tempdir().unwrap();
            let sound = Faulty::new(When::Before, -1);
            let blobs = Blobs::over(sound.clone(), options(folder.path())).unwrap();
            let bytes = body(size as u64, size);
            let key = put(&blobs, &bytes).await;
            drop(blobs);
            let mut short = Arc::try_unwrap(sound).unwrap();
            short.sent_bytes_max = size - missing;
            let blobs = Blobs::over(Arc::new(short), options(folder.path())).unwrap();
            let (found, outcome) = drain(&blobs, &key, size as u64, None).await;
            assert!(matches!(outcome, Err(StorageError::Io { .. })), "{outcome:?}");
            assert!(found.len() < size);
        }
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_neither_missing_nor_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Faulty::new(When::Before, -1);
    let blobs = Blobs::over(store.clone(), options(folder.path())).unwrap();
    let bytes = body(1, 1000);
    let key = put(&blobs, &bytes).await;
    store.fault.left.store(0, Ordering::SeqCst);
    let (_, outcome) = drain(&blobs, &key, 1000, None).await;
    assert!(matches!(outcome, Err(StorageError::Unavailable(_))), "{outcome:?}");
    assert_eq!(read(&blobs, &key, 1000, None).await, bytes, "and then it can again");
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_parts_as_allowed_are_in_memory_and_not_one_more() {
    let waiting = watch::Sender::new(0);
    let mut watched = waiting.subscribe();
    let gate = Gate { open: Semaphore::new(0), waiting, most: AtomicU64::new(0) };
    let store = Faulty::with_gate(When::Before, -1, Some(gate));
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::over(store.clone(), options(folder.path())).unwrap();
    let size = 5 * PART_BYTES_MIN as usize;
    let uploads: Vec<_> = (0..3_u8)
        .map(|nth| {
            let blobs = blobs.clone();
            tokio::spawn(async move { put(&blobs, &vec![nth; size]).await })
        })
        .collect();
    let gate = store.fault.gate.as_ref().unwrap();
    watched.wait_for(|waiting| *waiting == PARTS_IN_FLIGHT_MAX).await.unwrap();
    gate.open.add_permits(1);
    for (nth, upload) in uploads.into_iter().enumerate() {
        let key = upload.await.unwrap();
        assert!(read(&blobs, &key, size, None).await == vec![nth as u8; size]);
    }
    assert_eq!(gate.most.load(Ordering::SeqCst), PARTS_IN_FLIGHT_MAX as u64);
}
