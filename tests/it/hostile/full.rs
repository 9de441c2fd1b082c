//! H80: a full disk. Promise 11: "Disk full […]: healthy reads go on, writes get 503/507, recovery
//! needs no hands." The disk is the one of the power-cut harness; faults at each single write are
//! the fault suite's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ingot_tests::archive::tiny;
use ingot_tests::client::{Client, raw};
use ingot_tests::disk::{Disk, skip};
use ingot_tests::server::{Options, Server, verify};

/// Statuses of a write that finds no room.
const NO_ROOM: &[u16] = &[503, 507];
/// How long a server may take to notice that there is room again.
const RECOVERY_TIMEOUT: Duration = Duration::from_secs(60);

/// Takes away all space but about so many MiB; what took it goes away when dropped.
struct Ballast(PathBuf);

impl Ballast {
    fn leave(disk: &Path, mib: u64) -> Self {
        let dir = disk.join("ballast");
        fs::create_dir(&dir).expect("room for a directory");
        let mut size: u64 = 512 << 20;
        let mut number = 0;
        // Ever smaller files until not a block is left, then the largest that fit are given back.
        while size >= 4096 {
            number += 1;
            let file = dir.join(number.to_string());
            let length = size.to_string();
            let taken = Command::new("fallocate").args(["-l", &length]).arg(&file).output();
            if !taken.is_ok_and(|output| output.status.success()) {
                let _ = fs::remove_file(&file);
                size /= 2;
            }
        }
        let mut free = 0;
        for file in (1..=number).rev().map(|n| dir.join(n.to_string())) {
            let Ok(about) = fs::metadata(&file) else { continue };
            if free + about.len() <= mib << 20 {
                free += about.len();
                fs::remove_file(&file).expect("is removed");
            }
        }
        Self(dir)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Puts again for as long as the answer is to come back later.
async fn put_patiently(client: &Client, path: &str, bytes: &[u8]) {
    let deadline = Instant::now() + RECOVERY_TIMEOUT;
    loop {
        let answer = client.put(path, bytes).await;
        if answer.status != 503 {
            answer.expect_any(&[200, 201]);
            return;
        }
        answer.need("retry-after");
        assert!(Instant::now() < deadline, "no recovery by itself: {}", answer.shown());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn options(disk: &Disk) -> Options {
    Options::default().data(disk.path().join("data"))
}

#[tokio::test(flavor = "multi_thread")]
async fn h80_below_the_reserve_uploads_are_507_and_all_else_goes_on() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let mut server = Server::start_with(options(&disk)).await;
    let client = server.admin();
    let zip = tiny(1, 5000);
    client.put(&raw("app", "1", "app.zip"), &zip).await.expect(201);
    // "uploads get 507 below a reserve of free space": by default 256 MiB.
    let ballast = Ballast::leave(disk.path(), 128);
    let path = raw("app", "2", "app.zip");
    client.put(&path, &tiny(2, 5000)).await.refused(507, "no_space");
    client.get(&path).await.expect(404);
    assert_eq!(client.get(&raw("app", "1", "app.zip")).await.expect(200).body, zip);
    // The reserve is for this: what is there can still be moved.
    client.promote("dev", &[("raw:app", "1")]).await.expect(201);
    server.anonymous().get("/readyz").await.expect(200);
    drop(ballast);
    client.put(&path, &tiny(2, 5000)).await.expect(201);
    server.stop();
    verify(&server.data()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h80_on_a_full_disk_reads_go_on_and_nothing_half_is_kept() {
    let disk = match Disk::new() {
        Ok(disk) => disk,
        Err(why) => return skip(&why),
    };
    let options = options(&disk).set("INGOT_STORAGE__RESERVE_BYTES", "0");
    let mut server = Server::start_with(options).await;
    let client = server.admin();
    let zip = tiny(1, 5000);
    client.put(&raw("app", "1", "app.zip"), &zip).await.expect(201);
    let ballast = Ballast::leave(disk.path(), 0);
    let mut refused = Vec::new();
    let mut taken = Vec::new();
    // A block or two may be left in directories: go on until there is none.
    for n in 0..40 {
        let (path, bytes) = (raw("full", &format!("1.{n}"), "f.zip"), tiny(n, 50_000));
        let answer = client.put(&path, &bytes).await;
        match answer.status {
            201 => taken.push((path, bytes)),
            _ => {
                answer.expect_any(NO_ROOM).problem();
                refused.push((path, bytes));
            }
        }
    }
    assert!(!refused.is_empty(), "the disk was not full");
    for (path, _) in &refused {
        client.get(path).await.expect(404);
    }
    for (path, bytes) in &taken {
        assert_eq!(client.get(path).await.expect(200).body, *bytes);
    }
    let promotion = client.promote("dev", &[("raw:app", "1")]).await;
    if promotion.status != 201 {
        promotion.expect_any(NO_ROOM).problem();
    }
    assert_eq!(client.get(&raw("app", "1", "app.zip")).await.expect(200).body, zip);
    client.status("dev").await;
    drop(ballast);
    // "recovery without restart": what was refused goes through, as if asked for the first time.
    for (path, bytes) in &refused {
        put_patiently(&client, path, bytes).await;
        assert_eq!(client.get(path).await.expect(200).body, *bytes);
    }
    client.promote("dev", &[("raw:app", "1")]).await.expect_any(&[200, 201]);
    server.stop();
    verify(&server.data()).await;
}
