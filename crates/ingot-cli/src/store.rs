//! `verify` and `index rebuild`: work on the store itself, without or beside its server.

use std::sync::Arc;

use ingot_core::Refusal;
use ingot_server::registry::{Fault, LedgerReport, Registry, Setup, VerifyReport};
use ingot_server::Config;
use ingot_server::store::{OpenError, StoreLock, index_dir, open_index, setup};
use reqwest::Url;
use serde_json::{Value, json};

use crate::address::server_key;
use crate::args::StoreArgs;
use crate::client::Client;
use crate::credentials::{Source, find, read_private};
use crate::environment::Environment;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::server::load_store;
use crate::table::{clean, short, size};
use crate::verbs::{find_text, list};

/// Reads every commit and every blob, and compares the index with the fold of the ledger.
pub(crate) async fn verify(
    environment: &Environment,
    output: Output,
    args: &StoreArgs,
) -> Result<Outcome, Failure> {
    let config = load_store(environment, args)?;
    check_there(&config)?;
    let bar = output.count("blobs verified");
    let each = |done: u64| bar.set_position(done);
    let mut notes = Vec::new();
    let report = match StoreLock::take(&config.storage.data) {
        Ok(_lock) => {
            let index = open_index(&config).map_err(|error| unopened(&error))?;
            let beside = beside(&config)?;
            let report = ingot_server::registry::verify(&beside.setup, Some(&index), &each).await;
            let report = report.map_err(|refusal| unread(&refusal))?;
            // Only an index that was just found right is marked as closed cleanly; any other is
            // looked at again by the next start.
            if is_right(&report) {
                index.close().map_err(|error| Failure::local(error.to_string()))?;
            }
            report
        }
        Err(OpenError::InUse(_)) => {
            let beside = beside(&config)?;
            let report = ingot_server::registry::verify(&beside.setup, None, &each).await;
            let mut report = report.map_err(|refusal| unread(&refusal))?;
            notes = compare_with_server(environment, &config, &mut report).await;
            report
        }
        Err(error) => return Err(unopened(&error)),
    };
    bar.finish_and_clear();
    let is_ok = report.faults.is_empty();
    output.answer(&json!({"ok": is_ok, "report": &report, "notes": &notes}), || {
        report_text(&report, &notes)
    });
    Ok(if is_ok { Outcome::Done } else { Outcome::Refused })
}

/// Drops the index and folds the ledgers anew; refused while a server has the store.
pub(crate) async fn rebuild_index(
    environment: &Environment,
    output: Output,
    args: &StoreArgs,
) -> Result<Outcome, Failure> {
    let config = load_store(environment, args)?;
    check_there(&config)?;
    let _lock = StoreLock::take(&config.storage.data).map_err(|error| unopened(&error))?;
    let dir = index_dir(&config.storage.data);
    match std::fs::remove_dir_all(&dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(Failure::local(format!("{} cannot be removed: {error}", dir.display())));
        }
        _ => {}
    }
    let index = Arc::new(open_index(&config).map_err(|error| unopened(&error))?);
    let ours = setup(&config, Arc::clone(&index)).map_err(|error| unopened(&error))?;
    let _swept = Swept::of(&ours);
    let registry = Registry::open(ours).await.map_err(|refusal| unread(&refusal))?;
    registry.close().await;
    output.answer(&json!({"ok": true, "index": dir}), || {
        format!("the index in {} is folded anew from the ledgers", dir.display())
    });
    Ok(Outcome::Done)
}

/// A store that is not there is not made by looking at it.
fn check_there(config: &Config) -> Result<(), Failure> {
    let data = &config.storage.data;
    if data.is_dir() {
        return Ok(());
    }
    Err(Failure::Failed {
        code: "no_store",
        detail: format!("there is no store in {}", data.display()),
        hint: Some("name its directory with --data DIR or --config FILE".to_owned()),
    })
}

/// What looks at a store without changing it: its own index, which goes away.
struct Beside {
    setup: Setup,
    _swept: Swept,
    _index_dir: tempfile::TempDir,
}

fn beside(config: &Config) -> Result<Beside, Failure> {
    let dir = tempfile::Builder::new()
        .prefix("ingot-verify-")
        .tempdir()
        .map_err(|error| Failure::local(format!("no temporary directory: {error}")))?;
    let mut elsewhere = config.clone();
    elsewhere.storage.data = dir.path().to_owned();
    let index = open_index(&elsewhere).map_err(|error| unopened(&error))?;
    let setup = setup(config, Arc::new(index)).map_err(|error| unopened(&error))?;
    let swept = Swept::of(&setup);
    Ok(Beside { setup, _swept: swept, _index_dir: dir })
}

/// The directory that this process was given for its temporary files, removed at the end.
struct Swept(Option<std::path::PathBuf>);

impl Swept {
    fn of(setup: &Setup) -> Self {
        Self(setup.scratch.parent().map(std::path::Path::to_owned))
    }
}

impl Drop for Swept {
    fn drop(&mut self) {
        if let Some(own) = &self.0 {
            // What is left, the next start of the server sweeps away.
            let _ = std::fs::remove_dir_all(own);
        }
    }
}

fn is_right(report: &VerifyReport) -> bool {
    report.faults.iter().all(|fault| fault.part != "index")
        && report.ledgers.values().all(|ledger| ledger.index_compared)
}

/// Compares each project's fold with what the running server says its own is, at the same commit;
/// what could not be compared is told.
async fn compare_with_server(
    environment: &Environment,
    config: &Config,
    report: &mut VerifyReport,
) -> Vec<String> {
    let client = match server(environment, config) {
        Ok(client) => client,
        Err(failure) => return vec![format!("the server's index was not compared: {failure}")],
    };
    let mut notes = Vec::new();
    for (name, ledger) in &mut report.ledgers {
        if name == ingot_server::registry::SYSTEM {
            continue;
        }
        let theirs = match fold_of(&client, name, ledger).await {
            Ok(theirs) => theirs,
            Err(failure) => {
                notes.push(format!("{name}: the server's index was not compared: {failure}"));
                continue;
            }
        };
        if theirs.get("seq").and_then(Value::as_u64) != Some(ledger.seq) {
            notes.push(format!("{name}: it was changed meanwhile, so its index was not compared"));
            continue;
        }
        ledger.index_compared = true;
        if find_text(&theirs, "digest") != Some(ledger.fold.to_string().as_str()) {
            report.faults.push(Fault {
                project: name.clone(),
                part: "index",
                what: name.clone(),
                problem: "the server's index differs from the fold of the ledger; stop it and \
                          run `ingot index rebuild`"
                    .to_owned(),
            });
        }
    }
    notes
}

/// What the server says of its fold, once its ledger is seen to be the one that was read here.
async fn fold_of(client: &Client, name: &str, ledger: &LedgerReport) -> Result<Value, Failure> {
    let before = ledger.seq.saturating_sub(1).to_string();
    let query = [("after", before.as_str()), ("limit", "1")];
    let commits = client.get(client.api(name, &["ledger"], &query)).await?.body;
    let hash = list(&commits, "items")?.first().and_then(|commit| find_text(commit, "hash"));
    if hash != ledger.hash.map(|hash| hash.to_string()).as_deref() {
        let server = client.server();
        return Err(Failure::local(format!("{server} serves another store; does INGOT_URL fit?")));
    }
    Ok(client.get(client.api(name, &["fold"], &[])).await?.body)
}

/// The server of this store: where the environment says, else where it is configured to listen;
/// with the environment's token, else the first admin token that lies in the store.
fn server(environment: &Environment, config: &Config) -> Result<Client, Failure> {
    let text = match environment.var("INGOT_URL") {
        Some(url) => url.to_owned(),
        None if config.server.tls_cert.is_empty() => format!("http://{}", config.server.listen),
        None => format!("https://{}", config.server.listen),
    };
    let url = Url::parse(&text).map_err(|error| Failure::local(format!("{text}: {error}")))?;
    let (mut token, source) = find(environment, &server_key(&url))?;
    if source == Source::Nowhere {
        let path = config.storage.data.join(ingot_server::serve::ADMIN_TOKEN_FILE);
        if let Some(text) = read_private(&path)? {
            token = crate::credentials::Token::parse(&text).ok();
        }
    }
    Client::with_token(url, token, source, None)
}

fn report_text(report: &VerifyReport, notes: &[String]) -> String {
    let mut lines = Vec::new();
    for (name, ledger) in &report.ledgers {
        let hash = ledger.hash.map(|hash| hash.to_string());
        let index = if ledger.index_compared { "equals the fold" } else { "was not compared" };
        lines.push(format!(
            "{name}: {} commits, head {}, index {index}",
            ledger.seq,
            short(hash.as_deref())
        ));
    }
    lines.push(format!(
        "{} blobs read, {}; {} that nothing names",
        report.blobs,
        size(report.bytes),
        report.unreferenced
    ));
    lines.extend(notes.iter().map(|note| format!("note: {note}")));
    for fault in &report.faults {
        lines.push(format!(
            "FAULT in {}: {} {}: {}",
            fault.project, fault.part, fault.what, fault.problem
        ));
    }
    lines.push(match report.faults.len() {
        0 => "no faults".to_owned(),
        1 => "1 fault".to_owned(),
        count => format!("{count} faults"),
    });
    lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")
}

fn unopened(error: &OpenError) -> Failure {
    let code = match error {
        OpenError::InUse(_) => "in_use",
        _ => "store",
    };
    let mut detail = error.to_string();
    let reason = crate::client::innermost(error);
    if !detail.contains(&reason) {
        detail = format!("{detail}: {reason}");
    }
    Failure::Failed { code, detail, hint: None }
}

fn unread(refusal: &Refusal) -> Failure {
    // Words for the operator, who is the one at this terminal.
    Failure::Failed { code: refusal.code().as_str(), detail: format!("{refusal:?}"), hint: None }
}

#[cfg(test)]
mod tests {
    use ingot_core::Digest;

    use super::*;

    fn report(index_compared: bool, faults: Vec<Fault>) -> VerifyReport {
        let ledger = LedgerReport { seq: 7, hash: None, fold: Digest::of(b"fold"), index_compared };
        VerifyReport { ledgers: [("main".to_owned(), ledger)].into(), faults, ..Default::default() }
    }

    fn fault(part: &'static str) -> Fault {
        Fault { project: "main".into(), part, what: "w".into(), problem: "p".into() }
    }

    #[test]
    fn an_index_is_right_only_when_it_was_compared() {
        assert!(is_right(&report(true, vec![])));
        assert!(is_right(&report(true, vec![fault("blob")])), "the index itself is right");
        assert!(!is_right(&report(false, vec![])));
        assert!(!is_right(&report(true, vec![fault("index")])));
    }

    #[test]
    fn faults_are_told_one_by_one() {
        let text = report_text(&report(true, vec![fault("blob")]), &["a note".to_owned()]);
        assert!(text.contains("main: 7 commits, head -, index equals the fold"), "{text}");
        assert!(text.contains("FAULT in main: blob w: p\n1 fault"), "{text}");
        assert!(report_text(&report(true, vec![]), &[]).ends_with("no faults"));
    }

    #[test]
    fn looking_at_a_store_does_not_make_one() {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        config.storage.data = dir.path().join("missing");
        assert_eq!(check_there(&config).unwrap_err().code(), "no_store");
        assert!(!config.storage.data.exists());
    }
}
