//! A registry in this process, without HTTP: for tests that need to choose the store, the clock
//! and the moment of a fault.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use ingot_core::format::{Intent, Submission};
use ingot_core::grant::{Grant, Principal, Right};
use ingot_core::{HashSet, Origin, PackageName, ProjectName, Refusal, Timestamp, ViewName};
use ingot_index::{EngineKind, Index};
use ingot_registry::{
    Act, Announced, Authorized, Outcome, Promote, Publish, Read, Registry, Request, Setup,
};
use ingot_storage::{Blobs, VerifyReads};
use object_store::ObjectStore;

/// The first second of the tests' clock.
const EPOCH: i64 = 1_790_000_000;

/// One process's view of a store: open it several times to play replicas or restarts.
pub struct Inside {
    /// The registry.
    pub registry: Registry,
    /// Its fold.
    pub index: Arc<Index>,
    clock: Arc<AtomicI64>,
}

/// How to open one.
#[derive(Clone)]
pub struct Opening {
    /// Blobs and ledgers.
    pub store: Arc<dyn ObjectStore>,
    /// Where the index, the spool and scratch files go.
    pub dir: PathBuf,
    /// The engine of the index.
    pub engine: EngineKind,
    /// How long a change may take.
    pub deadline: Duration,
    /// Commits between snapshots.
    pub snapshot_every: u64,
    /// The clock, in seconds; shared by all who play on one machine.
    pub clock: Arc<AtomicI64>,
}

impl Opening {
    /// A memory index over a store.
    pub fn new(store: Arc<dyn ObjectStore>, dir: &Path) -> Self {
        Self {
            store,
            dir: dir.to_owned(),
            engine: EngineKind::Memory,
            deadline: Duration::from_secs(20),
            snapshot_every: 1_000_000,
            clock: Arc::new(AtomicI64::new(EPOCH)),
        }
    }

    /// What the registry is opened with.
    pub fn setup(&self) -> (Setup, Arc<Index>) {
        let blobs = Blobs::over(
            Arc::clone(&self.store),
            ingot_storage::Options {
                spool_dir: self.dir.join("spool"),
                spool_memory_bytes: 1 << 20,
                reserve_bytes: 0,
                cache_bytes: 1 << 20,
                verify: VerifyReads::Always,
            },
        )
        .expect("a spool directory");
        let index = Index::open(self.engine, &self.dir.join("index"), "boot").expect("an index");
        let index = Arc::new(index);
        let clock = Arc::clone(&self.clock);
        let setup = Setup {
            blobs,
            ledgers: Arc::clone(&self.store),
            ledgers_root: None,
            index: Arc::clone(&index),
            formats: vec![Arc::new(ingot_format_raw::RawFormat::default())],
            clock: Arc::new(move || second(clock.load(Ordering::SeqCst))),
            writer: format!("w{:08x}", rand::random::<u32>()),
            deadline: self.deadline,
            keep: Default::default(),
            scratch: self.dir.clone(),
            snapshot_every: self.snapshot_every,
        };
        (setup, index)
    }

    /// Opens, and makes sure that project `main` with `dev → staging → prod` is there.
    pub async fn open(&self) -> Result<Inside, Refusal> {
        let (setup, index) = self.setup();
        let registry = Registry::open(setup).await?;
        let inside = Inside { registry, index, clock: Arc::clone(&self.clock) };
        let channels = ["dev", "staging", "prod"];
        let defined = channels.iter().enumerate().map(|(n, name)| {
            ingot_core::event::ChannelDefinition {
                name: name.parse().expect("channel"),
                from: (n > 0).then(|| channels[n - 1].parse().expect("channel")),
                protected: false,
            }
        });
        inside
            .registry
            .put_project(&admin(), &main(), Some(defined.collect()), &[], &request())
            .await?;
        Ok(inside)
    }
}

/// Project `main`.
pub fn main() -> ProjectName {
    "main".parse().expect("project")
}

/// Someone who may do everything.
pub fn admin() -> Principal {
    Principal {
        name: "admin".to_owned(),
        token: Some("admin".to_owned()),
        project: None,
        grants: vec![Grant {
            actions: vec![Right::Admin],
            packages: "*".to_owned(),
            views: Vec::new(),
        }],
        expires_at: None,
    }
}

/// A request without a key.
pub fn request() -> Request {
    Request { id: "test".to_owned(), reason: None, idempotency: None }
}

/// A package by its name.
pub fn package(name: &str) -> PackageName {
    format!("raw:{name}").parse().expect("package")
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("time")
}

impl Inside {
    /// The clock.
    pub fn now(&self) -> Timestamp {
        second(self.clock.load(Ordering::SeqCst))
    }

    /// Moves the clock.
    pub fn pass(&self, seconds: i64) {
        self.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    /// A proof for the whole project, or for a channel (`main@prod`).
    pub fn proof<A: Act>(&self, view: &str) -> Authorized<A> {
        let view: ViewName = view.parse().expect("view");
        self.registry.authorize(&admin(), &view, None).expect("an admin may do everything")
    }

    /// Publishes one raw file.
    pub async fn publish(
        &self,
        name: &str,
        version: &str,
        file: &str,
        content: &[u8],
        origin: Origin,
        intent: Intent,
    ) -> Result<Outcome, Refusal> {
        let submission = Submission {
            kind: "file",
            rest: Vec::new(),
            body: ingot_core::format::Body::File,
            package: Some(package(name)),
            version: Some(version.parse()?),
            path: Some(file.parse()?),
            hashes: HashSet::default(),
            intent,
        };
        let proof = self.proof::<Publish>("main");
        let (upload, mut spool) = self
            .registry
            .begin_upload(&proof, "raw", submission, Announced::default(), origin)
            .await?;
        spool.write(Bytes::copy_from_slice(content)).await.expect("the spool takes it");
        let body = spool.finish().await.expect("the spool ends");
        self.registry.finish_upload(upload, body, &request()).await
    }

    /// Publishes a file that is called like its package.
    pub async fn put(&self, name: &str, version: &str, content: &str) -> Result<Outcome, Refusal> {
        let (content, intent) = (content.as_bytes(), Intent::Publish);
        self.publish(name, version, "file.txt", content, Origin::default(), intent).await
    }

    /// Promotes releases to a channel.
    pub async fn promote(
        &self,
        channel: &str,
        releases: &[(&str, &str)],
    ) -> Result<Outcome, Refusal> {
        let wanted = releases.iter().map(|(name, text)| (package(name), (*text).to_owned()));
        let wanted = ingot_core::rules::channel::Wanted::Releases(wanted.collect());
        let proof = self.proof::<Promote>(&format!("main@{channel}"));
        self.registry.promote(&proof, wanted, None, &request()).await
    }

    /// Rolls one package back.
    pub async fn roll_back(
        &self,
        channel: &str,
        name: &str,
        to: Option<&str>,
    ) -> Result<Outcome, Refusal> {
        let proof = self.proof::<Promote>(&format!("main@{channel}"));
        let wanted = vec![(package(name), to.map(str::to_owned))];
        self.registry.roll_back(&proof, wanted, None, &request()).await
    }

    /// What is current in a channel: (package, version, held), in order.
    pub fn channel(&self, channel: &str, at: Option<Timestamp>) -> Vec<(String, String, bool)> {
        let proof = self.proof::<Read>(&format!("main@{channel}"));
        let name = channel.parse().expect("channel");
        let (shape, _) = self.registry.show_channel(&proof, &name, at).expect("a channel");
        let rows = shape["packages"].as_array().expect("packages").iter().map(|row| {
            (
                row["package"].as_str().expect("package").to_owned(),
                row["version"].as_str().unwrap_or("none").to_owned(),
                row["held"].as_bool().expect("held"),
            )
        });
        rows.collect()
    }

    /// The bytes of a file in a view.
    pub async fn fetch(
        &self,
        view: &str,
        name: &str,
        version: &str,
        file: &str,
    ) -> Result<Vec<u8>, Refusal> {
        use futures_util::StreamExt;
        use ingot_core::format::{FileRef, ReleaseRef};
        let file = FileRef::Pinned {
            package: package(name),
            release: ReleaseRef::Any(version.to_owned()),
            path: file.parse()?,
        };
        let proof = self.registry.authorize::<Read>(&admin(), &view.parse()?, None)?;
        let found = self.registry.find_file(&proof, "raw", &file)?;
        let mut stream = self.registry.read(&found, None).await?.into_stream();
        let mut all = Vec::new();
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|error| {
                Refusal::new(ingot_core::Code::Damaged, "the stream broke").because(error)
            })?;
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }
}

/// Panics unless the store is sound: every blob, every commit, and the index equal to the fold.
pub async fn assert_consistent(opening: &Opening) {
    let (setup, _) = opening.setup();
    let report = ingot_registry::verify(&setup, None, &|_| {}).await.expect("verify runs");
    assert!(report.faults.is_empty(), "the store has faults: {:#?}", report.faults);
}
