//! Storing and reading, on every kind of store.

use bytes::Bytes;
use ingot_core::HashSet;
use ingot_storage::{
    BlobBody, BlobKey, CACHED_BLOB_BYTES_MAX, PART_BYTES_MIN, PIECE_BYTES, StorageError,
    VerifyReads,
};
use object_store::{ObjectStore, PutMode, PutOptions};
use rand::Rng;

use crate::stores::{
    SPOOL_MEMORY_BYTES, Store, body, drain, key_of, keys, on_each, put, random, read, spool,
};

/// Around every limit, and some beyond.
const SIZES: [usize; 15] = [
    0,
    1,
    CACHED_BLOB_BYTES_MAX as usize - 1,
    CACHED_BLOB_BYTES_MAX as usize,
    CACHED_BLOB_BYTES_MAX as usize + 1,
    SPOOL_MEMORY_BYTES,
    SPOOL_MEMORY_BYTES + 1,
    PIECE_BYTES - 1,
    PIECE_BYTES,
    PIECE_BYTES + 1,
    2 * PIECE_BYTES,
    3 * PIECE_BYTES + 5,
    PART_BYTES_MIN as usize,
    PART_BYTES_MIN as usize + 1,
    2 * PART_BYTES_MIN as usize + 7,
];

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_is_read() {
    on_each(async |store| {
        let mut expected = Vec::new();
        for (seed, size) in SIZES.into_iter().enumerate() {
            let bytes = body(seed as u64, size);
            let key = put(&store.blobs, &bytes).await;
            assert_eq!(store.peek(&key.path()).await.unwrap(), bytes);
            for blobs in [&store.blobs, &store.blobs, &store.reopened()] {
                assert_eq!(read(blobs, &key, size, None).await, bytes, "{size} bytes");
                blobs.verify(&key, size as u64).await.unwrap();
            }
            // Once more, found there by one who knows it and by one who does not.
            put(&store.blobs, &bytes).await;
            put(&store.reopened(), &bytes).await;
            assert_eq!(read(&store.reopened(), &key, size, None).await, bytes);
            expected.push(key);
        }
        expected.sort();
        assert_eq!(keys(&store.blobs).await, expected);
        assert_eq!(store.files("#"), Vec::<std::path::PathBuf>::new());
        assert_eq!(store.files("spool/"), Vec::<std::path::PathBuf>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_are_those_bytes() {
    let mut random = random();
    on_each(async |store| {
        for size in [10, PIECE_BYTES, PIECE_BYTES + 1, 4 * PIECE_BYTES + 9] {
            let bytes = body(size as u64, size);
            let key = put(&store.blobs, &bytes).await;
            let (piece, end) = (PIECE_BYTES as u64, size as u64);
            let mut ranges = vec![0..0, 0..1, end - 1..end, end..end, 0..end];
            if end > piece {
                ranges.extend([piece - 1..piece + 1, piece - 1..piece, piece..piece + 1]);
            }
            let mut random = random.clone();
            for _ in 0..6 {
                let start = random.random_range(0..end);
                ranges.push(start..random.random_range(start..=end));
            }
            let knowing = store.reopened();
            assert_eq!(read(&knowing, &key, size, None).await, bytes);
            for blobs in [&store.reopened(), &knowing] {
                for range in &ranges {
                    let found = read(blobs, &key, size, Some(range.clone())).await;
                    let expected = &bytes[range.start as usize..range.end as usize];
                    assert!(found == expected, "{range:?} of {size}");
                }
            }
        }
    })
    .await;
    let _: u8 = random.random();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_may_end_at_the_end_but_not_beyond() {
    on_each(async |store| {
        for size in [10, PIECE_BYTES + 1] {
            let key = put(&store.blobs, &body(1, size)).await;
            let end = size as u64;
            assert!(store.blobs.open(&key, end, Some(0..end)).await.is_ok());
            #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
            for range in [0..end + 1, end + 1..end + 1, 3..2] {
                let (_, outcome) = drain(&store.blobs, &key, end, Some(range)).await;
                assert!(
                    matches!(outcome, Err(StorageError::OutOfRange { size_bytes }) if size_bytes == end)
                );
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_put_is_missing_and_a_false_name_is_refused() {
    on_each(async |store| {
        for size in [0, 10, PIECE_BYTES + 1] {
            let bytes = body(1, size);
            let key = key_of(&bytes);
            for range in [None, Some(0..size as u64 / 2 + u64::from(size > 0))] {
                let (_, outcome) = drain(&store.blobs, &key, size as u64, range).await;
                assert!(
                    matches!(outcome, Err(StorageError::Missing { digest }) if digest == key.digest),
                    "{outcome:?}"
                );
            }
            let outcome = store.blobs.verify(&key, size as u64).await;
            assert!(matches!(outcome, Err(StorageError::Missing { .. })));
            let spooled = spool(&store.blobs, &bytes).await;
            let outcome = store.blobs.put(&key_of(b"other"), &spooled).await;
            assert!(matches!(outcome, Err(StorageError::Damaged { .. })));
        }
        assert_eq!(keys(&store.blobs).await, []);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_and_incarnations_do_not_mix() {
    on_each(async |store| {
        let bytes = body(1, 1000);
        let spooled = spool(&store.blobs, &bytes).await;
        let first = key_of(&bytes);
        let other = BlobKey { project: "other".parse().unwrap(), ..first.clone() };
        let later = BlobKey { incarnation: 1, ..first.clone() };
        store.blobs.put(&other, &spooled).await.unwrap();
        store.blobs.put(&later, &spooled).await.unwrap();
        assert_eq!(keys(&store.blobs).await, std::slice::from_ref(&later));
        store.remove(&other.path()).await;
        assert_eq!(read(&store.reopened(), &later, 1000, None).await, bytes);
        let (_, outcome) = drain(&store.blobs, &first, 1000, None).await;
        assert!(matches!(outcome, Err(StorageError::Missing { .. })));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_put_and_read_the_same_at_once() {
    on_each(async |store| {
        for size in [1000, PIECE_BYTES + 1, PART_BYTES_MIN as usize + 1] {
            let bytes = Bytes::from(body(size as u64, size));
            let putting: Vec<_> = (0..8)
                .map(|_| {
                    let (blobs, bytes) = (store.blobs.clone(), bytes.clone());
                    tokio::spawn(async move {
                        let key = put(&blobs, &bytes).await;
                        assert!(read(&blobs, &key, bytes.len(), None).await == bytes);
                        let start = bytes.len() - 10;
                        let range = start as u64..bytes.len() as u64;
                        assert_eq!(
                            read(&blobs, &key, bytes.len(), Some(range)).await,
                            bytes[start..]
                        );
                    })
                })
                .collect();
            for put in putting {
                put.await.unwrap();
            }
        }
        assert_eq!(keys(&store.blobs).await.len(), 3);
        assert_eq!(store.files("#"), Vec::<std::path::PathBuf>::new());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn small_blobs_are_answered_from_memory_and_only_those() {
    on_each(async |store| {
        for (size, cached) in
            [(CACHED_BLOB_BYTES_MAX as usize, true), (CACHED_BLOB_BYTES_MAX as usize + 1, false)]
        {
            let bytes = body(size as u64, size);
            let key = put(&store.blobs, &bytes).await;
            let always = store.reopened_with(|options| options.verify = VerifyReads::Always);
            for blobs in [&store.blobs, &always] {
                assert_eq!(read(blobs, &key, size, None).await, bytes);
            }
            store.remove(&key.path()).await;
            let opened = store.blobs.open(&key, size as u64, Some(5..9)).await;
            assert_eq!(opened.is_ok(), cached);
            if let Ok(BlobBody::Whole(found)) = opened {
                assert_eq!(found, bytes[5..9]);
            }
            assert!(always.open(&key, size as u64, None).await.is_err());
            assert!(matches!(
                store.blobs.verify(&key, size as u64).await,
                Err(StorageError::Missing { .. })
            ));
        }
    })
    .await;
}

#[tokio::test]
async fn without_room_uploads_are_refused_but_what_is_there_may_be_put_again() {
    let store = Store::directory();
    let full = store.reopened_with(|options| options.reserve_bytes = u64::MAX);
    assert!(matches!(full.check_reserve().await, Err(StorageError::NoSpace { .. })));
    store.blobs.check_reserve().await.unwrap();
    assert!(store.blobs.free_space().await.unwrap() > 0);
    let bytes = body(1, 1000);
    let spooled = spool(&full, &bytes).await;
    let refused = full.put(&key_of(&bytes), &spooled).await.unwrap_err();
    assert!(matches!(refused, StorageError::NoSpace { reserve_bytes: u64::MAX, .. }));
    assert!(refused.certainly_did_not_happen());
    assert_eq!(keys(&full).await, []);
    let mut spooler = full.spool(HashSet::default());
    let large = Bytes::from(body(2, 3 * PIECE_BYTES));
    let refused = spooler.write(large.clone()).await.unwrap_err();
    assert!(matches!(refused, StorageError::NoSpace { .. }), "{refused:?}");
    assert!(spooler.write(large).await.is_err(), "a body with a hole must not be finished");
    assert!(spooler.finish().await.is_err());
    put(&store.blobs, &bytes).await;
    full.put(&key_of(&bytes), &spooled).await.unwrap();
}

#[tokio::test]
async fn the_store_for_others_creates_once() {
    let folder = tempfile::tempdir().unwrap();
    let store = ingot_storage::local_object_store(&folder.path().join("new/deep")).unwrap();
    let create = || PutOptions::from(PutMode::Create);
    let path = object_store::path::Path::from("a/b");
    store.put_opts(&path, "1".into(), create()).await.unwrap();
    let again = store.put_opts(&path, "2".into(), create()).await;
    assert!(matches!(again, Err(object_store::Error::AlreadyExists { .. })));
}
