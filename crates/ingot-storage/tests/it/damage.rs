//! Whatever happens to the stored bytes: it is named by digest, and never passes as the blob.

use ingot_storage::{BlobKey, Blobs, PART_BYTES_MIN, PIECE_BYTES, StorageError, VerifyReads};
use rand::Rng;

use crate::stores::{Store, body, drain, on_each, put, random, read, spool};

/// Every way to read that must notice it, each as after a restart.
async fn assert_named(store: &Store, key: &BlobKey, bytes: &[u8], wrong_at: Option<usize>) {
    let size = bytes.len() as u64;
    let named = |outcome: &Result<(), StorageError>| match outcome {
        Err(StorageError::Damaged { digest } | StorageError::Missing { digest }) => {
            *digest == key.digest
        }
        _ => false,
    };
    let (found, outcome) = drain(&store.reopened(), key, size, None).await;
    assert!(named(&outcome), "{}: whole, wrong at {wrong_at:?}: {outcome:?}", store.name);
    assert!((found.len() as u64) < size || size == 0, "a damaged blob came in full");
    assert!(named(&store.reopened().verify(key, size).await));
    if let Some(at) = wrong_at {
        let at = at as u64;
        for range in [at..at + 1, at.saturating_sub(5)..(at + 5).min(size), 0..at + 1, at..size] {
            let length = range.end - range.start;
            let (found, outcome) = drain(&store.reopened(), key, size, Some(range.clone())).await;
            assert!(named(&outcome), "{}: {range:?}, wrong at {at}: {outcome:?}", store.name);
            assert!((found.len() as u64) < length, "a damaged range came in full");
        }
        // Other pieces are still good, and are the only thing that may be served.
        let last = size - 1..size;
        let (found, outcome) = drain(&store.reopened(), key, size, Some(last)).await;
        if outcome.is_ok() {
            assert_eq!(found, bytes[bytes.len() - 1..]);
        }
    }
}

async fn assert_healed(store: &Store, blobs: &Blobs, key: &BlobKey, bytes: &[u8]) {
    let spooled = spool(blobs, bytes).await;
    blobs.put(key, &spooled).await.unwrap();
    assert!(store.peek(&key.path()).await.unwrap() == bytes);
    assert!(read(&store.reopened(), key, bytes.len(), None).await == bytes);
    assert!(read(blobs, key, bytes.len(), None).await == bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_anywhere() {
    let random = random();
    on_each(async |store| {
        let mut random = random.clone();
        for size in [1, 60, 70_000, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES] {
            let bytes = body(size as u64, size);
            let key = put(&store.blobs, &bytes).await;
            let mut places = vec![0, size / 2, size - 1, random.random_range(0..size)];
            if size <= 60 {
                places = (0..size).collect();
            }
            if size > PIECE_BYTES {
                places.extend([PIECE_BYTES - 1, PIECE_BYTES]);
            }
            for place in places {
                let mut wrong = bytes.clone();
                wrong[place] ^= 1 << random.random_range(0..8);
                store.poke(&key.path(), wrong).await;
                assert_named(store, &key, &bytes, Some(place)).await;
                store.poke(&key.path(), bytes.clone()).await;
                assert!(read(&store.reopened(), &key, size, None).await == bytes);
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_grown_gone_or_swapped_and_healed_by_the_next_upload() {
    on_each(async |store| {
        for size in [60, 70_000, PIECE_BYTES + 1, 2 * PIECE_BYTES, PART_BYTES_MIN as usize + 9] {
            let (bytes, others) = (body(size as u64, size), body(size as u64 + 1, size));
            let key = put(&store.blobs, &bytes).await;
            let other = put(&store.blobs, &others).await;
            let pieces = |key: &BlobKey| format!("{}.pieces", key.path());
            let mut longer = bytes.clone();
            longer.push(0);
            let mut flipped = bytes.clone();
            flipped[size / 2] ^= 1;
            let wrongs = [
                bytes[..size - 1].to_vec(),
                bytes[..size / 2].to_vec(),
                Vec::new(),
                longer,
                flipped,
                others.clone(),
            ];
            for wrong in wrongs {
                store.poke(&key.path(), wrong).await;
                assert_named(store, &key, &bytes, None).await;
                assert_healed(store, &store.reopened(), &key, &bytes).await;
            }
            store.remove(&key.path()).await;
            assert_named(store, &key, &bytes, Some(0)).await;
            assert_healed(store, &store.reopened(), &key, &bytes).await;
            // Swapped together with the digests of the pieces, which then agree with the bytes.
            store.poke(&key.path(), others.clone()).await;
            if let Some(of_other) = store.peek(&pieces(&other)).await {
                store.poke(&pieces(&key), of_other).await;
            }
            assert_named(store, &key, &bytes, Some(size / 2)).await;
            assert_healed(store, &store.reopened(), &key, &bytes).await;
            assert!(read(&store.reopened(), &other, size, None).await == others);
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_digests_of_pieces_are_made_again_when_they_are_lost_or_wrong() {
    on_each(async |store| {
        let size = 2 * PIECE_BYTES + 100;
        let bytes = body(3, size);
        let key = put(&store.blobs, &bytes).await;
        let path = format!("{}.pieces", key.path());
        let good = store.peek(&path).await.expect("they were written by the put");
        let range = PIECE_BYTES as u64 - 3..PIECE_BYTES as u64 + 3;
        let expected = &bytes[PIECE_BYTES - 3..PIECE_BYTES + 3];
        for place in [0, 20, 50, 60, 100, good.len() - 1] {
            let mut wrong = good.clone();
            wrong[place] ^= 4;
            store.poke(&path, wrong).await;
            let found = read(&store.reopened(), &key, size, Some(range.clone())).await;
            assert_eq!(found, expected);
            assert_eq!(store.peek(&path).await.as_ref(), Some(&good), "made again");
        }
        store.remove(&path).await;
        let blobs = store.reopened_with(|options| options.verify = VerifyReads::Always);
        for _ in 0..2 {
            assert_eq!(read(&blobs, &key, size, Some(range.clone())).await, expected);
        }
        assert_eq!(store.peek(&path).await, Some(good.clone()));
        // Both gone wrong: the blob is what counts.
        let mut wrong = bytes.clone();
        wrong[size - 1] ^= 1;
        store.poke(&key.path(), wrong).await;
        store.remove(&path).await;
        assert_named(store, &key, &bytes, Some(0)).await;
        assert_eq!(store.peek(&path).await, None, "nothing is made from a damaged blob");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn damage_after_the_first_read_is_noticed_when_every_read_is_verified() {
    on_each(async |store| {
        for size in [100, PIECE_BYTES, PIECE_BYTES + 5] {
            let bytes = body(size as u64, size);
            let always = store.reopened_with(|options| options.verify = VerifyReads::Always);
            let key = put(&always, &bytes).await;
            assert!(read(&always, &key, size, None).await == bytes);
            assert_eq!(read(&always, &key, size, Some(1..2)).await, bytes[1..2]);
            let mut wrong = bytes.clone();
            wrong[1] ^= 1;
            store.poke(&key.path(), wrong).await;
            for range in [None, Some(1..2)] {
                let (_, outcome) = drain(&always, &key, size as u64, range).await;
                assert!(
                    matches!(outcome, Err(StorageError::Damaged { digest }) if digest == key.digest)
                );
            }
            // One that verifies only once was told by `verify`, and believes nothing any more.
            let once = store.reopened();
            store.poke(&key.path(), bytes.clone()).await;
            assert!(read(&once, &key, size, None).await == bytes);
            let mut wrong = bytes.clone();
            wrong[2] ^= 1;
            store.poke(&key.path(), wrong).await;
            assert!(once.verify(&key, size as u64).await.is_err());
            let (_, outcome) = drain(&once, &key, size as u64, None).await;
            assert!(matches!(outcome, Err(StorageError::Damaged { .. })));
            assert_healed(store, &once, &key, &bytes).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_file_that_is_cut_off_while_it_is_read_does_not_end_as_complete() {
    use futures_util::StreamExt;
    let store = Store::directory();
    let size = 12 * PIECE_BYTES;
    let bytes = body(1, size);
    let key = put(&store.blobs, &bytes).await;
    let mut stream = store.blobs.open(&key, size as u64, None).await.unwrap().into_stream();
    stream.next().await.unwrap().unwrap();
    let path = store.folder.path().join("root").join(key.path());
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(size as u64 - 1).unwrap();
    let rest: Vec<_> = stream.collect().await;
    assert!(matches!(rest.last(), Some(Err(StorageError::Damaged { .. }))));
}
