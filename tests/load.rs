//! Several clients that publish, promote and roll back, and remember what they were promised.
//!
//! Each worker owns its packages, so that what a store must hold follows from the answers alone.
//! Every change carries a reason of its own, which is its idempotency key too: that is how a
//! transition found in a store is traced to the request that made it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{Rng, RngCore};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::{Answer, Client, api, raw};

/// How many clients work at once.
pub const WORKERS: usize = 6;
/// Packages of each worker.
const PACKAGES: usize = 2;
/// Largest file of the load, in bytes.
const FILE_BYTES_MAX: usize = 96 * 1024;
/// How long one change may go without an answer before the load calls it a failure.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// The pause between two tries of a change whose answer was lost.
const RETRY_PAUSE: Duration = Duration::from_millis(20);
/// How many differences a failure shows.
const DIFFERENCES_SHOWN: usize = 20;
/// Old files looked at again in each check; new ones are all looked at.
const OLD_FILES_CHECKED: usize = 40;
/// The channels of a first start, in the order of their feeding.
const CHANNELS: [&str; 3] = ["dev", "staging", "prod"];

/// A change that a worker asks for.
#[derive(Clone, Debug)]
enum Change {
    Publish { package: String, version: String, digest: String, bytes: Vec<u8>, commit: String },
    Promote { channel: &'static str, releases: Vec<(String, String)> },
    RollBack { channel: &'static str, package: String, expected: String },
    Lift { channel: &'static str, package: String },
}

/// A transition as the workers expect it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Move {
    channel: &'static str,
    package: String,
    kind: &'static str,
    to: Option<String>,
}

impl Change {
    /// The transitions that this change makes, all of them or none.
    fn moves(&self) -> Vec<Move> {
        let one = |channel, package: &String, kind, to: Option<&String>| Move {
            channel,
            package: format!("raw:{package}"),
            kind,
            to: to.cloned(),
        };
        match self {
            Self::Publish { .. } => Vec::new(),
            Self::Promote { channel, releases } => {
                releases.iter().map(|(p, v)| one(*channel, p, "promote", Some(v))).collect()
            }
            Self::RollBack { channel, package, expected } => {
                vec![one(channel, package, "rollback", Some(expected))]
            }
            Self::Lift { channel, package } => vec![one(channel, package, "lift", None)],
        }
    }
}

/// A change that was answered with success.
#[derive(Clone, Debug)]
struct Promise {
    reason: String,
    change: Change,
    seq: u64,
}

#[derive(Default)]
struct Memory {
    promises: Vec<Promise>,
    /// Everything that was ever asked for, by reason.
    asked: BTreeMap<String, Change>,
    /// Answers that broke the contract by themselves.
    broken: Vec<String>,
}

struct Shared {
    memory: Mutex<Memory>,
    /// Where the server is; none while the load is to pause.
    target: watch::Sender<Option<Client>>,
}

/// A running load.
pub struct Load {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    checked: usize,
    dice: StdRng,
}

/// What a store must hold: every promise made before this was taken.
pub struct Due(Vec<Promise>);

impl Due {
    /// How many changes were acknowledged so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// True when nothing was acknowledged yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Load {
    /// Starts the workers on a server.
    pub fn start(client: Client, seed: u64) -> Self {
        let (target, _) = watch::channel(Some(client));
        let shared = Arc::new(Shared { memory: Mutex::default(), target });
        let workers = (0..WORKERS)
            .map(|number| {
                let worker = Worker::new(number, shared.clone(), seed);
                tokio::spawn(worker.run())
            })
            .collect();
        Self { shared, workers, checked: 0, dice: crate::dice(seed, u64::MAX) }
    }

    /// The promises made so far. Take it *before* the power is cut.
    pub fn due(&self) -> Due {
        Due(self.shared.memory.lock().unwrap().promises.clone())
    }

    /// No further requests are begun; those that were sent may still be answered.
    pub fn pause(&self) {
        self.shared.target.send_replace(None);
    }

    /// Goes on, on the same server or another of the same store. Lost answers are asked again.
    pub fn go_on(&self, client: Client) {
        self.shared.target.send_replace(Some(client));
    }

    /// Ends the workers and panics if any answer broke the contract.
    pub async fn stop(mut self) {
        for worker in self.workers.drain(..) {
            worker.abort();
            let _ = worker.await;
        }
        self.assert_answers();
    }

    fn assert_answers(&self) {
        let broken = &self.shared.memory.lock().unwrap().broken;
        assert!(broken.is_empty(), "answers that break the contract:\n{}", broken.join("\n"));
    }

    /// Compares a store, through a server on it, with what is due; panics with every difference.
    pub async fn check(&mut self, due: &Due, client: &Client) {
        self.assert_answers();
        let asked = self.shared.memory.lock().unwrap().asked.clone();
        let mut wrong = Vec::new();
        self.check_files(due, client, &mut wrong).await;
        check_channels(due, &asked, client, &mut wrong).await;
        let shown = &wrong[..wrong.len().min(DIFFERENCES_SHOWN)];
        assert!(
            wrong.is_empty(),
            "{} differences from {} promises; the first:\n{}",
            wrong.len(),
            due.len(),
            shown.join("\n")
        );
        self.checked = self.checked.max(due.len());
    }

    async fn check_files(&mut self, due: &Due, client: &Client, wrong: &mut Vec<String>) {
        let old = self.checked.min(due.len());
        let mut look_at: BTreeSet<usize> = (old..due.len()).collect();
        if old > 0 {
            look_at.extend((0..OLD_FILES_CHECKED).map(|_| self.dice.random_range(0..old)));
        }
        for promise in look_at.into_iter().map(|at| &due.0[at]) {
            let Change::Publish { package, version, digest, commit, .. } = &promise.change else {
                continue;
            };
            let answer = client.get(&raw(package, version, "load.bin")).await;
            if answer.status != 200 {
                wrong.push(format!("lost: {package}@{version}: {}", answer.shown()));
            } else if crate::digest(&answer.body) != *digest {
                wrong.push(format!("other bytes: {package}@{version}, due {digest}"));
            } else if answer.header("ingot-commit") != Some(commit.as_str()) {
                wrong.push(format!("other origin: {package}@{version}, due {commit}"));
            }
        }
    }
}

/// Compares history and state of every channel and package the load ever touched.
async fn check_channels(
    due: &Due,
    asked: &BTreeMap<String, Change>,
    client: &Client,
    wrong: &mut Vec<String>,
) {
    let mut found: BTreeMap<String, Vec<(Move, u64)>> = BTreeMap::new();
    let pairs: BTreeSet<_> = asked
        .values()
        .flat_map(Change::moves)
        .map(|step| {
            (CHANNELS.iter().position(|c| *c == step.channel).expect("known"), step.package)
        })
        .collect();
    for (channel, package) in pairs {
        let channel = CHANNELS[channel];
        let rows = client.transitions(channel, &package).await;
        for row in &rows {
            let reason = row["reason"].as_str().unwrap_or_default().to_owned();
            match read_move(channel, row) {
                Some(step) => found.entry(reason).or_default().push(step),
                None => wrong.push(format!("a transition of another shape: {row}")),
            }
        }
        check_fold(channel, &package, &rows, client, wrong).await;
    }
    for (reason, steps) in &found {
        let Some(change) = asked.get(reason) else {
            wrong.push(format!("nobody asked for {reason:?}: {steps:?}"));
            continue;
        };
        let mut made: Vec<_> = steps.iter().map(|(step, _)| step.clone()).collect();
        let mut whole = change.moves();
        made.sort_by(|a, b| a.package.cmp(&b.package));
        whole.sort_by(|a, b| a.package.cmp(&b.package));
        if made != whole {
            wrong.push(format!("{reason}: in part, twice or wrong: {made:?}, asked {whole:?}"));
        }
    }
    for promise in &due.0 {
        let expected = promise.change.moves().len();
        let steps = found.get(&promise.reason).map_or(&[][..], Vec::as_slice);
        if steps.len() != expected || steps.iter().any(|(_, seq)| *seq != promise.seq) {
            let (reason, seq) = (&promise.reason, promise.seq);
            wrong.push(format!("{reason}: acknowledged with seq {seq}, the store has {steps:?}"));
        }
    }
}

fn read_move(channel: &'static str, row: &Value) -> Option<(Move, u64)> {
    let kind = ["promote", "rollback", "hold", "lift", "revoke"]
        .into_iter()
        .find(|kind| row["kind"] == *kind)?;
    let package = row["package"].as_str()?.to_owned();
    let moves = matches!(kind, "promote" | "rollback");
    let to = row["to"].as_str().filter(|_| moves).map(str::to_owned);
    Some((Move { channel, package, kind, to }, row["seq"].as_u64()?))
}

/// Design section 1: "`current` is the fold of the transitions".
async fn check_fold(
    channel: &str,
    package: &str,
    rows: &[Value],
    client: &Client,
    wrong: &mut Vec<String>,
) {
    let moved = |row: &&Value| row["kind"] == "promote" || row["kind"] == "rollback";
    let current = rows.iter().rfind(moved).map(|row| row["to"].clone());
    let held = rows.iter().fold(false, |held, row| match row["kind"].as_str() {
        Some("rollback" | "hold") => true,
        Some("lift") => false,
        _ => held,
    });
    let standing = client.standing(channel, package).await;
    let shown = standing.as_ref().map(|row| row["version"].clone());
    if shown != current {
        wrong.push(format!("{channel} {package}: current is {shown:?}, the fold says {current:?}"));
    }
    if standing.is_some_and(|row| row["held"] != held) {
        wrong.push(format!("{channel} {package}: held should be {held}"));
    }
}

/// What a worker knows of one of its packages in one channel.
#[derive(Default)]
struct Place {
    /// Distinct currents, oldest first; the last is current.
    line: Vec<String>,
    admitted: BTreeSet<String>,
    held: bool,
}

#[derive(Default)]
struct Package {
    name: String,
    versions: usize,
    places: [Place; CHANNELS.len()],
}

struct Worker {
    number: usize,
    shared: Arc<Shared>,
    dice: StdRng,
    packages: Vec<Package>,
    changes: usize,
}

impl Worker {
    fn new(number: usize, shared: Arc<Shared>, seed: u64) -> Self {
        let named = |n| Package { name: format!("load-{number}-{n}"), ..Package::default() };
        let dice = crate::dice(seed, number as u64 + 1);
        let packages = (0..PACKAGES).map(named).collect();
        Self { number, shared, dice, packages, changes: 0 }
    }

    async fn run(mut self) {
        loop {
            let change = self.choose();
            self.changes += 1;
            let reason = format!("worker {} change {}", self.number, self.changes);
            self.shared.memory.lock().unwrap().asked.insert(reason.clone(), change.clone());
            let outcome = self.ask(&change, &reason).await;
            let mut memory = self.shared.memory.lock().unwrap();
            match outcome {
                Ok(seq) => memory.promises.push(Promise { reason, change: change.clone(), seq }),
                Err(broken) => {
                    memory.broken.push(broken);
                    return;
                }
            }
            drop(memory);
            self.remember(&change);
        }
    }

    fn choose(&mut self) -> Change {
        let at = self.dice.random_range(0..self.packages.len());
        let channel = self.dice.random_range(0..CHANNELS.len());
        let place = &self.packages[at].places[channel];
        let name = self.packages[at].name.clone();
        if place.held {
            return Change::Lift { channel: CHANNELS[channel], package: name };
        }
        match self.dice.random_range(0..100) {
            0..40 => self.new_version(at),
            40..55 if place.line.len() > 1 => Change::RollBack {
                channel: CHANNELS[channel],
                package: name,
                expected: place.line[place.line.len() - 2].clone(),
            },
            _ => {
                let both = self.dice.random_range(0..3) == 0;
                let candidates = if both { 0..self.packages.len() } else { at..at + 1 };
                let releases: Vec<_> =
                    candidates.filter_map(|at| self.promotable(at, channel)).collect();
                if releases.is_empty() {
                    return self.new_version(at);
                }
                Change::Promote { channel: CHANNELS[channel], releases }
            }
        }
    }

    fn new_version(&mut self, at: usize) -> Change {
        let mut bytes = vec![0; self.dice.random_range(1..FILE_BYTES_MAX)];
        self.dice.fill_bytes(&mut bytes);
        let commit: String = (0..40)
            .map(|_| char::from(b"0123456789abcdef"[self.dice.random_range(0..16)]))
            .collect();
        let package = &self.packages[at];
        Change::Publish {
            package: package.name.clone(),
            version: format!("1.0.{}", package.versions),
            digest: crate::digest(&bytes),
            bytes,
            commit,
        }
    }

    /// The release that may go to a channel next: the newest into the first, and into the others
    /// what is current in the one before.
    fn promotable(&self, at: usize, channel: usize) -> Option<(String, String)> {
        let package = &self.packages[at];
        let version = match channel {
            0 => format!("1.0.{}", package.versions.checked_sub(1)?),
            _ => package.places[channel - 1].line.last()?.clone(),
        };
        let place = &package.places[channel];
        let fine = !place.held && place.line.last() != Some(&version);
        fine.then(|| (package.name.clone(), version))
    }

    fn remember(&mut self, change: &Change) {
        for step in change.moves() {
            let name = step.package.trim_start_matches("raw:");
            let channel = CHANNELS.iter().position(|c| *c == step.channel).expect("known");
            let package = self.packages.iter_mut().find(|p| p.name == name).expect("own package");
            let place = &mut package.places[channel];
            match (step.kind, step.to) {
                ("promote", Some(to)) => {
                    place.line.retain(|version| *version != to);
                    place.line.push(to.clone());
                    place.admitted.insert(to);
                }
                ("rollback", Some(_)) => {
                    place.line.pop();
                    place.held = true;
                }
                _ => place.held = false,
            }
        }
        if let Change::Publish { package, .. } = change {
            let package = self.packages.iter_mut().find(|p| p.name == *package).expect("own");
            package.versions += 1;
        }
    }

    /// Asks until an answer comes: a lost one is asked for again, with the same key.
    /// Answers the commit, or what was wrong with the answer.
    async fn ask(&self, change: &Change, reason: &str) -> Result<u64, String> {
        let mut target = self.shared.target.subscribe();
        let mut tried = 0;
        let mut since = Instant::now();
        let mut last = String::new();
        loop {
            if target.borrow().is_none() {
                let _ = target.wait_for(Option::is_some).await;
                since = Instant::now();
            }
            let Some(client) = target.borrow().clone() else { continue };
            if since.elapsed() > ANSWER_TIMEOUT {
                return Err(format!("{reason}: no answer within {ANSWER_TIMEOUT:?}; last: {last}"));
            }
            tried += 1;
            match send(&client, change, reason).await {
                Ok(answer) if answer.status == 503 => last = answer.shown(),
                Ok(answer) => return judge(change, reason, &answer, tried),
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
    }
}

async fn send(client: &Client, change: &Change, reason: &str) -> Result<Answer, reqwest::Error> {
    let (path, body) = match change {
        Change::Publish { package, version, bytes, commit, .. } => {
            let headers = [("ingot-commit", commit.as_str())];
            let path = raw(package, version, "load.bin");
            return client.try_send("PUT", &path, &headers, bytes.clone()).await;
        }
        Change::Promote { channel, releases } => {
            let rows: Vec<_> = releases
                .iter()
                .map(|(p, v)| json!({"package": format!("raw:{p}"), "ref": v}))
                .collect();
            (format!("/channels/{channel}/promotions"), json!({"releases": rows, "reason": reason}))
        }
        Change::RollBack { channel, package, .. } => {
            let rows = json!([{"package": format!("raw:{package}")}]);
            (format!("/channels/{channel}/rollbacks"), json!({"packages": rows, "reason": reason}))
        }
        Change::Lift { channel, package } => {
            let rows = json!([format!("raw:{package}")]);
            (format!("/channels/{channel}/lifts"), json!({"packages": rows, "reason": reason}))
        }
    };
    let headers = [("content-type", "application/json"), ("idempotency-key", reason)];
    client.try_send("POST", &api(&path), &headers, body.to_string()).await
}

/// The contract: a first publish is 201, the same again 200; promotions and rollbacks are 201,
/// and a repeated one gives the first answer again. Every answer names its commit.
fn judge(change: &Change, reason: &str, answer: &Answer, tried: usize) -> Result<u64, String> {
    let wrong = |what: &str| Err(format!("{reason} (try {tried}): {what}: {}", answer.shown()));
    let fine = match change {
        Change::Publish { .. } => answer.status == 201 || (answer.status == 200 && tried > 1),
        Change::Promote { .. } | Change::RollBack { .. } => answer.status == 201,
        Change::Lift { .. } => answer.status == 200 || answer.status == 201,
    };
    if !fine {
        return wrong("an unexpected status");
    }
    if let Change::RollBack { expected, .. } = change
        && answer.json()["transitions"][0]["to"] != *expected
    {
        return wrong(&format!("went back to another release than {expected}"));
    }
    match answer.header("ingot-seq").and_then(|seq| seq.parse().ok()) {
        Some(seq) => Ok(seq),
        None => wrong("no Ingot-Seq"),
    }
}
