//! What large bodies cost in memory. Run by hand, alone:
//! `cargo test -p ingot-storage --test it -- --ignored --nocapture flat_memory`

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use ingot_core::HashSet;
use ingot_storage::{BlobKey, Blobs};

use crate::stores::{options, project};

const PARALLEL: usize = 8;
const PEAK_BYTES_MAX: u64 = 256 << 20;

/// The process's peak of resident memory, in bytes.
fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

async fn up(blobs: &Blobs, nth: u64, size: usize, chunk_bytes: usize) -> BlobKey {
    let mut spooler = blobs.spool(HashSet::default());
    let mut sent = 0;
    while sent < size {
        let count = chunk_bytes.min(size - sent);
        // As a server's reads are: a fresh buffer each.
        let mut chunk = vec![0; count];
        chunk[..8].copy_from_slice(&nth.to_be_bytes());
        chunk[8..16].copy_from_slice(&(sent as u64).to_be_bytes());
        spooler.write(Bytes::from(chunk)).await.unwrap();
        sent += count;
    }
    let spooled = spooler.finish().await.unwrap();
    let key = BlobKey { project: project(), digest: spooled.digest(), incarnation: 0 };
    blobs.put(&key, &spooled).await.unwrap();
    key
}

async fn down(blobs: &Blobs, key: &BlobKey, size: usize) {
    let mut stream = blobs.open(key, size as u64, None).await.unwrap().into_stream();
    let mut received = 0;
    while let Some(chunk) = stream.next().await {
        received += chunk.unwrap().len();
    }
    assert_eq!(received, size);
}

#[test]
#[ignore = "writes many gigabytes; the peak counts only when it runs alone"]
fn flat_memory() {
    let mib: usize =
        std::env::var("INGOT_MIB").ok().map_or(1024, |text| text.parse().expect("a number"));
    let size = mib << 20;
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let blobs = Blobs::local(&folder.path().join("root"), options(folder.path())).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        println!("at the start: {} MiB", peak_bytes() >> 20);
        let started = std::time::Instant::now();
        let ups = (0..PARALLEL as u64).map(|nth| {
            let blobs = blobs.clone();
            tokio::spawn(async move { up(&blobs, nth, size, 64 * 1024).await })
        });
        let keys: Arc<Vec<_>> = futures_util::future::join_all(ups)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect::<Vec<_>>()
            .into();
        println!("up: peak {} MiB, {:.1?}", peak_bytes() >> 20, started.elapsed());
        for read in ["down, verified", "down, known"] {
            let started = std::time::Instant::now();
            let downs = (0..PARALLEL).map(|nth| {
                let (blobs, keys) = (blobs.clone(), keys.clone());
                tokio::spawn(async move { down(&blobs, &keys[nth], size).await })
            });
            for down in futures_util::future::join_all(downs).await {
                down.unwrap();
            }
            println!("{read}: peak {} MiB, {:.1?}", peak_bytes() >> 20, started.elapsed());
        }
    });
    assert!(peak_bytes() <= PEAK_BYTES_MAX, "{} bytes", peak_bytes());
}
