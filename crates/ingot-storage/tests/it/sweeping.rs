//! Leftovers of torn writes.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use ingot_core::HashSet;
use ingot_storage::PIECE_BYTES;

use crate::stores::{SPOOL_MEMORY_BYTES, Store, body, keys, on_each, put, read, spool_blocking};

const HOUR: Duration = Duration::from_secs(3600);

/// A file last written so long before `now`.
fn leave(path: &Path, now: SystemTime, age: Duration) -> PathBuf {
    let file = std::fs::File::create(path).unwrap();
    file.set_modified(now - age).unwrap();
    path.to_path_buf()
}

#[tokio::test]
async fn old_leftovers_go_and_everything_else_stays() {
    let store = Store::directory();
    let now = SystemTime::now();
    let (small, large) = (body(1, 100), body(2, PIECE_BYTES + 1));
    let small_key = put(&store.blobs, &small).await;
    let large_key = put(&store.blobs, &large).await;
    let root = store.folder.path().join("root");
    let blob = root.join(small_key.path());
    let named = |suffix: &str| PathBuf::from(format!("{}{suffix}", blob.display()));
    let old = [
        leave(&named("#1"), now, HOUR),
        leave(&named("#99").with_extension("0.pieces#7"), now, 2 * HOUR),
        leave(&blob.with_file_name(format!("{}.0.pieces", "ab".repeat(32))), now, HOUR),
        leave(&store.folder.path().join("spool/00/12345"), now, HOUR),
        leave(&store.folder.path().join("spool/3f/torn"), now, HOUR),
    ];
    let kept = [
        leave(&named("#2"), now, HOUR - Duration::from_secs(1)),
        leave(&store.folder.path().join("spool/01/young"), now, Duration::from_secs(1)),
        leave(&blob.with_file_name("README"), now, 9 * HOUR),
        blob.clone(),
        root.join(large_key.path()),
        root.join(format!("{}.pieces", large_key.path())),
    ];
    // Blobs and what belongs to them are of any age.
    for path in &kept[3..] {
        std::fs::File::open(path).unwrap().set_modified(now - 99 * HOUR).unwrap();
    }
    assert_eq!(store.reopened().sweep(HOUR, now).await.unwrap(), old.len() as u64);
    assert_eq!(old.iter().filter(|path| path.exists()).count(), 0);
    assert_eq!(kept.iter().filter(|path| !path.exists()).count(), 0);
    assert_eq!(store.reopened().sweep(HOUR, now).await.unwrap(), 0);
    assert_eq!(keys(&store.blobs).await.len(), 2);
    assert_eq!(read(&store.reopened(), &small_key, small.len(), None).await, small);
    assert!(read(&store.reopened(), &large_key, large.len(), None).await == large);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_use_is_not_a_leftover() {
    on_each(async |store| {
        let bytes = body(1, SPOOL_MEMORY_BYTES + 1);
        let spooled = spool_blocking(&store.blobs, &bytes, HashSet::default());
        assert_eq!(store.files("spool/").len(), 1);
        let far_future = SystemTime::now() + 1000 * HOUR;
        assert_eq!(store.blobs.sweep(HOUR, far_future).await.unwrap(), 0);
        let key = crate::stores::key_of(&bytes);
        store.blobs.put(&key, &spooled).await.unwrap();
        assert_eq!(store.blobs.sweep(HOUR, far_future).await.unwrap(), 0);
        drop(spooled);
        assert_eq!(store.files("spool/").len(), 0);
        assert_eq!(read(&store.reopened(), &key, bytes.len(), None).await, bytes);
    })
    .await;
}

#[tokio::test]
async fn folders_are_made_beforehand_and_again_if_asked() {
    let store = Store::directory();
    let project = crate::stores::project();
    for blobs in [&store.blobs, &store.blobs, &store.reopened()] {
        blobs.prepare(&project).await.unwrap();
        let shards = store.folder.path().join("root/projects/main/blobs/sha256");
        assert_eq!(std::fs::read_dir(shards).unwrap().count(), 256);
    }
}
