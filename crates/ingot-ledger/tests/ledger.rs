//! The suite over memory and local disk, and what only one of them can show.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

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

/// Limits hold at their value and not one above it.
#[tokio::test]
async fn limits_are_kept_to_the_byte() {
    use ingot_ledger::{
        Appended, CHUNK_BYTES_MAX, CHUNKS_MAX, COMMIT_BYTES_MAX, Error, WRITER_BYTES_MAX,
    };
    let bench = Bench::new(memory());
    let ledger = bench.open().await;
    let (start, now) = (ledger.start(), bench.clock.now());
    let small = ledger.append(&start, now, "w", suite::entries("")).await.unwrap();
    let Appended::Done(head) = small else { panic!("{small:?}") };
    let overhead = ledger.read_after(&start, 1).await.unwrap()[0].encode().len();
    let of_size = |bytes: usize| suite::entries(&"x".repeat(bytes - overhead));
    let above = ledger.append(&head, head.at, "w", of_size(COMMIT_BYTES_MAX + 1)).await;
    assert!(matches!(above, Err(Error::NotAccepted { .. })));
    let most = ledger.append(&head, head.at, "w", of_size(COMMIT_BYTES_MAX)).await.unwrap();
    let Appended::Done(head) = most else { panic!("{most:?}") };
    assert_eq!(suite::all(&ledger).await[1].encode().len(), COMMIT_BYTES_MAX);

    for (bytes, accepted) in [(0, false), (WRITER_BYTES_MAX, true), (WRITER_BYTES_MAX + 1, false)] {
        let appended = ledger.append(&head, now, &"w".repeat(bytes), suite::entries("x")).await;
        assert_eq!(appended.is_ok(), accepted, "{bytes}");
    }
    let none = ledger.append(&head, now, "w", Vec::new()).await;
    assert!(matches!(none, Err(Error::NotAccepted { .. })));

    let mut snapshot = ledger.begin_snapshot(&head, 1);
    for (bytes, accepted) in [(0, false), (CHUNK_BYTES_MAX, true), (CHUNK_BYTES_MAX + 1, false)] {
        assert_eq!(snapshot.write(vec![0; bytes].into()).await.is_ok(), accepted, "{bytes}");
    }
    for _ in 1..CHUNKS_MAX {
        snapshot.write("x".into()).await.unwrap();
    }
    assert!(matches!(snapshot.write("x".into()).await, Err(Error::NotAccepted { .. })));
    assert_eq!(snapshot.finish().await.unwrap().chunks.len(), CHUNKS_MAX);
}

/// A segment with more bytes than one object holds consists of parts, and reads like any other.
#[tokio::test]
async fn large_segments_come_in_parts() {
    use ingot_ledger::{Appended, COMMIT_BYTES_MAX, SEGMENT_PART_BYTES_MAX};
    let site = memory();
    let bench = Bench::new(site.clone());
    let ledger = bench.open().await;
    let mut head = ledger.start();
    let size = COMMIT_BYTES_MAX - 1024;
    assert!(4 * size > SEGMENT_PART_BYTES_MAX);
    for n in 0..5_u8 {
        let what = suite::entries(&char::from(b'a' + n).to_string().repeat(size));
        let appended = ledger.append(&head, bench.clock.now(), "w", what).await.unwrap();
        let Appended::Done(new) = appended else { panic!("{appended:?}") };
        head = new;
    }
    let expected = bench.contents().await;
    bench.age_and_compact().await;
    let parts = object_store::path::Path::from("projects/main/ledger/segments/parts");
    let parts: Vec<_> =
        futures_util::TryStreamExt::try_collect(site.store.list(Some(&parts))).await.unwrap();
    assert!(parts.len() >= 2, "{}", parts.len());
    assert_eq!(bench.contents().await, expected);
    assert!(bench.open().await.lies_on_chain(&head).await.unwrap());
    // Each read holds a bounded number of bytes.
    let read = bench.open().await.read_after(&ledger.start(), 100).await.unwrap();
    assert!(read.len() < 5, "{}", read.len());
    // A part that is changed is named.
    let key = &parts[0].location;
    use object_store::ObjectStoreExt;
    let mut bytes = site.store.get(key).await.unwrap().bytes().await.unwrap().to_vec();
    bytes[100] ^= 1;
    site.store.put(key, bytes.into()).await.unwrap();
    let report = bench.open().await.verify().await.unwrap();
    assert!(report.faults.iter().any(|fault| fault.key == key.as_ref()), "{:?}", report.faults);
}

/// Prints what an append costs on this disk. Run with `--ignored --nocapture`.
#[tokio::test]
#[ignore = "an observation, not a test"]
async fn cost_of_an_append() {
    const APPENDS: u64 = 500;
    let directory = tempfile::tempdir().unwrap();
    let bench = Bench::new(local(&directory));
    let ledger = bench.open().await;
    let mut head = bench.fill(&ledger, 1).await;
    let started = std::time::Instant::now();
    for _ in 0..APPENDS {
        head = bench.append(&ledger, &head, "one small entry").await;
    }
    let each = started.elapsed().as_secs_f64() * 1000.0 / APPENDS as f64;
    println!("{each:.2} ms an append, {APPENDS} in a row, with fsync");
}
