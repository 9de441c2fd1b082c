//! Every call that publish, promote and rollback make to the store fails before, fails after,
//! lands late or is never answered: the caller is told the truth, the store is sound at any
//! moment and after a restart, and the retry succeeds and changes nothing twice.

use std::sync::Arc;
use std::time::Duration;

use ingot_core::{Code, Refusal};
use ingot_ledger::testing::{FaultStore, Injected, Operation};
use ingot_registry::Outcome;
use ingot_tests::inside::{Inside, Opening, assert_consistent};
use object_store::memory::InMemory;

/// The steps under test. Each starts from the same prepared store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// A file over the spool's memory, so that pieces are stored beside it.
    PublishLarge,
    Publish,
    PromoteTwo,
    RollBack,
}

const STEPS: [Step; 4] = [Step::PublishLarge, Step::Publish, Step::PromoteTwo, Step::RollBack];
const OPERATIONS: [Operation; 4] =
    [Operation::Put, Operation::Get, Operation::Head, Operation::Other];
const FAULTS: [Injected; 7] = [
    Injected::FailBefore,
    Injected::FailAfter,
    Injected::LandLate,
    Injected::LandLateAfter(1),
    Injected::Stall,
    Injected::StallAfter,
    Injected::FalselyExists,
];

/// What `dev` must hold before and after a step: never anything between.
fn expected(step: Step) -> (Vec<&'static str>, Vec<&'static str>) {
    let before = vec!["raw:app 2", "raw:lib 2"];
    let after = match step {
        Step::PublishLarge | Step::Publish => before.clone(),
        Step::PromoteTwo => vec!["raw:app 3", "raw:lib 3"],
        Step::RollBack => vec!["raw:app 1", "raw:lib 2"],
    };
    (before, after)
}

fn large() -> String {
    "0123456789abcdef".repeat(150_000)
}

async fn prepare(inside: &Inside) {
    for version in ["1", "2", "3"] {
        for name in ["app", "lib"] {
            inside.put(name, version, &format!("{name} {version}")).await.expect("published");
        }
        if version != "3" {
            let both = [("app", version), ("lib", version)];
            inside.promote("dev", &both).await.expect("promoted");
        }
    }
}

async fn run(inside: &Inside, step: Step) -> Result<Outcome, Refusal> {
    match step {
        Step::PublishLarge => inside.put("app", "4", &large()).await,
        Step::Publish => inside.put("app", "4", "app 4").await,
        Step::PromoteTwo => inside.promote("dev", &[("app", "3"), ("lib", "3")]).await,
        Step::RollBack => inside.roll_back("dev", "app", Some("1")).await,
    }
}

fn dev(inside: &Inside) -> Vec<String> {
    let rows = inside.channel("dev", None).into_iter();
    rows.map(|(package, version, _)| format!("{package} {version}")).collect()
}

/// Transitions of `dev`, and whether the new release is there, whole.
async fn is_done(inside: &Inside, step: Step) -> bool {
    match step {
        Step::Publish | Step::PublishLarge => {
            let content = if step == Step::Publish { "app 4".to_owned() } else { large() };
            match inside.fetch("main", "app", "4", "file.txt").await {
                Ok(bytes) => {
                    assert_eq!(bytes, content.as_bytes(), "a visible file has its bytes");
                    true
                }
                Err(refusal) => {
                    assert_eq!(refusal.code(), Code::NotFound, "{refusal:?}");
                    false
                }
            }
        }
        Step::PromoteTwo | Step::RollBack => {
            let (before, after) = expected(step);
            let found = dev(inside);
            assert!(found == before || found == after, "{step:?} half done: {found:?}");
            found == after
        }
    }
}

fn opening(store: Arc<FaultStore>, dir: &std::path::Path) -> Opening {
    Opening { deadline: Duration::from_millis(700), ..Opening::new(store, dir) }
}

/// How often a step calls each operation when nothing fails.
async fn calls(step: Step) -> Vec<(Operation, usize)> {
    let dir = tempfile::tempdir().expect("a directory");
    let store = FaultStore::new(Arc::new(InMemory::new()));
    let inside = opening(Arc::clone(&store), dir.path()).open().await.expect("opens");
    prepare(&inside).await;
    store.reset_counts();
    run(&inside, step).await.expect("nothing fails");
    let counts = OPERATIONS.map(|operation| (operation, store.count(operation)));
    inside.registry.close().await;
    counts.into_iter().filter(|(_, count)| *count > 0).collect()
}

async fn try_fault(step: Step, operation: Operation, skip: usize, injected: Injected) {
    let told = format!("{step:?}, {operation:?} {skip}, {injected:?}");
    let dir = tempfile::tempdir().expect("a directory");
    let store = FaultStore::new(Arc::new(InMemory::new()));
    let opening = opening(Arc::clone(&store), dir.path());
    let inside = opening.open().await.expect("opens");
    prepare(&inside).await;
    store.inject(operation, skip, injected);
    // The client's own patience ends too where the store never answers.
    let outcome = tokio::time::timeout(Duration::from_secs(2), run(&inside, step)).await;
    let acknowledged = matches!(outcome, Ok(Ok(_)));
    if let Ok(Err(refusal)) = &outcome {
        let honest = [Code::Unavailable, Code::OutcomeUnknown, Code::Damaged];
        assert!(honest.contains(&refusal.code()), "{told}: {refusal:?}");
    }
    store.clear();
    // The process dies here; its late writes may still arrive, before or after the next start.
    if acknowledged {
        assert!(is_done(&inside, step).await, "{told}: acknowledged, and not there");
    }
    drop(inside);
    let next = opening.open().await.expect("it opens again");
    if acknowledged {
        assert!(is_done(&next, step).await, "{told}: acknowledged, and lost");
    }
    is_done(&next, step).await;
    assert_consistent(&opening).await;
    store.release().await;
    let mut retried = run(&next, step).await;
    if retried.as_ref().is_err_and(|refusal| refusal.code() == Code::OutcomeUnknown) {
        retried = run(&next, step).await;
    }
    let retried = retried.unwrap_or_else(|refusal| panic!("{told}: retry: {refusal:?}"));
    assert!(is_done(&next, step).await, "{told}: the retry did it");
    if acknowledged {
        assert!(!retried.fresh, "{told}: what was acknowledged is not done again");
    }
    let again = run(&next, step).await.expect("and again");
    assert!(!again.fresh, "{told}: nothing is done twice");
    assert_consistent(&opening).await;
    next.registry.close().await;
}

async fn every_fault(step: Step) {
    let mut tried = 0;
    for (operation, count) in calls(step).await {
        for skip in 0..count {
            for injected in FAULTS {
                let puts_only = matches!(
                    injected,
                    Injected::LandLate | Injected::LandLateAfter(_) | Injected::FalselyExists
                );
                if puts_only && operation != Operation::Put {
                    continue;
                }
                try_fault(step, operation, skip, injected).await;
                tried += 1;
            }
        }
    }
    println!("{step:?}: {tried} faults");
    assert!(tried >= FAULTS.len(), "{step:?} makes at least one put");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_survives_each_fault() {
    every_fault(STEPS[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publish_of_a_large_file_survives_each_fault() {
    every_fault(STEPS[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promote_survives_each_fault() {
    every_fault(STEPS[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_back_survives_each_fault() {
    every_fault(STEPS[3]).await;
}

/// Two processes over one store, each with a fold of its own: every change of one is decided
/// against what the other did, and of racing publishes of one name one wins.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_writers_share_one_ledger() {
    let dirs = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("another")];
    let store: Arc<dyn object_store::ObjectStore> = Arc::new(InMemory::new());
    let first = Opening::new(Arc::clone(&store), dirs[0].path());
    let second = Opening { clock: Arc::clone(&first.clock), ..Opening::new(store, dirs[1].path()) };
    let (one, two) = (first.open().await.expect("opens"), second.open().await.expect("opens"));
    for version in 0..40 {
        let version = version.to_string();
        let (a, b) = tokio::join!(
            one.put("app", &version, "from one"),
            two.put("app", &version, "from two"),
        );
        let winners = [&a, &b]
            .into_iter()
            .filter(|outcome| outcome.as_ref().is_ok_and(|outcome| outcome.fresh));
        assert_eq!(winners.count(), 1, "{a:?} {b:?}");
        let loser = a.err().or(b.err()).expect("one lost");
        assert_eq!(loser.code(), Code::ContentConflict);
    }
    one.registry.close().await;
    two.registry.close().await;
    let third = first.open().await.expect("opens");
    assert_eq!(third.index.tag("main").expect("a tag").expect("folded").seq, 41);
    assert_consistent(&first).await;
    third.registry.close().await;
}

/// Segments and snapshots are made while it runs; a start from the store alone uses them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_restarts_from_its_snapshot() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = FaultStore::new(Arc::new(InMemory::new()));
    let mut opening = Opening::new(Arc::clone(&store) as _, dir.path());
    opening.snapshot_every = 50;
    let inside = opening.open().await.expect("opens");
    for version in 0..120 {
        inside.put("app", &version.to_string(), "content").await.expect("published");
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while !store.log().iter().any(|(operation, key)| {
        *operation == Operation::Put && key.contains("projects/main/ledger/snapshots/manifests")
    }) {
        assert!(tokio::time::Instant::now() < deadline, "no snapshot: {:?}", store.log().last());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = inside.index.digest("main").expect("a digest");
    inside.registry.close().await;
    store.reset_counts();
    let next = opening.open().await.expect("opens");
    assert_eq!(next.index.digest("main").expect("a digest"), before);
    let log = store.log();
    let commits = log.iter().filter(|(operation, key)| {
        *operation == Operation::Get && key.contains("projects/main/ledger/commits")
    });
    assert!(commits.count() < 75, "the snapshot spared most commits");
    next.registry.close().await;
}
