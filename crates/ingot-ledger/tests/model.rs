//! Random interleavings of appends, reads, compaction, reopening, faults and sleep, against the
//! simplest model there is: a list. `LEDGER_SEED` repeats one round.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Arc;

use ingot_ledger::testing::suite::{Bench, Site, entries, text};
use ingot_ledger::testing::{Injected, Operation};
use ingot_ledger::{Appended, Head, Ledger, Pending};
use jiff::SignedDuration;
use object_store::memory::InMemory;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const ROUNDS: u64 = 60;
const STEPS: usize = 150;
const PROCESSES: usize = 3;

/// One process: its ledger, what it has folded, and an append it does not know the outcome of.
struct Process {
    ledger: Ledger,
    head: Head,
    folded: Vec<String>,
    pending: Option<(Pending, String)>,
}

struct Round {
    bench: Bench,
    rng: StdRng,
    processes: Vec<Process>,
    /// What was acknowledged, with where.
    acknowledged: Vec<(Head, String)>,
    /// What was refused, and must never appear.
    refused: Vec<String>,
    /// What may or may not appear: its writer is gone.
    abandoned: Vec<String>,
    names: usize,
}

impl Round {
    async fn process(bench: &Bench) -> Process {
        let ledger = bench.open().await;
        let head = ledger.start();
        Process { ledger, head, folded: Vec::new(), pending: None }
    }

    async fn step(&mut self) {
        let chosen = self.rng.random_range(0..PROCESSES);
        match self.rng.random_range(0..100) {
            0..45 => self.append(chosen).await,
            45..65 => self.read(chosen).await,
            65..75 => {
                let now = self.bench.clock.now();
                // A fault may stop it; the next one goes on.
                drop(self.processes[chosen].ledger.compact(now).await);
            }
            75..80 => {
                let hours = self.rng.random_range(0..30);
                self.bench.clock.advance(SignedDuration::from_hours(hours));
            }
            80..90 => self.inject(),
            90..94 => self.bench.faults.release().await,
            _ => {
                self.bench.faults.clear();
                let fresh = Self::process(&self.bench).await;
                let gone = std::mem::replace(&mut self.processes[chosen], fresh);
                self.abandoned.extend(gone.pending.map(|(_, what)| what));
            }
        }
    }

    fn inject(&mut self) {
        let operations = [Operation::Put, Operation::Put, Operation::Get, Operation::Delete];
        let faults = [
            Injected::FailBefore,
            Injected::FailAfter,
            Injected::LandLate,
            Injected::LandLateAfter(3),
            Injected::FalselyExists,
        ];
        let operation = operations[self.rng.random_range(0..operations.len())];
        let fault = faults[self.rng.random_range(0..faults.len())];
        self.bench.faults.inject(operation, self.rng.random_range(0..4), fault);
    }

    async fn append(&mut self, chosen: usize) {
        let now = self.bench.clock.now();
        let process = &mut self.processes[chosen];
        let (appended, what) = match process.pending.take() {
            Some((pending, what)) => (process.ledger.settle(pending).await, what),
            None => {
                self.names += 1;
                let what = format!("{}", self.names);
                let (ledger, writer) = (&process.ledger, format!("writer {chosen}"));
                match ledger.append(&process.head, now, &writer, entries(&what)).await {
                    Ok(appended) => (appended, what),
                    // Nothing was sent.
                    Err(_) => return self.refused.push(what),
                }
            }
        };
        match appended {
            Appended::Done(head) => {
                self.acknowledged.push((head, what.clone()));
                process.head = head;
                process.folded.push(what);
            }
            Appended::Taken => {
                self.refused.push(what);
                self.read(chosen).await;
            }
            Appended::Unknown(pending) => process.pending = Some((pending, what)),
        }
    }

    async fn read(&mut self, chosen: usize) {
        let limit = self.rng.random_range(1..20);
        let process = &mut self.processes[chosen];
        // With an append open, its outcome has to be known before anything else.
        if process.pending.is_some() {
            return;
        }
        let Ok(commits) = process.ledger.read_after(&process.head, limit).await else { return };
        for commit in commits {
            process.head = commit.head();
            process.folded.push(text(&commit));
        }
    }

    /// Nothing that was acknowledged is missing, nothing refused is there, nobody folded anything
    /// else than the ledger.
    async fn check(mut self) {
        self.bench.faults.clear();
        self.bench.faults.release().await;
        for chosen in 0..PROCESSES {
            for _ in 0..10 {
                if self.processes[chosen].pending.is_some() {
                    self.append(chosen).await;
                }
            }
            assert!(self.processes[chosen].pending.is_none(), "never settled");
        }
        let ledger = self.bench.open().await;
        let contents = self.bench.contents().await;
        for (head, what) in &self.acknowledged {
            assert_eq!(contents[head.seq as usize - 1], *what, "was acknowledged at {head:?}");
            assert!(ledger.lies_on_chain(head).await.unwrap());
        }
        for what in &contents {
            assert!(!self.refused.contains(what), "{what} was refused");
            let known = self.acknowledged.iter().any(|(_, known)| known == what);
            assert!(known || self.abandoned.contains(what), "{what} came from nowhere");
            assert_eq!(contents.iter().filter(|other| *other == what).count(), 1, "{what}");
        }
        for process in &self.processes {
            assert!(contents.starts_with(&process.folded), "{:?}", process.folded);
        }
    }
}

#[tokio::test]
async fn any_interleaving_keeps_what_was_acknowledged() {
    let seeds = match std::env::var("LEDGER_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => {
            let first: u64 = rand::random();
            (0..ROUNDS).map(|round| first.wrapping_add(round)).collect()
        }
    };
    for seed in seeds {
        println!("LEDGER_SEED={seed}");
        let site = Site { store: Arc::new(InMemory::new()), sync_found: None };
        let bench = Bench::new(site);
        let mut processes = Vec::new();
        for _ in 0..PROCESSES {
            processes.push(Round::process(&bench).await);
        }
        let rng = StdRng::seed_from_u64(seed);
        let (acknowledged, refused, abandoned) = (Vec::new(), Vec::new(), Vec::new());
        let mut round = Round { bench, rng, processes, acknowledged, refused, abandoned, names: 0 };
        for _ in 0..STEPS {
            round.step().await;
        }
        round.check().await;
    }
}
