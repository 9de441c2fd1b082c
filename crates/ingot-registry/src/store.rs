//! The registry itself: what it is opened with, and the projects that are open.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use ingot_core::format::Format;
use ingot_core::names::Seq;
use ingot_core::rules::keep::KeepPolicy;
use ingot_core::{Change, Code, FormatName, ProjectName, Refusal, Timestamp};
use ingot_index::Index;
use ingot_storage::Blobs;
use object_store::ObjectStore;

use crate::committer::Idempotency;
use crate::project::Project;
use crate::projects::SYSTEM;

/// The clock, as the server reads it.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What a registry is opened with.
pub struct Setup {
    /// The bytes.
    pub blobs: Blobs,
    /// Where ledgers are kept.
    pub ledgers: Arc<dyn ObjectStore>,
    /// On local disk the root of `ledgers`, so that a commit found there can be synced.
    pub ledgers_root: Option<PathBuf>,
    /// The fold.
    pub index: Arc<Index>,
    /// The formats served.
    pub formats: Vec<Arc<dyn Format>>,
    /// The clock.
    pub clock: Clock,
    /// A random id of this process.
    pub writer: String,
    /// How long a change may take before its caller is told that the outcome is unknown.
    pub deadline: Duration,
    /// What retention keeps.
    pub keep: KeepPolicy,
    /// A directory of this process for files that may vanish at any time.
    pub scratch: PathBuf,
    /// A snapshot of the fold is made each time this many commits were folded.
    pub snapshot_every: Seq,
}

/// Who asks for a change, why, and how a repetition is recognised.
#[derive(Clone, Debug)]
pub struct Request {
    /// The id of the request.
    pub id: String,
    /// Why, in the asker's words.
    pub reason: Option<String>,
    /// Set when the client sent a key.
    pub idempotency: Option<Idempotency>,
}

impl Request {
    /// What the events of this request have in common.
    pub(crate) fn change(&self, by: &str) -> Change {
        Change { by: by.to_owned(), request_id: self.id.clone(), reason: self.reason.clone() }
    }
}

/// The store of releases. Cheap to clone.
#[derive(Clone)]
pub struct Registry(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) setup: Setup,
    pub(crate) runtime: tokio::runtime::Handle,
    projects: RwLock<HashMap<String, Arc<Project>>>,
    opening: tokio::sync::Mutex<()>,
}

impl Registry {
    /// Opens the system ledger and every project, folding what the index has not seen yet.
    /// Must be called inside the runtime that the committers shall live on.
    pub async fn open(setup: Setup) -> Result<Self, Refusal> {
        let registry = Self(Arc::new(Inner {
            setup,
            runtime: tokio::runtime::Handle::current(),
            projects: RwLock::default(),
            opening: tokio::sync::Mutex::default(),
        }));
        registry.ensure_open(SYSTEM).await?;
        for project in registry.all_projects()? {
            registry.ensure_open(project.as_str()).await?;
        }
        Ok(registry)
    }

    pub(crate) fn setup(&self) -> &Setup {
        &self.0.setup
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.0.setup.clock)()
    }

    /// The open project or ledger of that name.
    pub(crate) fn find_open(&self, name: &str) -> Option<Arc<Project>> {
        let projects = self.0.projects.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        projects.get(name).cloned()
    }

    /// The project, or the same 404 as for one that may not be seen.
    pub(crate) fn project(&self, name: &ProjectName) -> Result<Arc<Project>, Refusal> {
        self.find_open(name.as_str()).ok_or_else(crate::access::nothing_here)
    }

    pub(crate) fn system(&self) -> Result<Arc<Project>, Refusal> {
        self.find_open(SYSTEM)
            .ok_or_else(|| Refusal::new(Code::Unavailable, "the system ledger is not open"))
    }

    pub(crate) async fn ensure_open(&self, name: &str) -> Result<Arc<Project>, Refusal> {
        let _one_at_a_time = self.0.opening.lock().await;
        if let Some(project) = self.find_open(name) {
            return Ok(project);
        }
        let project = Arc::new(Project::open(&self.0.setup, name, &self.0.runtime).await?);
        let mut projects =
            self.0.projects.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        projects.insert(name.to_owned(), Arc::clone(&project));
        Ok(project)
    }

    /// Closes a project that never came to be.
    pub(crate) async fn forget(&self, name: &ProjectName) {
        let forgotten = {
            let mut projects =
                self.0.projects.write().unwrap_or_else(std::sync::PoisonError::into_inner);
            projects.remove(name.as_str())
        };
        if let Some(project) = forgotten {
            project.close().await;
        }
    }

    /// The format of that name.
    pub fn find_format(&self, name: &str) -> Option<&Arc<dyn Format>> {
        self.setup().formats.iter().find(|format| format.name() == name)
    }

    pub(crate) fn format(&self, name: &FormatName) -> Result<&Arc<dyn Format>, Refusal> {
        self.find_format(name.as_str()).ok_or_else(|| {
            let known: Vec<_> = self.setup().formats.iter().map(|format| format.name()).collect();
            Refusal::new(
                Code::Invalid,
                format!("this server has no format {name}; it has: {}", known.join(", ")),
            )
        })
    }

    /// The last commit folded of a project.
    pub fn seq(&self, project: &ProjectName) -> Result<Seq, Refusal> {
        Ok(self.project(project)?.seq())
    }

    /// Waits until a commit is folded here; 503 when it is not in time.
    pub async fn wait_for(
        &self,
        project: &ProjectName,
        seq: Seq,
        patience: Duration,
    ) -> Result<(), Refusal> {
        self.project(project)?.wait_for(seq, patience).await
    }

    /// Whether changes can be made and reads are current: what `/readyz` says.
    pub fn readiness(&self) -> Result<(), Refusal> {
        let projects = self.0.projects.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        projects.values().try_for_each(|project| project.readiness())
    }

    /// Stops taking changes, waits for those under way, and marks the index as cleanly closed.
    pub async fn close(&self) {
        let open: Vec<_> = {
            let projects =
                self.0.projects.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            projects.values().cloned().collect()
        };
        for project in open {
            project.close().await;
        }
        if let Err(error) = self.setup().index.close() {
            tracing::warn!(%error, "the index could not be closed; it is checked at the next start");
        }
    }
}
