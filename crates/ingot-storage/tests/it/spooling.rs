//! Receiving bodies.

use std::io::{Read, Seek, SeekFrom, Write};

use bytes::Bytes;
use ingot_core::{Digest, HashSet};
use ingot_storage::{PIECE_BYTES, SpoolWriter, StorageError};
use rand::Rng;

use crate::stores::{SPOOL_MEMORY_BYTES, Store, body, random, spool_blocking};

const ALL: HashSet = HashSet { md5: true, sha1: true, sha512: true };

#[tokio::test(flavor = "multi_thread")]
async fn it_does_not_matter_how_a_body_is_cut() {
    let mut random = random();
    let store = Store::memory();
    for size in [0, 1, 65_536, 65_537, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 17] {
        let bytes = Bytes::from(body(size as u64, size));
        let expected = spool_blocking(&store.blobs, &bytes, ALL);
        assert_eq!(expected.digest(), Digest::of(&bytes));
        for longest in [7_000, 100_000, 5 * PIECE_BYTES] {
            let mut spooler = store.blobs.spool(ALL);
            let mut writer = store.blobs.spool_writer(ALL);
            let mut start = 0;
            while start < size {
                let end = (start + random.random_range(0..=longest)).min(size);
                spooler.write(bytes.slice(start..end)).await.unwrap();
                writer.write_all(&bytes[start..end]).unwrap();
                start = end;
            }
            for found in [spooler.finish().await.unwrap(), writer.finish().unwrap()] {
                assert_eq!(found.size(), size as u64);
                assert_eq!(found.digest(), expected.digest());
                assert_eq!(found.hashes(), expected.hashes());
                let mut content = Vec::new();
                found.reader().read_to_end(&mut content).unwrap();
                assert!(content == bytes);
            }
        }
    }
}

#[tokio::test]
async fn only_the_hashes_that_are_asked_for_are_there() {
    let store = Store::memory();
    let none = spool_blocking(&store.blobs, b"abc", HashSet::default());
    assert!(none.hashes().md5.is_none() && none.hashes().sha1.is_none());
    let some = spool_blocking(&store.blobs, b"abc", HashSet { sha1: true, ..HashSet::default() });
    assert_eq!(some.hashes().sha1.as_deref(), Some("a9993e364706816aba3e25717850c26c9cd0d89d"));
    assert!(some.hashes().md5.is_none() && some.hashes().sha512.is_none());
}

#[tokio::test]
async fn readers_have_positions_of_their_own_and_seek_like_files() {
    let store = Store::memory();
    for size in [1000, SPOOL_MEMORY_BYTES + 1] {
        let bytes = body(1, size);
        let spooled = spool_blocking(&store.blobs, &bytes, HashSet::default());
        assert_eq!(spooled.bytes().is_some(), size <= SPOOL_MEMORY_BYTES);
        let (mut one, mut two) = (spooled.reader(), spooled.clone().reader());
        let mut four = [0; 4];
        one.read_exact(&mut four).unwrap();
        assert_eq!(four, bytes[..4]);
        two.seek(SeekFrom::End(-4)).unwrap();
        one.read_exact(&mut four).unwrap();
        assert_eq!(four, bytes[4..8]);
        two.read_exact(&mut four).unwrap();
        assert_eq!(four, bytes[size - 4..]);
        assert_eq!(two.read(&mut four).unwrap(), 0);
        assert_eq!(two.seek(SeekFrom::Current(-1)).unwrap(), size as u64 - 1);
        assert_eq!(two.read(&mut four).unwrap(), 1);
        two.seek(SeekFrom::Start(size as u64 + 10)).unwrap();
        assert_eq!(two.read(&mut four).unwrap(), 0, "beyond the end is the end");
        assert!(two.seek(SeekFrom::Current(-(size as i64) - 11)).is_err());
    }
}

#[tokio::test]
async fn a_temp_file_is_there_from_one_byte_too_many_until_the_last_owner_goes() {
    let store = Store::directory();
    let at_limit = body(1, SPOOL_MEMORY_BYTES);
    let held = spool_blocking(&store.blobs, &at_limit, HashSet::default());
    assert_eq!(store.files("spool/").len(), 0);
    let above = body(1, SPOOL_MEMORY_BYTES + 1);
    let spooled = spool_blocking(&store.blobs, &above, HashSet::default());
    assert_eq!(store.files("spool/").len(), 1);
    let (second, mut reader) = (spooled.clone(), spooled.reader());
    drop((spooled, second, held));
    assert_eq!(store.files("spool/").len(), 1, "a reader is an owner");
    let mut content = Vec::new();
    reader.read_to_end(&mut content).unwrap();
    assert_eq!(content, above);
    drop(reader);
    assert_eq!(store.files("spool/").len(), 0);
}

#[test]
fn a_body_that_is_given_up_half_way_leaves_nothing() {
    let store = Store::directory();
    for size in [10, PIECE_BYTES, PIECE_BYTES + 1, 4 * PIECE_BYTES] {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut spooler = store.blobs.spool(ALL);
            spooler.write(body(1, size).into()).await.unwrap();
        });
        let mut writer = store.blobs.spool_writer(ALL);
        writer.write_all(&body(1, size)).unwrap();
        drop(writer);
        // Waits for the blocking threads.
        drop(runtime);
        assert_eq!(store.files("spool/").len(), 0, "{size} bytes");
    }
}

#[tokio::test]
async fn what_went_wrong_comes_back_out_of_a_decoder() {
    let store = Store::directory();
    let full = store.reopened_with(|options| options.reserve_bytes = u64::MAX);
    let mut writer = full.spool_writer(HashSet::default());
    let error = writer.write_all(&body(1, 2 * PIECE_BYTES)).unwrap_err();
    assert!(matches!(SpoolWriter::error(error), StorageError::NoSpace { .. }));
    assert!(writer.write_all(b"more").is_err());
    assert!(writer.finish().is_err(), "a body with a hole must not be finished");
    let other = SpoolWriter::error(std::io::ErrorKind::InvalidData.into());
    assert!(matches!(other, StorageError::Io { .. }));
}
