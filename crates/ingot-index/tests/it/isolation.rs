//! Readers see one commit, whole, for as long as they look.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use ingot_core::facts::Facts;
use ingot_core::names::Coordinate;
use ingot_index::EngineKind;

use crate::common::{SPACE, entry, file, fold, open, package, published, second, tag, version};

fn at(name: &str, of: u64) -> Coordinate {
    Coordinate { package: package(name), version: version(&format!("1.{of}")) }
}

#[test]
fn a_view_is_at_one_commit_while_commits_come() {
    for kind in EngineKind::ALL {
        let opened = open(kind);
        let index = &opened.index;
        let done = AtomicBool::new(false);
        let started = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    started.wait();
                    while !done.load(Ordering::Acquire) {
                        let view = index.view(SPACE).expect("view");
                        let seq = view.seq();
                        assert_eq!(view.tag().expect("tag").map_or(0, |tag| tag.seq), seq);
                        // Both releases of the last commit, and none of the next.
                        for name in ["raw:a", "raw:b"] {
                            let found = |of| view.find_release(&at(name, of)).expect("read");
                            assert_eq!(found(seq).is_some(), seq > 0);
                            assert!(found(seq + 1).is_none());
                        }
                    }
                });
            }
            started.wait();
            for seq in 1..=60 {
                let release = |name: &str| {
                    let files = vec![file("a.zip", &format!("{name} {seq}"))];
                    let event = published(name, &format!("1.{seq}"), files, "abcdef0");
                    entry("ci", second(seq as i64), event)
                };
                fold(index, seq, &[vec![release("raw:a"), release("raw:b")]], 1);
            }
            done.store(true, Ordering::Release);
        });
    }
}

#[test]
fn a_second_view_on_one_thread_does_not_wait_for_a_waiting_commit() {
    let opened = open(EngineKind::Memory);
    let index = &opened.index;
    let (about, told) = mpsc::channel();
    std::thread::scope(|scope| {
        let outer = index.view(SPACE).expect("view");
        scope.spawn(move || {
            let fold = index.begin(SPACE).expect("begin");
            let folded = fold.into_batch(tag(1, second(0))).expect("batch");
            about.send(()).expect("sent");
            index.commit(&folded).expect("commit");
        });
        told.recv().expect("told");
        // The commit waits for this thread by now, or will: either way this must return.
        for _ in 0..1000 {
            assert_eq!(index.view(SPACE).expect("view").seq(), 0);
        }
        drop(outer);
    });
    assert_eq!(index.view(SPACE).expect("view").seq(), 1);
}

#[test]
#[should_panic(expected = "holds a view")]
fn a_commit_under_ones_own_view_is_a_bug_and_says_so() {
    let opened = open(EngineKind::Memory);
    let folded = opened.index.begin(SPACE).expect("begin").into_batch(tag(1, second(0)));
    let _view = opened.index.view(SPACE).expect("view");
    let _ = opened.index.commit(&folded.expect("batch"));
}

#[test]
fn a_fold_may_wait_between_threads() {
    fn is_send<T: Send>(_: &T) {}
    let opened = open(EngineKind::Memory);
    is_send(&opened.index.begin(SPACE).expect("begin"));
}
