//! `demo`: the whole story on real files, in a directory that goes away: serve, publish all of
//! one commit, promote it, look, break, roll back, look back, and name a file.
//!
//! Every step runs the very commands that it shows, as processes of their own, and every claim is
//! checked against the server's answer: the demo fails where the story would be a lie.

mod sources;
mod stage;

use serde_json::{Value, json};

use crate::coordinate::PLAIN_FORMAT;
use crate::environment::Environment;
use crate::failure::{FAILED, Failure, Outcome};
use crate::output::Output;
use crate::verbs::{find_text, texts};
use sources::{GALLERY, NOTIFIER, Sources, THUMBNAILER, THUMBNAILER_BROKEN, commit, zip};
use stage::{Stage, wrong};

/// The packages of the good commit.
const PACKAGES: [(&str, &Sources); 3] =
    [("thumbnailer", THUMBNAILER), ("notifier", NOTIFIER), ("gallery", GALLERY)];
/// The way to production.
const WAY: [&str; 3] = ["dev", "staging", "prod"];
const GOOD: &str = "1.0.0";
const BAD: &str = "1.1.0";

pub(crate) async fn demo(environment: &Environment, output: Output) -> Result<Outcome, Failure> {
    let mut stage = Stage::new(environment, output)?;
    stage.say("Ingot, the whole story, on real zips in a directory that goes away afterwards.");
    play(&mut stage).await?;
    let mut report = stage.report();
    report["ok"] = json!(true);
    output.answer(&report, || "\nAll of it went as it must.".to_owned());
    Ok(Outcome::Done)
}

async fn play(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("Start a server: local disk, nothing else installed");
    stage.serve().await?;
    let good = publish_all(stage).await?;
    promote_all(stage, &good).await?;
    fetch(stage).await?;
    break_it(stage).await?;
    let before = state(stage, &["status", "prod"]).await?;
    expect_current(&before, "thumbnailer", BAD)?;
    let moment = find_text(&before, "at").unwrap_or_default().to_owned();
    roll_back(stage, &good).await?;
    look_back(stage, &moment).await?;
    name_it(stage, &good).await?;
    stage.step("Stop the server, and check every commit, every blob and the index");
    stage.stop().await?;
    stage.show(&["verify", "--data", "store"], None, 0).await?;
    Ok(())
}

/// Publishes the packages of the good commit; the commit.
async fn publish_all(stage: &mut Stage) -> Result<String, Failure> {
    stage.step("Publish three packages, all built from one commit");
    let good = commit(&PACKAGES.map(|(_, sources)| sources));
    for (name, sources) in PACKAGES {
        let file = format!("{name}.zip");
        stage.put(&file, &zip(sources)?)?;
        publish(stage, name, GOOD, &file, &good, 0).await?;
    }
    stage.say("   The same bytes again are a success, so that a lost answer can be retried:");
    publish(stage, "thumbnailer", GOOD, "thumbnailer.zip", &good, 0).await?;
    stage.say("   Other bytes under a published version are refused, for ever:");
    stage.put("other.zip", &zip(THUMBNAILER_BROKEN)?)?;
    let file = "other.zip=thumbnailer.zip";
    let ran = publish(stage, "thumbnailer", GOOD, file, &good, FAILED).await?;
    expect_said(&ran.stderr, "content_conflict")?;
    Ok(good)
}

async fn publish(
    stage: &mut Stage,
    name: &str,
    version: &str,
    file: &str,
    commit: &str,
    code: u8,
) -> Result<stage::Ran, Failure> {
    let release = package(name) + "@" + version;
    let curl = format!(
        "curl -K auth -T {name}.zip -H 'Ingot-Commit: {commit}' {}/{PLAIN_FORMAT}/main/{name}/{version}/{name}.zip",
        stage.url()
    );
    let curl = (code == 0).then_some(curl.as_str());
    stage.show(&["publish", &release, file, "--commit", commit], curl, code).await
}

async fn promote_all(stage: &mut Stage, good: &str) -> Result<(), Failure> {
    stage.step("Promote the commit: dev, staging, prod, all three packages or none");
    stage.say("   Straight to prod is refused, with the next step:");
    let ran = promote(stage, good, "prod", FAILED).await?;
    expect_said(&ran.stderr, "not_in_from")?;
    for channel in WAY {
        promote(stage, good, channel, 0).await?;
    }
    stage.step("Ask what is running in prod, from which commit, since when");
    let curl = format!("curl -K auth {}/api/v1/projects/main/channels/prod", stage.url());
    stage.show(&["status", "prod"], Some(&curl), 0).await?;
    let now = state(stage, &["status", "prod"]).await?;
    for (name, _) in PACKAGES {
        expect_current(&now, name, GOOD)?;
        let row = row(&now, name)?;
        expect(find_text(row, "commit") == Some(good), || format!("{name} has another commit"))?;
    }
    Ok(())
}

async fn promote(
    stage: &mut Stage,
    commit: &str,
    channel: &str,
    code: u8,
) -> Result<stage::Ran, Failure> {
    let curl = format!(
        "curl -K auth --json '{{\"commit\":\"{commit}\"}}' \
         {}/api/v1/projects/main/channels/{channel}/promotions",
        stage.url()
    );
    let curl = (code == 0).then_some(curl.as_str());
    stage.show(&["promote", "--commit", commit, "--to", channel], curl, code).await
}

async fn fetch(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("Deploy: fetch exactly what prod holds, verified");
    let thumbnailer = package("thumbnailer");
    let curl = format!(
        "curl -K auth -fLo deployed.zip {}/{PLAIN_FORMAT}/main@prod/thumbnailer/thumbnailer.zip",
        stage.url()
    );
    let args = ["fetch", &thumbnailer, "--in", "prod", "-o", "deployed.zip"];
    stage.show(&args, Some(&curl), 0).await?;
    let deployed = std::fs::read(stage.dir().join("deployed.zip"))
        .map_err(|error| wrong(format!("deployed.zip is not there: {error}")))?;
    let published = zip(THUMBNAILER)?;
    expect(deployed == published, || "what was deployed is not what was published".to_owned())
}

async fn break_it(stage: &mut Stage) -> Result<(), Failure> {
    stage.step("Break it: a new version with a mistake goes all the way to prod");
    let bad = commit(&[THUMBNAILER_BROKEN]);
    stage.put("thumbnailer.zip", &zip(THUMBNAILER_BROKEN)?)?;
    publish(stage, "thumbnailer", BAD, "thumbnailer.zip", &bad, 0).await?;
    let release = package("thumbnailer") + "@" + BAD;
    for channel in WAY {
        stage.show(&["promote", &release, "--to", channel], None, 0).await?;
    }
    Ok(())
}

async fn roll_back(stage: &mut Stage, good: &str) -> Result<(), Failure> {
    stage.step("Roll back, in one call, to what stood there before");
    let thumbnailer = package("thumbnailer");
    let curl = format!(
        "curl -K auth --json '{{\"packages\":[{{\"package\":\"{thumbnailer}\"}}],\"reason\":\"…\"}}' \
         {}/api/v1/projects/main/channels/prod/rollbacks",
        stage.url()
    );
    let reason = "thumbnails are larger than their images";
    let args = ["rollback", &thumbnailer, "--in", "prod", "--reason", reason];
    stage.show(&args, Some(&curl), 0).await?;
    stage.show(&["status", "prod"], None, 0).await?;
    let now = state(stage, &["status", "prod"]).await?;
    expect_current(&now, "thumbnailer", GOOD)?;
    let row = row(&now, "thumbnailer")?;
    expect(find_text(row, "commit") == Some(good), || "another commit is current".to_owned())?;
    expect(row.get("held") == Some(&json!(true)), || "the package is not held".to_owned())?;
    stage.say("   It is held there, so that no pipeline brings the mistake back:");
    let release = format!("{thumbnailer}@{BAD}");
    let ran = stage.show(&["promote", &release, "--to", "prod"], None, FAILED).await?;
    expect_said(&ran.stderr, "held")
}

async fn look_back(stage: &mut Stage, moment: &str) -> Result<(), Failure> {
    stage.step("Ask what prod held before the rollback, and how it came to be what it is");
    let curl =
        format!("curl -K auth {}/api/v1/projects/main/channels/prod?at={moment}", stage.url());
    stage.show(&["status", "prod", "--at", moment], Some(&curl), 0).await?;
    let then = state(stage, &["status", "prod", "--at", moment]).await?;
    expect_current(&then, "thumbnailer", BAD)?;
    expect_current(&then, "gallery", GOOD)?;
    let thumbnailer = package("thumbnailer");
    stage.show(&["history", "prod", &thumbnailer], None, 0).await?;
    let history = stage.ask(&["history", "prod", &thumbnailer]).await?;
    let items = history.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let kinds: Vec<&str> = items.iter().filter_map(|item| find_text(item, "kind")).collect();
    expect(kinds == ["promote", "promote", "rollback"], || format!("the history is {kinds:?}"))
}

async fn name_it(stage: &mut Stage, good: &str) -> Result<(), Failure> {
    stage.step("Name a file that lies on a server somewhere");
    let curl = format!(
        "curl -K auth {}/api/v1/projects/main/lookup?digest=$(sha256sum deployed.zip | cut -c1-64)",
        stage.url()
    );
    stage.show(&["whatis", "deployed.zip"], Some(&curl), 0).await?;
    let found = stage.ask(&["whatis", "deployed.zip"]).await?;
    let thumbnailer = package("thumbnailer");
    let matches = found.get("matches").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_it = |found: &&Value| find_text(found, "package") == Some(thumbnailer.as_str());
    let found = matches.iter().find(is_it);
    let found = found.ok_or_else(|| wrong("the deployed file is not known".to_owned()))?;
    expect(
        find_text(found, "version") == Some(GOOD)
            && find_text(found, "commit") == Some(good)
            && texts(found, "current_in") == ["prod"]
            && WAY.iter().all(|&channel| texts(found, "admitted_in").iter().any(|c| c == channel)),
        || format!("the deployed file is taken for {found}"),
    )
}

fn package(name: &str) -> String {
    format!("{PLAIN_FORMAT}:{name}")
}

async fn state(stage: &mut Stage, args: &[&str]) -> Result<Value, Failure> {
    stage.ask(args).await
}

fn row<'a>(state: &'a Value, name: &str) -> Result<&'a Value, Failure> {
    let package = package(name);
    let rows = state.get("packages").and_then(Value::as_array);
    rows.into_iter()
        .flatten()
        .find(|row| find_text(row, "package") == Some(package.as_str()))
        .ok_or_else(|| wrong(format!("{package} is not in {state}")))
}

fn expect_current(state: &Value, name: &str, version: &str) -> Result<(), Failure> {
    let found = find_text(row(state, name)?, "version");
    expect(found == Some(version), || format!("{name} is at {found:?}, not {version}"))
}

fn expect_said(text: &str, code: &str) -> Result<(), Failure> {
    expect(text.contains(code), || format!("{text:?} does not say {code}"))
}

fn expect(is_so: bool, otherwise: impl FnOnce() -> String) -> Result<(), Failure> {
    if is_so { Ok(()) } else { Err(wrong(otherwise())) }
}
