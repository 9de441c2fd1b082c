//! Shows that the power-cut harness can fail: a writer that does not sync must lose what it
//! acknowledged, and one that syncs everything must not. Without this, a green power-cut run
//! would prove nothing.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ingot_tests::disk::{Disk, skip};
use ingot_tests::{dice, say, seed};
use rand::Rng;

/// Rounds that must all be clean for the writer that syncs.
const ROUNDS_SYNCED: usize = 6;
/// Rounds of which at least one must lose something for the writer that does not.
const ROUNDS_UNSYNCED: usize = 3;
/// Files in one directory before the writer makes the next.
const FILES_PER_DIRECTORY: usize = 8;

#[derive(Clone, Copy)]
enum Sync {
    Nothing,
    Everything,
}

fn content(number: usize) -> Vec<u8> {
    format!("file {number} ").repeat(200).into_bytes()
}

fn name(number: usize) -> String {
    format!("d{}/f{number}", number / FILES_PER_DIRECTORY)
}

/// Write beside, rename into place; with everything synced, from the file up to the root.
fn write(root: &Path, number: usize, sync: Sync) -> std::io::Result<()> {
    let path = root.join(name(number));
    let parent = path.parent().expect("has a parent");
    fs::create_dir_all(parent)?;
    let beside = path.with_extension("new");
    let mut file = File::create(&beside)?;
    file.write_all(&content(number))?;
    if let Sync::Everything = sync {
        file.sync_all()?;
    }
    fs::rename(&beside, &path)?;
    if let Sync::Everything = sync {
        File::open(parent)?.sync_all()?;
        File::open(root)?.sync_all()?;
    }
    Ok(())
}

/// Plays some rounds; answers how many of them lost an acknowledged file.
fn rounds_with_losses(sync: Sync, rounds: usize, seed: u64) -> Result<usize, String> {
    let disk = Disk::new()?;
    let root = disk.path().join("files");
    fs::create_dir(&root).expect("the disk takes a directory");
    File::open(disk.path()).and_then(|dir| dir.sync_all()).expect("the disk syncs");
    let acknowledged = Arc::new(Mutex::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (acknowledged, stop) = (acknowledged.clone(), stop.clone());
        std::thread::spawn(move || {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                write(&root, number, sync).expect("writes");
                number += 1;
                *acknowledged.lock().unwrap() = number;
                // Unsynced writes take microseconds; do not fill the disk with them.
                if let Sync::Nothing = sync {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        })
    };
    let mut dice = dice(seed, 1);
    let mut losses = 0;
    for round in 0..rounds {
        std::thread::sleep(Duration::from_millis(dice.random_range(100..400)));
        let due = *acknowledged.lock().unwrap();
        let copy = disk.cut(&format!("round-{round}"))?.mount()?;
        let intact = |n: &usize| {
            fs::read(copy.path().join("files").join(name(*n))).is_ok_and(|got| got == content(*n))
        };
        let kept = (0..due).filter(intact).count();
        say(&format!("  round {round}: {kept} of {due} acknowledged files survived"));
        assert!(due > 0, "a round in which nothing was written shows nothing");
        losses += usize::from(kept < due);
    }
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("the writer lives");
    Ok(losses)
}

#[test]
fn unsynced_writes_are_lost_and_synced_ones_are_not() {
    let seed = seed("power control");
    say("a writer without fsync:");
    let losses = match rounds_with_losses(Sync::Nothing, ROUNDS_UNSYNCED, seed) {
        Ok(losses) => losses,
        Err(why) => return skip(&why),
    };
    assert!(losses > 0, "the harness did not notice that nothing was synced");
    say("a writer with fsync of file, directory and parent:");
    let losses = rounds_with_losses(Sync::Everything, ROUNDS_SYNCED, seed).expect("as before");
    assert_eq!(losses, 0, "the harness loses what was synced");
}
