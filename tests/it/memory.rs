//! "Memory stays flat: 8 parallel uploads and 8 parallel downloads […] within 256 MiB RSS."
//! Files are smaller here than the 1 GiB of a release's own check, but together far larger than
//! the bound, so that a body that is collected anywhere shows (`INGOT_MEMORY_MIB` sets their size).

use std::io;

use bytes::Bytes;
use futures_util::stream;
use ingot_tests::client::{Client, raw};
use ingot_tests::server::Server;
use ingot_tests::{count, dice, say, seed};
use rand::RngCore;
use sha2::{Digest, Sha256};

use crate::HEAVY;

/// Transfers at once.
const TRANSFERS: usize = 8;
/// The size of each, in MiB.
const FILE_MIB: usize = 96;
/// What the process may hold at most, in KiB.
const RSS_KIB_MAX: u64 = 256 * 1024;

/// A file, made piece by piece so that it is never held: random bytes, the same in each piece but
/// for its number, which is cheap and still unlike any other file.
fn pieces(seed: u64, number: usize, mib: usize) -> impl Iterator<Item = Bytes> + Send {
    let mut piece = vec![0; 1 << 20];
    dice(seed, number as u64).fill_bytes(&mut piece);
    (0..mib).map(move |n| {
        piece[..8].copy_from_slice(&(n as u64).to_le_bytes());
        Bytes::from(piece.clone())
    })
}

async fn upload(client: Client, seed: u64, number: usize, mib: usize) {
    let body = stream::unfold(pieces(seed, number, mib), async |mut pieces| {
        // A body that is always ready would keep the other clients of this process from theirs.
        tokio::task::yield_now().await;
        pieces.next().map(|piece| (Ok::<_, io::Error>(piece), pieces))
    });
    let body = reqwest::Body::wrap_stream(body);
    client.send("PUT", &path(number), &[], body).await.expect(201);
}

fn path(number: usize) -> String {
    raw("large", &format!("1.{number}"), "large.bin")
}

#[tokio::test(flavor = "multi_thread")]
async fn large_transfers_at_once_leave_memory_flat() {
    let _alone = HEAVY.lock().await;
    let seed = seed("memory");
    let mib = count("INGOT_MEMORY_MIB", FILE_MIB);
    let server = Server::start().await;
    let client = server.admin();
    let uploads: Vec<_> =
        (0..TRANSFERS).map(|n| tokio::spawn(upload(client.clone(), seed, n, mib))).collect();
    for upload in uploads {
        upload.await.expect("uploaded");
    }
    let after_uploads = server.rss_peak_kib();
    let downloads: Vec<_> = (0..TRANSFERS)
        .map(|n| {
            let client = client.clone();
            tokio::spawn(async move { client.download(&path(n)).await })
        })
        .collect();
    for (number, download) in downloads.into_iter().enumerate() {
        let mut hash = Sha256::new();
        pieces(seed, number, mib).for_each(|piece| hash.update(&piece));
        let digest = format!("sha256:{}", hex::encode(hash.finalize()));
        assert_eq!(download.await.expect("downloaded"), ((mib as u64) << 20, digest));
    }
    let peak = server.rss_peak_kib();
    say(&format!("memory: {after_uploads} KiB at most while uploading, {peak} KiB in all"));
    assert!(peak < RSS_KIB_MAX, "{peak} KiB");
}
