//! What every store must let a ledger do. Each function is one test; it takes a store with
//! nothing in it, and panics when something is wrong.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ingot_core::Seq;
use jiff::SignedDuration;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use serde_json::value::RawValue;

use super::{FaultStore, Injected, Operation, TestClock};
use crate::layout::Layout;
use crate::{Appended, Commit, Error, FaultKind, Head, Ledger, Options, Result};

const NAME: &str = "main";
const PREFIX: &str = "projects/main/ledger";
/// Small segments, so that a few commits fill some.
const SEGMENT: u64 = 4;
/// Longer than commits are kept, and than a head may go unconfirmed.
const LONG: SignedDuration = SignedDuration::from_hours(25);

/// An empty store to test.
#[derive(Clone)]
pub struct Site {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Its root, on local disk.
    pub sync_found: Option<PathBuf>,
}

/// A ledger over a site, by way of a store that fails on demand.
pub struct Bench {
    site: Site,
    /// The store that the ledgers of this bench use.
    pub faults: Arc<FaultStore>,
    /// The clock that they use.
    pub clock: TestClock,
    layout: Layout,
    deadline: Duration,
}

impl Bench {
    /// Puts the pieces together.
    pub fn new(site: Site) -> Self {
        let layout = Layout::new(PREFIX, SEGMENT).expect("a plain prefix");
        let faults = FaultStore::guarding(Arc::clone(&site.store), layout.clone());
        let (clock, deadline) = (TestClock::new(), Duration::from_secs(30));
        faults.keep_time(&clock);
        Self { site, faults, clock, layout, deadline }
    }

    /// A deadline so short that calls which never answer do not hold up the test. Calls that do
    /// answer may then come too late, too: whatever is asserted must hold then as well.
    pub fn impatient(mut self) -> Self {
        self.deadline = Duration::from_millis(300);
        self
    }

    /// Opens the ledger as a process of its own would.
    pub async fn open(&self) -> Ledger {
        self.try_open().await.expect("opens")
    }

    async fn try_open(&self) -> Result<Ledger> {
        let options = Options {
            segment_commits: SEGMENT,
            call_deadline: self.deadline,
            sync_found: self.site.sync_found.clone(),
            ..Options::new(self.clock.clock())
        };
        Ledger::open(Arc::clone(&self.faults) as _, NAME, PREFIX, options).await
    }

    /// Appends `count` commits after what is there.
    pub async fn fill(&self, ledger: &Ledger, count: u64) -> Head {
        let mut head = ledger.find_head(&ledger.start()).await.expect("reads");
        for _ in 0..count {
            head = self.append(ledger, &head, &format!("fill {}", head.seq + 1)).await;
        }
        head
    }

    /// Appends one commit that must get in.
    pub async fn append(&self, ledger: &Ledger, head: &Head, what: &str) -> Head {
        done(ledger.append(head, self.clock.now(), "filler", entries(what)).await.expect("appends"))
    }

    /// Moves the clock on, packs and deletes what can be.
    pub async fn age_and_compact(&self) {
        self.clock.advance(LONG);
        self.open().await.compact(self.clock.now()).await.expect("compacts");
    }

    /// Checks the ledger from end to end and gives back what is in it.
    pub async fn contents(&self) -> Vec<String> {
        let ledger = self.open().await;
        let report = ledger.verify().await.expect("verifies");
        assert!(report.is_sound(), "{:?}", report.faults);
        let commits = all(&ledger).await;
        assert_eq!(report.commits, commits.len() as u64);
        let numbers: Vec<Seq> = commits.iter().map(|commit| commit.seq).collect();
        assert_eq!(numbers, (1..=commits.len() as u64).collect::<Vec<_>>());
        commits.iter().map(text).collect()
    }

    async fn exists(&self, seq: Seq) -> bool {
        self.site.store.head(&self.layout.commit(seq)).await.is_ok()
    }
}

/// One entry.
pub fn entries(what: &str) -> Vec<Box<RawValue>> {
    vec![serde_json::value::to_raw_value(what).expect("a string is JSON")]
}

/// What [`entries`] put in.
pub fn text(commit: &Commit) -> String {
    serde_json::from_str(commit.entries[0].get()).expect("a string was put in")
}

/// All commits, by replay.
pub async fn all(ledger: &Ledger) -> Vec<Commit> {
    let (mut commits, mut replay) = (Vec::new(), ledger.replay(&ledger.start()));
    while let Some(batch) = replay.next().await.expect("reads") {
        commits.extend(batch);
    }
    commits
}

fn done(appended: Appended) -> Head {
    match appended {
        Appended::Done(head) => head,
        other => panic!("not done: {other:?}"),
    }
}

fn texts(commits: &[Commit]) -> Vec<String> {
    commits.iter().map(text).collect()
}

/// Settles until it is known what came of an append.
async fn settle(ledger: &Ledger, mut appended: Appended) -> Option<Head> {
    for _ in 0..100 {
        match appended {
            Appended::Done(head) => return Some(head),
            Appended::Taken => return None,
            Appended::Unknown(pending) => appended = ledger.settle(pending).await,
        }
    }
    panic!("still unknown after 100 tries");
}

/// What is appended is read back, by this process and the next; a head that is behind is told.
pub async fn appends_and_reads(site: Site) {
    let bench = Bench::new(site);
    let ledger = bench.open().await;
    let start = ledger.start();
    assert!(ledger.read_after(&start, 10).await.expect("reads").is_empty());
    let first = bench.append(&ledger, &start, "one").await;
    assert_eq!(first.seq, 1);
    let stale = ledger.append(&start, bench.clock.now(), "other", entries("late")).await;
    assert!(matches!(stale.expect("appends"), Appended::Taken));
    let second = bench.append(&ledger, &first, "two").await;
    for ledger in [&ledger, &bench.open().await] {
        assert_eq!(texts(&ledger.read_after(&start, 10).await.expect("reads")), ["one", "two"]);
        assert_eq!(texts(&ledger.read_after(&start, 1).await.expect("reads")), ["one"]);
        assert_eq!(texts(&ledger.read_after(&first, 10).await.expect("reads")), ["two"]);
        assert!(ledger.read_after(&second, 10).await.expect("reads").is_empty());
        assert!(ledger.lies_on_chain(&second).await.expect("reads"));
        assert_eq!(ledger.head_at(1).await.expect("reads"), Some(first));
        assert_eq!(ledger.head_at(3).await.expect("reads"), None);
        assert_eq!(ledger.find_head(&start).await.expect("reads"), second);
    }
    // Time never goes back, and is kept to the millisecond.
    let early = second.at - SignedDuration::from_hours(1);
    let third = ledger.append(&second, early, "w", entries("three")).await.expect("appends");
    assert_eq!(done(third).at, second.at);
    assert_eq!(second.at.subsec_nanosecond() % 1_000_000, 0);
    bench.contents().await;
}

/// A head of another history is told from a broken ledger, and only the latter stops writes.
pub async fn foreign_heads_are_refused(site: Site) {
    let bench = Bench::new(site);
    let ledger = bench.open().await;
    let head = bench.fill(&ledger, 3).await;
    let foreign = Head { hash: ledger.start().hash, seq: 2, ..head };
    assert!(!ledger.lies_on_chain(&foreign).await.expect("reads"));
    assert!(!ledger.lies_on_chain(&Head { seq: 9, ..head }).await.expect("reads"));
    let error = ledger.read_after(&foreign, 10).await.expect_err("foreign");
    assert!(matches!(error, Error::NotOnChain { seq: 2 }), "{error}");
    assert!(ledger.find_break().is_none());
    bench.append(&ledger, &head, "goes on").await;
}

/// Eight writers with fifty commits each: every one gets in exactly once, in one order.
pub async fn racing_writers_each_get_in_once(site: Site) {
    const WRITERS: usize = 8;
    const APPENDS: usize = 50;
    let bench = Arc::new(Bench::new(site));
    let writers = (0..WRITERS).map(|writer| {
        let bench = Arc::clone(&bench);
        tokio::spawn(async move {
            let ledger = bench.open().await;
            let (mut head, id) = (ledger.start(), format!("writer-{writer}"));
            let mut heads = Vec::new();
            for n in 0..APPENDS {
                loop {
                    let what = entries(&format!("{writer}.{n}"));
                    let appended = ledger.append(&head, bench.clock.now(), &id, what).await;
                    match settle(&ledger, appended.expect("appends")).await {
                        Some(new) => {
                            head = new;
                            heads.push(new);
                            break;
                        }
                        None => {
                            let read = ledger.read_after(&head, 64).await.expect("reads");
                            head = read.last().expect("somebody took it").head();
                        }
                    }
                }
                if n % 16 == 0 {
                    ledger.compact(bench.clock.now()).await.expect("compacts");
                }
            }
            heads
        })
    });
    let mut heads = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        heads.extend(writer.await.expect("no panic"));
    }
    let mut found = bench.contents().await;
    let ledger = bench.open().await;
    for head in &heads {
        assert!(ledger.lies_on_chain(head).await.expect("reads"), "{head:?} was acknowledged");
    }
    found.sort();
    let mut expected: Vec<String> = (0..WRITERS)
        .flat_map(|writer| (0..APPENDS).map(move |n| format!("{writer}.{n}")))
        .collect();
    expected.sort();
    assert_eq!(found, expected);
}

/// Whatever happens to the put of an append, once it is settled the commit is in there exactly
/// once, or was never.
pub async fn appends_survive_each_fault(site: Site) {
    let bench = Bench::new(site).impatient();
    let ledger = bench.open().await;
    let mut head = bench.fill(&ledger, 2).await;
    let mut expected = vec!["fill 1".to_owned(), "fill 2".to_owned()];
    let faults = [
        Injected::FailBefore,
        Injected::FailAfter,
        Injected::LandLate,
        Injected::LandLateAfter(0),
        Injected::LandLateAfter(1),
        Injected::Stall,
        Injected::StallAfter,
        Injected::FalselyExists,
    ];
    for (n, fault) in faults.into_iter().enumerate() {
        // Then the second attempt and the look at what lies there fail, too.
        for further in [None, Some(Operation::Put), Some(Operation::Get)] {
            let what = format!("{n} {fault:?} {further:?}");
            bench.faults.inject_on(Operation::Put, "/commits/", 0, fault);
            if let Some(operation) = further {
                bench.faults.inject_on(operation, "/commits/", 1, Injected::FailAfter);
            }
            let appended = ledger.append(&head, bench.clock.now(), "w", entries(&what)).await;
            let appended = appended.expect("is sent");
            assert!(matches!(appended, Appended::Unknown(_)), "{what}: {appended:?}");
            head = settle(&ledger, appended).await.expect("nobody else writes");
            expected.push(what);
            bench.faults.release().await;
            bench.faults.clear();
        }
    }
    assert_eq!(bench.contents().await, expected);
}

/// The put of a writer that gave up lands after another has taken the number, or before.
pub async fn a_put_that_lands_late_wins_or_is_nothing(site: Site) {
    let bench = Bench::new(site);
    let (gone, other) = (bench.open().await, bench.open().await);
    let head = bench.fill(&other, 1).await;

    bench.faults.inject(Operation::Put, 0, Injected::LandLate);
    let lost = gone.append(&head, bench.clock.now(), "gone", entries("lost")).await;
    assert!(matches!(lost.expect("is sent"), Appended::Unknown(_)));
    let head = bench.append(&other, &head, "first").await;
    bench.faults.release().await;

    bench.faults.inject(Operation::Put, 0, Injected::LandLate);
    let late = gone.append(&head, bench.clock.now(), "gone", entries("late")).await;
    let late = late.expect("is sent");
    bench.faults.release().await;
    let taken = other.append(&head, bench.clock.now(), "other", entries("second")).await;
    assert!(matches!(taken.expect("appends"), Appended::Taken));
    let read = other.read_after(&head, 9).await.expect("reads");
    assert_eq!(texts(&read), ["late"], "it counts, though its writer does not know");
    let own = settle(&gone, late).await.expect("it is its own");
    assert_eq!(own, read[0].head());

    bench.faults.inject(Operation::Put, 0, Injected::LandLate);
    let beaten = gone.append(&own, bench.clock.now(), "gone", entries("beaten")).await;
    bench.append(&other, &own, "third").await;
    assert_eq!(settle(&gone, beaten.expect("is sent")).await, None);
    bench.faults.release().await;
    assert_eq!(bench.contents().await, ["fill 1", "first", "late", "third"]);
}

/// A writer and a reader that slept while the commits after their head were packed and deleted.
pub async fn sleepers_are_caught_by_the_segment(site: Site) {
    let bench = Bench::new(site);
    let awake = bench.open().await;
    let head = bench.fill(&awake, 2).await;
    let (writer, reader, idle) = (bench.open().await, bench.open().await, bench.open().await);
    for ledger in [&writer, &reader, &idle] {
        assert!(ledger.read_after(&head, 9).await.expect("reads").is_empty());
    }
    bench.fill(&awake, SEGMENT).await;
    bench.age_and_compact().await;
    assert!(!bench.exists(3).await, "packed and deleted");

    // The reader finds nothing under its number, and still must not believe it is at the end.
    let read = reader.read_after(&head, 99).await.expect("reads");
    assert_eq!(texts(&read), ["fill 3", "fill 4", "fill 5", "fill 6"]);

    // The writer's create succeeds, and still does not count.
    let late = writer.append(&head, bench.clock.now(), "late", entries("too late")).await;
    assert!(matches!(late.expect("is sent"), Appended::Taken));
    assert!(bench.exists(3).await, "the latecomer's commit lies there");
    // Not for one who has slept till now either, nor for one who starts now.
    for ledger in [&idle, &bench.open().await] {
        let read = ledger.read_after(&head, 99).await.expect("reads");
        assert_eq!(texts(&read)[0], "fill 3");
    }
    let head = writer.find_head(&head).await.expect("reads");
    bench.append(&writer, &head, "in time").await;

    let report = awake.verify().await.expect("verifies");
    assert_eq!(report.faults.len(), 1, "{:?}", report.faults);
    assert_eq!((report.faults[0].kind, report.faults[0].seq), (FaultKind::Late, 3));
    bench.clock.advance(LONG);
    bench.open().await.compact(bench.clock.now()).await.expect("compacts");
    assert!(!bench.exists(3).await, "compaction cleared it away");
    assert_eq!(bench.contents().await.len(), 7);
}

/// An append whose outcome is found out only after its number was packed and deleted.
pub async fn an_append_is_settled_by_its_segment(site: Site) {
    for own in [true, false] {
        let store = FaultStore::new(Arc::clone(&site.store));
        for meta in futures_util::TryStreamExt::try_collect::<Vec<_>>(store.list(None))
            .await
            .expect("lists")
        {
            site.store.delete(&meta.location).await.expect("deletes");
        }
        let bench = Bench::new(site.clone());
        let (writer, other) = (bench.open().await, bench.open().await);
        let head = bench.fill(&writer, 1).await;
        let fault = if own { Injected::FailAfter } else { Injected::FailBefore };
        bench.faults.inject(Operation::Put, 0, fault);
        let unknown = writer.append(&head, bench.clock.now(), "writer", entries("mine")).await;
        let unknown = unknown.expect("is sent");
        assert!(matches!(unknown, Appended::Unknown(_)));
        bench.fill(&other, SEGMENT).await;
        bench.age_and_compact().await;
        assert!(!bench.exists(2).await);
        let settled = settle(&writer, unknown).await;
        assert_eq!(settled.is_some(), own);
        let second = &all(&bench.open().await).await[1];
        assert_eq!(settled.is_some_and(|head| head == second.head()), own);
        bench.contents().await;
    }
}

/// Every call of a compaction fails in every way; what was acknowledged stays, and the next
/// compaction goes through.
pub async fn compaction_survives_each_fault(site: Site) {
    let bench = Bench::new(site).impatient();
    let ledger = bench.open().await;
    bench.fill(&ledger, SEGMENT * 2 + 1).await;
    bench.clock.advance(LONG);
    let mut expected = bench.contents().await;
    let operations = [Operation::Put, Operation::Get, Operation::Delete, Operation::List];
    let faults = [
        Injected::FailBefore,
        Injected::FailAfter,
        Injected::LandLate,
        Injected::LandLateAfter(2),
        Injected::StallAfter,
        Injected::FalselyExists,
    ];
    let mut stopped = 0;
    for operation in operations {
        for fault in faults {
            for skip in 0.. {
                bench.faults.inject(operation, skip, fault);
                let outcome = bench.open_and_compact().await;
                stopped += usize::from(outcome.is_err());
                let unused = bench.faults.clear();
                assert_eq!(bench.contents().await, expected, "{operation:?} {skip} {fault:?}");
                bench.faults.release().await;
                assert_eq!(bench.contents().await, expected, "{operation:?} {skip} {fault:?}");
                bench.open_and_compact().await.expect("the next one goes through");
                assert_eq!(bench.contents().await, expected, "{operation:?} {skip} {fault:?}");
                if unused == 1 || skip > 12 {
                    break;
                }
                // Something to do for the next one.
                bench.fill(&ledger, SEGMENT).await;
                bench.clock.advance(LONG);
                expected = bench.contents().await;
            }
        }
    }
    assert!(stopped > 0, "no fault ever stopped a compaction");
    let left = expected.len() as u64 % SEGMENT;
    assert!(bench.exists(expected.len() as u64).await || left == 0);
    assert!(!bench.exists(1).await);
}

impl Bench {
    async fn open_and_compact(&self) -> Result<()> {
        self.try_open().await?.compact(self.clock.now()).await.map(drop)
    }
}

/// Compactions beside each other do the same work once and leave the same ledger.
pub async fn compactions_beside_each_other(site: Site) {
    let bench = Bench::new(site);
    let ledger = bench.open().await;
    bench.fill(&ledger, SEGMENT * 6 + 2).await;
    bench.clock.advance(LONG);
    let expected = bench.contents().await;
    let now = bench.clock.now();
    let (one, two, three) = (bench.open().await, bench.open().await, bench.open().await);
    let done = tokio::join!(one.compact(now), two.compact(now), three.compact(now));
    for done in [done.0, done.1, done.2] {
        done.expect("compacts");
    }
    assert_eq!(bench.contents().await, expected);
    assert!(!bench.exists(SEGMENT * 6).await && bench.exists(SEGMENT * 6 + 1).await);
    let again = ledger.compact(now).await.expect("compacts");
    assert_eq!(again, crate::Compacted::default(), "nothing left to do");
}

/// Commits younger than the time they are kept stay, packed or not.
pub async fn young_commits_are_kept(site: Site) {
    let bench = Bench::new(site);
    let ledger = bench.open().await;
    bench.fill(&ledger, SEGMENT + 1).await;
    bench.clock.advance(SignedDuration::from_hours(23));
    let done = ledger.compact(bench.clock.now()).await.expect("compacts");
    assert_eq!((done.segments, done.commits_deleted), (1, 0));
    assert!(bench.exists(1).await);
    bench.clock.advance(SignedDuration::from_hours(2));
    let done = ledger.compact(bench.clock.now()).await.expect("compacts");
    assert_eq!((done.segments, done.commits_deleted), (0, SEGMENT));
    assert!(!bench.exists(1).await && bench.exists(SEGMENT + 1).await);
    bench.contents().await;
}

/// Snapshots are found by fold version and commit, verified, created once and pruned.
pub async fn snapshots_are_kept_and_pruned(site: Site) {
    let bench = Bench::new(site);
    let ledger = bench.open().await;
    assert_eq!(ledger.newest_snapshot(1, None).await.expect("lists"), None);
    let mut heads = Vec::new();
    for n in 1..=4 {
        let head = bench.fill(&ledger, 1).await;
        let mut writer = ledger.begin_snapshot(&head, 1);
        writer.write("shared by all".into()).await.expect("writes");
        writer.write(format!("chunk of {n}").into()).await.expect("writes");
        let manifest = writer.finish().await.expect("finishes");
        assert_eq!(manifest.head, head);
        heads.push(head);
    }
    let newest = ledger.newest_snapshot(1, None).await.expect("lists").expect("is there");
    assert_eq!(newest.head, heads[3]);
    let chunk = ledger.read_chunk(&newest.chunks[1]).await.expect("reads");
    assert_eq!(&chunk[..], b"chunk of 4");
    let older = ledger.newest_snapshot(1, Some(3)).await.expect("lists").expect("is there");
    assert_eq!(older.head, heads[2]);
    assert_eq!(ledger.newest_snapshot(2, None).await.expect("lists"), None, "another fold");

    // Another process makes one at the same commit: the first stands.
    let mut again = ledger.begin_snapshot(&heads[3], 1);
    again.write("other bytes".into()).await.expect("writes");
    assert_eq!(again.finish().await.expect("finishes"), newest);

    // Chunks that nothing names stay while they are young: two manifests go, no chunk.
    assert_eq!(ledger.prune_snapshots(bench.clock.now()).await.expect("prunes"), 2);
    bench.clock.advance(SignedDuration::from_hours(2));
    // "chunk of 1", "chunk of 2" and "other bytes".
    assert_eq!(ledger.prune_snapshots(bench.clock.now()).await.expect("prunes"), 3);
    assert_eq!(ledger.prune_snapshots(bench.clock.now()).await.expect("prunes"), 0);
    let report = ledger.verify().await.expect("verifies");
    assert!(report.is_sound() && report.snapshots == 2, "{report:?}");
}

/// Every put of a snapshot fails in every way: either it is there and whole, or it is not there.
pub async fn snapshots_survive_each_fault(site: Site) {
    let bench = Bench::new(site).impatient();
    let ledger = bench.open().await;
    let faults = [
        Injected::FailBefore,
        Injected::FailAfter,
        Injected::LandLate,
        Injected::StallAfter,
        Injected::FalselyExists,
    ];
    let make = async |head: &Head| -> Result<()> {
        let mut writer = ledger.begin_snapshot(head, 1);
        for n in 0..2 {
            writer.write(format!("{n} at {}", head.seq).into()).await?;
        }
        writer.finish().await.map(drop)
    };
    for fault in faults {
        for skip in 0..3 {
            let head = bench.fill(&ledger, 1).await;
            bench.faults.inject_on(Operation::Put, "/snapshots/", skip, fault);
            let outcome = make(&head).await;
            bench.faults.clear();
            for late in [false, true] {
                if late {
                    bench.faults.release().await;
                }
                let newest = ledger.newest_snapshot(1, None).await.expect("lists");
                let made = newest.filter(|newest| newest.head == head);
                assert!(made.is_some() || outcome.is_err(), "{fault:?} {skip}");
                for chunk in made.iter().flat_map(|made| &made.chunks) {
                    ledger.read_chunk(chunk).await.expect("whole");
                }
            }
            make(&head).await.expect("the next one goes through");
            bench.contents().await;
        }
    }
}

/// One byte of any object is changed: it is named, and never folded.
pub async fn tampering_is_named(site: Site) {
    let bench = Bench::new(site);
    let ledger = bench.open().await;
    let head = bench.fill(&ledger, SEGMENT + 2).await;
    let mut writer = ledger.begin_snapshot(&head, 1);
    writer.write("some chunk".into()).await.expect("writes");
    writer.finish().await.expect("finishes");
    bench.age_and_compact().await;
    let expected = bench.contents().await;
    let store = &bench.site.store;
    let objects: Vec<_> =
        futures_util::TryStreamExt::try_collect(store.list(None)).await.expect("lists");
    assert_eq!(objects.len(), 2 + 1 + 2, "two commits, a segment, a snapshot of one chunk");
    for meta in objects {
        let key = meta.location;
        let good = store.get(&key).await.expect("reads").bytes().await.expect("reads");
        let step = (good.len() / 40).max(1);
        for position in (0..good.len()).step_by(step).chain([good.len() - 1]) {
            let mut bad = good.to_vec();
            bad[position] ^= 1;
            store.put(&key, PutPayload::from(bad)).await.expect("tampers");
            let ledger = bench.open().await;
            let report = ledger.verify().await.expect("verifies");
            let named = |key: &str| report.faults.iter().any(|fault| fault.key == key);
            // Of a snapshot the chunk may be named that its manifest asks for; of a commit the
            // next one, which does not follow any more. The last commit can be changed into
            // another valid one: that only who remembers its hash can tell.
            let is_snapshot = key.as_ref().contains("/snapshots/");
            let is_last = key == bench.layout.commit(head.seq);
            let next = bench.layout.commit_seq(&key).map(|seq| bench.layout.commit(seq + 1));
            let named = named(key.as_ref())
                || next.is_some_and(|next| named(next.as_ref()))
                || (is_snapshot
                    && report.faults.iter().any(|fault| fault.key.contains("/snapshots/")));
            if is_last {
                let remembers = ledger.lies_on_chain(&head).await.unwrap_or(false);
                assert!(!remembers || !report.is_sound(), "{key} at {position}");
                continue;
            }
            assert!(named && !report.is_sound(), "{key} at {position}: {:?}", report.faults);
            if !is_snapshot {
                refuses_or_reads_right(&bench, &ledger, &head, &expected).await;
            }
        }
        store.put(&key, PutPayload::from(good)).await.expect("mends");
    }
    assert_eq!(bench.contents().await, expected);
}

/// A replay over something that was changed must end with an error that says so, or (where what
/// was changed only describes) give what was written.
async fn refuses_or_reads_right(bench: &Bench, ledger: &Ledger, head: &Head, expected: &[String]) {
    let (mut replay, mut read) = (ledger.replay(&ledger.start()), Vec::new());
    let error = loop {
        match replay.next().await {
            Ok(Some(commits)) => read.extend(texts(&commits)),
            Ok(None) => return assert_eq!(read, expected),
            Err(error) => break error,
        }
    };
    assert!(expected.starts_with(&read), "{read:?}");
    match error {
        Error::Damaged { .. } | Error::NewerFormat { .. } => {}
        Error::ChainBroken { .. } => {
            let refused = ledger.append(head, bench.clock.now(), "w", entries("x")).await;
            assert!(matches!(refused, Err(Error::ChainBroken { .. })), "writes are stopped");
        }
        other => panic!("{other}"),
    }
}

/// A start with everything packed asks for few objects and holds to that as the ledger grows;
/// a look for news asks for one.
pub async fn reads_few_objects(site: Site) {
    const COMMITS: u64 = 5_000;
    const PACKED: u64 = 1_000;
    let clock = TestClock::new();
    let layout = Layout::new(PREFIX, PACKED).expect("a plain prefix");
    let faults = FaultStore::guarding(site.store, layout);
    let options = || Options {
        segment_commits: PACKED,
        sync_found: site.sync_found.clone(),
        ..Options::new(clock.clock())
    };
    let open = || async {
        Ledger::open(Arc::clone(&faults) as _, NAME, PREFIX, options()).await.expect("opens")
    };
    let ledger = open().await;
    let mut head = ledger.start();
    for n in 0..COMMITS {
        let appended = ledger.append(&head, clock.now(), "w", entries(&n.to_string())).await;
        head = done(appended.expect("appends"));
    }
    let puts = faults.count(Operation::Put);
    assert_eq!(puts as u64, COMMITS, "one put a commit");
    let lists = faults.count(Operation::List);
    assert_eq!(lists, 1, "listed once, at the start");
    // The first has to look for a segment; after that the head is known to be fresh.
    assert!(faults.count(Operation::Get) <= 1, "{}", faults.count(Operation::Get));
    clock.advance(LONG);
    let done = ledger.compact(clock.now()).await.expect("compacts");
    assert_eq!((done.segments, done.commits_deleted), (5, COMMITS));

    faults.reset_counts();
    let ledger = open().await;
    assert_eq!(ledger.find_head(&ledger.start()).await.expect("reads"), head);
    let (gets, lists) = (faults.count(Operation::Get), faults.count(Operation::List));
    assert!(gets <= 5 + 3, "5 segments, and two looks for more: {gets}");
    assert_eq!(lists, 1);
    faults.reset_counts();
    assert!(ledger.read_after(&head, 100).await.expect("reads").is_empty());
    assert_eq!(faults.log().len(), 1, "{:?}", faults.log());
}
