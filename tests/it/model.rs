//! Random commands against a small model that shares no code with the product: channels equal
//! the fold of the ledger, nothing promoted loses a byte, state at any time is a pure function of
//! the ledger, and the index dropped at any moment is rebuilt identical.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ingot_core::format::Intent;
use ingot_core::{Code, Origin, Refusal, Timestamp};
use ingot_registry::{Admin, Outcome, Promote, Publish};
use ingot_tests::inside::{Inside, Opening, admin, assert_consistent, package, request};
use object_store::memory::InMemory;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const PACKAGES: [&str; 3] = ["app", "lib", "web"];
const VERSIONS: [&str; 4] = ["1", "2", "3", "4"];
const CHANNELS: [&str; 3] = ["dev", "staging", "prod"];
const FILES: [&str; 2] = ["a.txt", "b.txt"];
const CONTENTS: [&str; 3] = ["one", "two", "three"];

#[derive(Clone, Copy, Debug)]
enum Command {
    Publish { package: usize, version: usize, file: usize, content: usize, intent: Intent },
    PublishDraft { package: usize, version: usize },
    Seal { package: usize, version: usize },
    Promote { channel: usize, first: (usize, usize), second: Option<(usize, usize)> },
    RollBack { channel: usize, package: usize, to: Option<usize> },
    Hold { channel: usize, package: usize },
    Lift { channel: usize, package: usize },
    Revoke { channel: usize, package: usize, version: usize },
    Block { package: usize, version: usize },
    Unblock { package: usize, version: usize },
    DropIndex,
}

fn command(random: &mut StdRng) -> Command {
    let package = random.random_range(0..PACKAGES.len());
    let version = random.random_range(0..VERSIONS.len());
    let channel = random.random_range(0..CHANNELS.len());
    match random.random_range(0..20) {
        0..=4 => Command::Publish {
            package,
            version,
            file: random.random_range(0..FILES.len()),
            content: random.random_range(0..CONTENTS.len()),
            intent: [Intent::Publish, Intent::Publish, Intent::Stage, Intent::PublishAndSeal]
                [random.random_range(0..4)],
        },
        5 => Command::PublishDraft { package, version },
        6 => Command::Seal { package, version },
        7..=11 => {
            let other = random.random_range(0..PACKAGES.len());
            let second = (other != package && random.random_bool(0.3))
                .then(|| (other, random.random_range(0..VERSIONS.len())));
            Command::Promote { channel, first: (package, version), second }
        }
        12 | 13 => {
            let to = random.random_bool(0.4).then_some(version);
            Command::RollBack { channel, package, to }
        }
        14 => Command::Hold { channel, package },
        15 => Command::Lift { channel, package },
        16 => Command::Revoke { channel, package, version },
        17 => Command::Block { package, version },
        18 => Command::Unblock { package, version },
        _ => Command::DropIndex,
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Release {
    files: BTreeMap<usize, usize>,
    sealed: bool,
    blocked: bool,
}

/// One package in one channel, told as a plain history of what stood there.
#[derive(Clone, Debug, Default, PartialEq)]
struct Place {
    current: Option<usize>,
    /// What a rollback would walk back along, nearest last.
    behind: Vec<usize>,
    admitted: BTreeSet<usize>,
    held: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
struct Model {
    releases: BTreeMap<(usize, usize), Release>,
    drafts: BTreeMap<(usize, usize), BTreeMap<usize, usize>>,
    places: BTreeMap<(usize, usize), Place>,
}

/// What the model expects: something new, nothing new, or a refusal.
type Expected = Result<bool, Code>;

impl Model {
    fn apply(&mut self, command: Command) -> Expected {
        let mut next = self.clone();
        let expected = next.run(command);
        if expected.is_ok() {
            *self = next;
        }
        expected
    }

    fn place(&mut self, channel: usize, package: usize) -> &mut Place {
        self.places.entry((channel, package)).or_default()
    }

    fn release(&self, package: usize, version: usize) -> Result<&Release, Code> {
        self.releases.get(&(package, version)).ok_or(Code::NotFound)
    }

    fn run(&mut self, command: Command) -> Expected {
        match command {
            Command::Publish { package, version, file, content, intent } => {
                self.publish((package, version), file, content, intent)
            }
            Command::PublishDraft { package, version } => {
                let at = (package, version);
                match self.drafts.get(&at).cloned() {
                    None => self.release(package, version).map(|_| false),
                    Some(draft) => self.make_visible(at, draft, false),
                }
            }
            Command::Seal { package, version } => {
                self.release(package, version)?;
                let release = self.releases.get_mut(&(package, version)).expect("just seen");
                Ok(!std::mem::replace(&mut release.sealed, true))
            }
            Command::Promote { channel, first, second } => {
                let wanted: Vec<_> = std::iter::once(first).chain(second).collect();
                // Names are resolved before any gate is asked.
                for (package, version) in &wanted {
                    if self.release(*package, *version).is_err() {
                        let draft = self.drafts.contains_key(&(*package, *version));
                        return Err(if draft { Code::NotPromotable } else { Code::NotFound });
                    }
                }
                let mut moved = false;
                for (package, version) in wanted {
                    moved |= self.promote(channel, package, version)?;
                }
                Ok(moved)
            }
            Command::RollBack { channel, package, to } => self.roll_back(channel, package, to),
            Command::Hold { channel, package } | Command::Lift { channel, package } => {
                if !self.releases.keys().any(|(known, _)| *known == package) {
                    return Err(Code::NotFound);
                }
                let hold = matches!(command, Command::Hold { .. });
                let place = self.place(channel, package);
                Ok(std::mem::replace(&mut place.held, hold) != hold)
            }
            Command::Revoke { channel, package, version } => {
                self.release(package, version)?;
                let place = self.place(channel, package);
                if !place.admitted.contains(&version) {
                    return Err(Code::NotAdmitted);
                }
                if place.current == Some(version) {
                    return Err(Code::IsCurrent);
                }
                place.admitted.remove(&version);
                place.behind.retain(|other| *other != version);
                Ok(true)
            }
            Command::Block { package, version } | Command::Unblock { package, version } => {
                self.release(package, version)?;
                let block = matches!(command, Command::Block { .. });
                let release = self.releases.get_mut(&(package, version)).expect("just seen");
                Ok(std::mem::replace(&mut release.blocked, block) != block)
            }
            Command::DropIndex => Ok(false),
        }
    }

    fn publish(
        &mut self,
        at: (usize, usize),
        file: usize,
        content: usize,
        intent: Intent,
    ) -> Expected {
        let visible = self.releases.get(&at).and_then(|release| release.files.get(&file));
        if visible.is_some_and(|there| *there != content) {
            return Err(Code::ContentConflict);
        }
        let visible = visible.is_some();
        if intent == Intent::Stage {
            if visible {
                return Ok(false);
            }
            let draft = self.drafts.entry(at).or_default();
            return Ok(draft.insert(file, content) != Some(content));
        }
        let mut draft = self.drafts.get(&at).cloned().unwrap_or_default();
        draft.insert(file, content);
        self.make_visible(at, draft, intent == Intent::PublishAndSeal)
    }

    fn make_visible(
        &mut self,
        at: (usize, usize),
        draft: BTreeMap<usize, usize>,
        seal: bool,
    ) -> Expected {
        let release = self.releases.entry(at).or_default();
        let mut added = false;
        for (file, content) in draft {
            match release.files.get(&file) {
                Some(there) if *there != content => return Err(Code::ContentConflict),
                Some(_) => {}
                None => {
                    release.files.insert(file, content);
                    added = true;
                }
            }
        }
        if added && release.sealed {
            return Err(Code::Sealed);
        }
        if added && release.blocked {
            return Err(Code::Blocked);
        }
        release.sealed |= seal;
        if added {
            self.drafts.remove(&at);
        }
        Ok(added)
    }

    fn promote(&mut self, channel: usize, package: usize, version: usize) -> Expected {
        let blocked = self.release(package, version)?.blocked;
        let fed = channel == 0 || self.place(channel - 1, package).admitted.contains(&version);
        let place = self.place(channel, package);
        let current = place.current == Some(version);
        if blocked {
            return Err(Code::Blocked);
        }
        if current {
            return Ok(false);
        }
        if place.held {
            return Err(Code::Held);
        }
        if !fed {
            return Err(Code::NotInFrom);
        }
        place.behind.extend(place.current);
        place.behind.retain(|other| *other != version);
        place.current = Some(version);
        place.admitted.insert(version);
        self.releases.get_mut(&(package, version)).expect("just seen").sealed = true;
        Ok(true)
    }

    fn roll_back(&mut self, channel: usize, package: usize, to: Option<usize>) -> Expected {
        let place = self.place(channel, package).clone();
        let Some(current) = place.current else { return Err(Code::NoPrevious) };
        let target = match to {
            Some(to) => {
                let release = self.release(package, to)?;
                if !place.admitted.contains(&to) {
                    return Err(Code::NotAdmitted);
                }
                if release.blocked {
                    return Err(Code::Blocked);
                }
                to
            }
            None if place.held => return Err(Code::Held),
            None => *place
                .behind
                .iter()
                .rev()
                .find(|version| !self.releases[&(package, **version)].blocked)
                .ok_or(Code::NoPrevious)?,
        };
        if target == current && place.held {
            return Ok(false);
        }
        let place = self.place(channel, package);
        place.held = true;
        if target == current {
            return Ok(true);
        }
        match place.behind.iter().position(|version| *version == target) {
            Some(at) => place.behind.truncate(at),
            // It was left by a rollback before: what stands now is what it goes back to.
            None => place.behind.push(current),
        }
        place.current = Some(target);
        Ok(true)
    }

    fn channel(&self, channel: usize) -> Vec<(String, String, bool)> {
        let rows = self
            .places
            .iter()
            .filter(|((at, _), place)| *at == channel && (place.current.is_some() || place.held));
        rows.map(|((_, package), place)| {
            let version = place.current.map_or("none", |version| VERSIONS[version]);
            (format!("raw:{}", PACKAGES[*package]), version.to_owned(), place.held)
        })
        .collect()
    }
}

async fn run(inside: &Inside, command: Command) -> Result<Outcome, Refusal> {
    let names = |package: usize, version: usize| (package_of(package), VERSIONS[version]);
    let on = |channel: usize| inside.proof::<Promote>(&format!("main@{}", CHANNELS[channel]));
    match command {
        Command::Publish { package, version, file, content, intent } => {
            let content = CONTENTS[content].as_bytes();
            let (name, version) = (PACKAGES[package], VERSIONS[version]);
            inside.publish(name, version, FILES[file], content, Origin::default(), intent).await
        }
        Command::PublishDraft { package, version } => {
            let at = ingot_core::Coordinate {
                package: package_of(package),
                version: VERSIONS[version].parse()?,
            };
            inside.registry.publish_draft(&inside.proof::<Publish>("main"), &at, &request()).await
        }
        Command::Seal { package, version } => {
            let (package, version) = names(package, version);
            let proof = inside.proof::<Publish>("main");
            inside.registry.seal(&proof, &package, version, &request()).await
        }
        Command::Promote { channel, first, second } => {
            let wanted: Vec<_> = std::iter::once(first)
                .chain(second)
                .map(|(package, version)| (PACKAGES[package], VERSIONS[version]))
                .collect();
            inside.promote(CHANNELS[channel], &wanted).await
        }
        Command::RollBack { channel, package, to } => {
            let to = to.map(|version| VERSIONS[version]);
            inside.roll_back(CHANNELS[channel], PACKAGES[package], to).await
        }
        Command::Hold { channel, package } => {
            inside.registry.hold(&on(channel), vec![package_of(package)], &request()).await
        }
        Command::Lift { channel, package } => {
            inside.registry.lift(&on(channel), vec![package_of(package)], &request()).await
        }
        Command::Revoke { channel, package, version } => {
            let (package, version) = names(package, version);
            let wanted = vec![(package, version.to_owned())];
            inside.registry.revoke(&on(channel), wanted, &request()).await
        }
        Command::Block { package, version } => {
            let (package, version) = names(package, version);
            let proof = inside.proof::<Admin>("main");
            inside.registry.block(&proof, &package, version, &request()).await
        }
        Command::Unblock { package, version } => {
            let (package, version) = names(package, version);
            let proof = inside.proof::<Admin>("main");
            inside.registry.unblock(&proof, &package, version, &request()).await
        }
        Command::DropIndex => unreachable!("played by the caller"),
    }
}

fn package_of(package: usize) -> ingot_core::PackageName {
    ingot_tests::inside::package(PACKAGES[package])
}

/// Every release that a view shows has the bytes the model remembers; all others are not there.
async fn check_bytes(inside: &Inside, model: &Model) {
    for (p, name) in PACKAGES.iter().enumerate() {
        for (v, version) in VERSIONS.iter().enumerate() {
            for (f, file) in FILES.iter().enumerate() {
                let release = model.releases.get(&(p, v));
                let content = release.and_then(|release| release.files.get(&f));
                let views = std::iter::once(("main".to_owned(), true)).chain(
                    CHANNELS.iter().enumerate().map(|(c, channel)| {
                        let place = model.places.get(&(c, p));
                        let admitted = place.is_some_and(|place| place.admitted.contains(&v));
                        (format!("main@{channel}"), admitted)
                    }),
                );
                for (view, visible) in views {
                    let fetched = inside.fetch(&view, name, version, file).await;
                    let blocked = release.is_some_and(|release| release.blocked);
                    match content.filter(|_| visible) {
                        _ if blocked && visible => {
                            assert_eq!(fetched.expect_err("blocked").code(), Code::Blocked);
                        }
                        Some(content) => {
                            assert_eq!(fetched.expect("served"), CONTENTS[*content].as_bytes());
                        }
                        None => assert_eq!(fetched.expect_err("absent").code(), Code::NotFound),
                    }
                }
            }
        }
    }
}

async fn play(seed: u64, steps: usize) {
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().expect("a directory");
    let opening = Opening::new(Arc::new(InMemory::new()), dir.path());
    let mut inside = opening.open().await.expect("a fresh store opens");
    let mut model = Model::default();
    let mut past: Vec<(Timestamp, Model)> = Vec::new();
    for step in 0..steps {
        inside.pass(1);
        let command = command(&mut random);
        if let Command::DropIndex = command {
            let before = inside.index.digest("main").expect("a digest");
            inside.registry.close().await;
            inside = opening.open().await.expect("it opens without its index");
            assert_eq!(inside.index.digest("main").expect("a digest"), before, "seed {seed}");
            continue;
        }
        let expected = model.apply(command);
        let found = run(&inside, command).await;
        let told = found.as_ref().map(|outcome| outcome.fresh).map_err(Refusal::code);
        assert_eq!(told, expected, "seed {seed}, step {step}: {command:?}\n{found:?}\n{model:#?}");
        for (n, channel) in CHANNELS.iter().enumerate() {
            assert_eq!(inside.channel(channel, None), model.channel(n), "seed {seed}, {step}");
        }
        past.push((inside.now(), model.clone()));
    }
    check_bytes(&inside, &model).await;
    for (at, then) in &past {
        for (n, channel) in CHANNELS.iter().enumerate() {
            assert_eq!(inside.channel(channel, Some(*at)), then.channel(n), "seed {seed} at {at}");
        }
    }
    assert_consistent(&opening).await;
    inside.registry.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_commands_do_what_the_model_says() {
    let first = std::env::var("INGOT_SEED").ok().and_then(|seed| seed.parse().ok());
    let cases: u64 =
        std::env::var("INGOT_MODEL_CASES").map_or(150, |n| n.parse().expect("a number"));
    let start: u64 = first.unwrap_or_else(|| rand::random::<u32>().into());
    println!("seeds from {start} on; INGOT_SEED repeats them");
    for seed in start..start + cases {
        play(seed, 60).await;
    }
    let _ = (admin(), package("app"));
}
