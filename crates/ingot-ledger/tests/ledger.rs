//! The suite over memory and local disk, and what only one of them can show.

use std::sync::Arc;

use ingot_ledger::testing::suite::{self, Bench, Site};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;

fn memory() -> Site {
    Site { store: Arc::new(InMemory::new()), sync_found: None }
}

fn local(directory: &tempfile::TempDir) -> Site {
    let store = LocalFileSystem::new_with_prefix(directory.path()).unwrap().with_fsync(true);
    let root = directory.path().canonicalize().unwrap();
    Site { store: Arc::new(store), sync_found: Some(root) }
}

macro_rules! over_all_stores {
    ($($name:ident),* $(,)?) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::suite::$name(super::memory()).await;
            })*
        }
        mod on_local_disk {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let directory = tempfile::tempdir().unwrap();
                super::suite::$name(super::local(&directory)).await;
            })*
        }
    };
}

over_all_stores!(
    appends_and_reads,
    foreign_heads_are_refused,
    racing_writers_each_get_in_once,
    appends_survive_each_fault,
    a_put_that_lands_late_wins_or_is_nothing,
    sleepers_are_caught_by_the_segment,
    an_append_is_settled_by_its_segment,
    compaction_survives_each_fault,
    compactions_beside_each_other,
    young_commits_are_kept,
    snapshots_are_kept_and_pruned,
    snapshots_survive_each_fault,
    tampering_is_named,
    reads_few_objects,
);

/// What a torn write leaves behind (staging files, directories) does not disturb.
#[tokio::test]
async fn leftovers_of_torn_writes_do_not_disturb() {
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(local(&directory));
    let ledger = bench.open().await;
    bench.fill(&ledger, 3).await;
    let commits = directory.path().join("projects/main/ledger/commits/0000000000000000");
    std::fs::write(commits.join("00000000000000000004#1"), b"{\"at\":").unwrap();
    std::fs::create_dir_all(directory.path().join("projects/main/ledger/segments")).unwrap();
    let segments = directory.path().join("projects/main/ledger/segments");
    std::fs::write(segments.join("00000000000000000001-00000000000000000004#1"), b"").unwrap();
    let ledger = bench.open().await;
    bench.fill(&ledger, 5).await;
    bench.age_and_compact().await;
    assert_eq!(bench.contents().await.len(), 8);
}
