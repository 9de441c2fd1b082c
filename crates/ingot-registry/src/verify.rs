//! fsck: every blob, every commit, and that the index equals the fold.

use std::collections::BTreeMap;
use std::sync::Arc;

use ingot_core::{Digest, ProjectName, Refusal, Seq};
use ingot_index::{EngineKind, Index, View};
use ingot_storage::{BlobKey, Blobs};
use serde::Serialize;

use crate::project::{catch_up, open_ledger};
use crate::projects::SYSTEM;
use crate::store::Setup;

/// Rows read at once.
const STEP: usize = 500;

/// One thing that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// The project, or `system`.
    pub project: String,
    /// `ledger`, `blob` or `index`.
    pub part: &'static str,
    /// What it is, by name or digest.
    pub what: String,
    /// What is wrong, and what it hits.
    pub problem: String,
}

/// What was looked at, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct VerifyReport {
    /// Ledgers read from the first commit to the last: name, head, and digest of the fold.
    pub ledgers: BTreeMap<String, LedgerReport>,
    /// Blobs read and hashed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that no release or draft names; not a fault, collection removes them.
    pub unreferenced: u64,
    /// The faults.
    pub faults: Vec<Fault>,
}

/// One ledger, read whole.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LedgerReport {
    /// The last commit.
    pub seq: Seq,
    /// Its hash.
    pub hash: Option<Digest>,
    /// A digest of the fold at that commit.
    pub fold: Digest,
    /// Whether the index on disk was compared with it.
    pub index_compared: bool,
}

/// Reads everything. `running` is the index of this store where no server has it open: it is
/// compared with the fold; else the caller compares [`LedgerReport::fold`] with the server's.
/// `each` is called after each blob with the number done.
pub async fn verify(
    setup: &Setup,
    running: Option<&Index>,
    each: &(dyn Fn(u64) + Sync),
) -> Result<VerifyReport, Refusal> {
    let mut report = VerifyReport::default();
    let fold = Arc::new(memory_index()?);
    check_ledger(setup, SYSTEM, &fold, running, &mut report).await?;
    let projects = projects(&fold)?;
    for project in projects {
        check_ledger(setup, project.as_str(), &fold, running, &mut report).await?;
        check_blobs(&setup.blobs, &project, &fold, each, &mut report).await?;
    }
    Ok(report)
}

fn memory_index() -> Result<Index, Refusal> {
    Index::open(EngineKind::Memory, std::path::Path::new(""), "").map_err(unreadable)
}

fn unreadable(error: ingot_index::IndexError) -> Refusal {
    Refusal::new(ingot_core::Code::Internal, "the index cannot be read").because(error)
}

fn projects(fold: &Index) -> Result<Vec<ProjectName>, Refusal> {
    let view = fold.view(SYSTEM).map_err(unreadable)?;
    let mut all = Vec::new();
    let mut after = None;
    loop {
        let page = view.projects(after.as_deref(), STEP)?;
        all.extend(page.items.into_iter().map(|row| row.project));
        after = page.next;
        if after.is_none() {
            return Ok(all);
        }
    }
}

async fn check_ledger(
    setup: &Setup,
    name: &str,
    fold: &Arc<Index>,
    running: Option<&Index>,
    report: &mut VerifyReport,
) -> Result<(), Refusal> {
    let ledger = open_ledger(setup, name).await?;
    let fault = |part, what: String, problem: String| Fault {
        project: name.to_owned(),
        part,
        what,
        problem,
    };
    match ledger.verify().await {
        Ok(found) => {
            for broken in found.faults {
                report.faults.push(fault("ledger", broken.key, broken.problem));
            }
        }
        Err(error) => {
            let what = format!("{error}");
            report.faults.push(fault("ledger", name.to_owned(), what));
        }
    }
    if let Err(trouble) = catch_up(&ledger, fold, name).await {
        let problem = format!("it cannot be folded to its end: {trouble}");
        report.faults.push(fault("ledger", name.to_owned(), problem));
    }
    let tag = fold.tag(name).map_err(unreadable)?;
    let digest = fold.digest(name).map_err(unreadable)?;
    let mut compared = false;
    if let Some(index) = running
        && let Some(theirs) = index.tag(name).map_err(unreadable)?
    {
        // An index behind the ledger is not wrong: the next start folds the rest.
        if Some(theirs.seq) == tag.map(|tag| tag.seq) {
            compared = true;
            if index.digest(name).map_err(unreadable)? != digest {
                let problem = "it differs from the fold of the ledger; run `ingot index rebuild`";
                report.faults.push(fault("index", name.to_owned(), problem.to_owned()));
            }
        }
    }
    report.ledgers.insert(
        name.to_owned(),
        LedgerReport {
            seq: tag.map_or(0, |tag| tag.seq),
            hash: tag.map(|tag| tag.hash),
            fold: digest,
            index_compared: compared,
        },
    );
    Ok(())
}

/// What the fold says must be stored: key → (size, who needs it).
type Needed = BTreeMap<(Digest, u32), (u64, String)>;

async fn check_blobs(
    blobs: &Blobs,
    project: &ProjectName,
    fold: &Index,
    each: &(dyn Fn(u64) + Sync),
    report: &mut VerifyReport,
) -> Result<(), Refusal> {
    let needed = needed(&fold.view(project.as_str()).map_err(unreadable)?)?;
    for ((digest, incarnation), (size, user)) in &needed {
        let key = BlobKey { project: project.clone(), digest: *digest, incarnation: *incarnation };
        if let Err(error) = blobs.verify(&key, *size).await {
            report.faults.push(Fault {
                project: project.to_string(),
                part: "blob",
                what: digest.to_string(),
                problem: format!("{error}; {user} needs it"),
            });
        }
        report.blobs += 1;
        report.bytes += size;
        each(report.blobs);
    }
    let mut keys = blobs.keys(project);
    while let Some(key) = futures_util::StreamExt::next(&mut keys).await {
        let key = key.map_err(crate::publish::stored)?;
        if !needed.contains_key(&(key.digest, key.incarnation)) {
            report.unreferenced += 1;
        }
    }
    Ok(())
}

fn needed(view: &View<'_>) -> Result<Needed, Refusal> {
    let mut needed = Needed::new();
    let mut packages = None;
    loop {
        let page = view.packages("", packages.as_deref(), STEP)?;
        for row in page.items {
            let mut releases = None;
            loop {
                let page = view.releases(&row.package, releases.as_deref(), STEP)?;
                for release in page.items {
                    for file in release.files {
                        let user =
                            format!("{}@{} {}", row.package, release.version, file.fact.path);
                        let key = (file.fact.digest, file.fact.incarnation);
                        needed.insert(key, (file.fact.size, user));
                    }
                }
                releases = page.next;
                if releases.is_none() {
                    break;
                }
            }
        }
        packages = page.next;
        if packages.is_none() {
            return Ok(needed);
        }
    }
}
