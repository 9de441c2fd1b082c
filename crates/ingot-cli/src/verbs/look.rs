//! `status`, `history`, `show`: what is where, how it came there, and what it is.

use serde_json::{Value, json};

use crate::args::{History, Show, Status};
use crate::environment::local_time_zone;
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::session::Session;
use crate::table::{Table, clean, short, size};
use crate::verbs::{cell, find_text, list, text, texts};

/// How many rows one request asks for.
const PAGE: u64 = 500;

pub(crate) async fn status(session: &Session, args: &Status) -> Result<Outcome, Failure> {
    let zone = local_time_zone();
    let at = match &args.at {
        None => None,
        Some(text) => Some(moment::parse(text, zone.as_ref()).map_err(Failure::Usage)?),
    };
    if let Some(channel) = &args.channel {
        let state = state(session, channel.as_str(), at).await?;
        session.output.answer(&state, || state_text(&state));
        return Ok(Outcome::Done);
    }
    let url = session.client.api(session.project(), &["channels"], &[]);
    let channels = session.client.get(url).await?.body;
    let mut states = Vec::new();
    for channel in list(&channels, "items")? {
        let name = find_text(channel, "name").or_else(|| find_text(channel, "channel"));
        let name = name.ok_or_else(|| Failure::strange("a channel without a name"))?;
        states.push(state(session, name, at).await?);
    }
    session.output.answer(&json!({"items": &states, "next": null}), || {
        states.iter().map(state_text).collect::<Vec<_>>().join("\n\n")
    });
    Ok(Outcome::Done)
}

async fn state(
    session: &Session,
    channel: &str,
    at: Option<jiff::Timestamp>,
) -> Result<Value, Failure> {
    let at = at.map(|at| at.to_string());
    let query: Vec<(&str, &str)> = at.iter().map(|at| ("at", at.as_str())).collect();
    let url = session.client.api(session.project(), &["channels", channel], &query);
    Ok(session.client.get(url).await?.body)
}

fn state_text(state: &Value) -> String {
    let head = format!(
        "{} at {}, number {}",
        clean(&cell(state, "channel")),
        clean(&moment::shown(&cell(state, "at"))),
        cell(state, "seq")
    );
    let rows = state.get("packages").and_then(Value::as_array);
    if rows.is_none_or(Vec::is_empty) {
        return format!("{head}\nnothing was promoted to it");
    }
    let mut table = Table::new(&["PACKAGE", "VERSION", "COMMIT", "DIGEST", "SINCE", "BY", "NOTE"]);
    for row in rows.into_iter().flatten() {
        let is = |member: &str| row.get(member).and_then(Value::as_bool).unwrap_or(false);
        let notes: Vec<&str> =
            ["held", "blocked"].into_iter().filter(|&member| is(member)).collect();
        table.row([
            cell(row, "package"),
            cell(row, "version"),
            short(find_text(row, "commit")),
            short(find_text(row, "digest")),
            moment::shown(&cell(row, "since")),
            cell(row, "by"),
            notes.join(", "),
        ]);
    }
    format!("{head}\n{}", table.render())
}

pub(crate) async fn history(session: &Session, args: &History) -> Result<Outcome, Failure> {
    let package = args.package.as_ref().map(ToString::to_string);
    let limit = args.limit.unwrap_or(u64::MAX);
    let mut items: Vec<Value> = Vec::new();
    let mut after = args.after.map(|seq| seq.to_string());
    let mut more = Value::Null;
    while (items.len() as u64) < limit {
        let page = (limit - items.len() as u64).min(PAGE).to_string();
        let mut query = vec![("limit", page.as_str())];
        query.extend(package.iter().map(|package| ("package", package.as_str())));
        query.extend(after.iter().map(|after| ("after", after.as_str())));
        let path = ["channels", args.channel.as_str(), "transitions"];
        let url = session.client.api(session.project(), &path, &query);
        let body = session.client.get(url).await?.body;
        items.extend_from_slice(list(&body, "items")?);
        more = body.get("next").cloned().unwrap_or(Value::Null);
        let next = match &more {
            Value::Null => break,
            Value::String(next) => next.clone(),
            other => other.to_string(),
        };
        if after.as_ref() == Some(&next) {
            return Err(Failure::strange("the server's pages do not end"));
        }
        after = Some(next);
    }
    session.output.answer(&json!({"items": &items, "next": more}), || history_text(&items));
    Ok(Outcome::Done)
}

fn history_text(items: &[Value]) -> String {
    if items.is_empty() {
        return "nothing happened there yet".to_owned();
    }
    let mut table = Table::new(&["SEQ", "AT", "KIND", "PACKAGE", "FROM", "TO", "BY", "REASON"]);
    for item in items {
        table.row([
            cell(item, "seq"),
            moment::shown(&cell(item, "at")),
            cell(item, "kind"),
            cell(item, "package"),
            cell(item, "from"),
            cell(item, "to"),
            cell(item, "by"),
            cell(item, "reason"),
        ]);
    }
    table.render()
}

pub(crate) async fn show(session: &Session, args: &Show) -> Result<Outcome, Failure> {
    let package = args.target.package.to_string();
    match &args.target.reference {
        Some(reference) => {
            let path = ["packages", &package, "releases", reference];
            let url = session.client.api(session.project(), &path, &[]);
            let release = session.client.get(url).await?.body;
            text(&release, "version")?;
            session.output.answer(&release, || release_text(&release));
        }
        None => {
            let url = session.client.api(session.project(), &["packages", &package], &[]);
            let document = session.client.get(url).await?.body;
            session.output.answer(&document, || package_text(&package, &document));
        }
    }
    Ok(Outcome::Done)
}

fn release_text(release: &Value) -> String {
    let origin = release.get("origin").unwrap_or(&Value::Null);
    let mut lines = vec![
        format!("{}@{}", cell(release, "package"), cell(release, "version")),
        format!("  state      {}", cell(release, "state")),
        format!("  digest     {}", cell(release, "digest")),
        format!("  commit     {}", cell(origin, "commit")),
        format!("  source     {}", cell(origin, "source")),
        format!("  build      {}", cell(origin, "build")),
        format!(
            "  published  {} by {}",
            moment::shown(&cell(release, "published_at")),
            cell(release, "published_by")
        ),
    ];
    let aliases = texts(release, "aliases");
    if !aliases.is_empty() {
        lines.push(format!("  aliases    {}", aliases.join(", ")));
    }
    if let Some(block) = release.get("blocked").filter(|block| !block.is_null()) {
        lines.push(format!("  BLOCKED    {}", cell(block, "reason")));
    }
    let channels = release.get("channels").and_then(Value::as_object);
    for (channel, standing) in channels.into_iter().flatten() {
        let current = standing.get("current").and_then(Value::as_bool).unwrap_or(false);
        let word = if current { "current" } else { "admitted" };
        let since = moment::shown(&cell(standing, "since"));
        lines.push(format!("  {word:<9}  in {channel} since {since}"));
    }
    let files = release.get("files").and_then(Value::as_array);
    for file in files.into_iter().flatten() {
        let bytes = file.get("size").and_then(Value::as_u64).unwrap_or(0);
        let digest = cell(file, "digest");
        lines.push(format!("  file       {}  {}  {digest}", cell(file, "path"), size(bytes)));
    }
    lines.iter().map(|line| clean(line)).collect::<Vec<_>>().join("\n")
}

fn package_text(package: &str, document: &Value) -> String {
    let releases = document.get("releases");
    // A page of releases is a list, or a list in a page.
    let rows = releases.and_then(Value::as_array).or_else(|| releases?.get("items")?.as_array());
    let mut table = Table::new(&["VERSION", "STATE", "COMMIT", "PUBLISHED", "BY"]);
    for release in rows.into_iter().flatten() {
        let commit = release.get("origin").and_then(|origin| find_text(origin, "commit"));
        table.row([
            cell(release, "version"),
            cell(release, "state"),
            short(commit.or_else(|| find_text(release, "commit"))),
            moment::shown(&cell(release, "published_at")),
            cell(release, "published_by"),
        ]);
    }
    let mut lines = vec![clean(package), table.render()];
    let channels = document.get("channels").and_then(Value::as_object);
    for (channel, standing) in channels.into_iter().flatten() {
        if let Some(version) = standing.as_str().or_else(|| find_text(standing, "version")) {
            lines.push(clean(&format!("current in {channel}: {version}")));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_a_table_with_held_and_blocked() {
        let state = json!({"project": "main", "channel": "prod", "at": "2026-11-23T12:00:00Z",
            "seq": 17, "packages": [
            {"package": "raw:a", "version": "1.4.2", "digest": format!("sha256:{}", "ab".repeat(32)),
             "commit": "0123456789abcdef", "since": "2026-11-22T10:00:00.5Z", "by": "ci",
             "held": true, "blocked": true},
            {"package": "raw:b", "version": null, "digest": null, "commit": null, "since": null,
             "by": null, "held": true, "blocked": false}]});
        assert_eq!(
            state_text(&state),
            "prod at 2026-11-23 12:00:00.000Z, number 17\n\
             PACKAGE  VERSION  COMMIT        DIGEST        SINCE                     BY  NOTE\n\
             raw:a    1.4.2    0123456789ab  abababababab  2026-11-22 10:00:00.500Z  ci  held, blocked\n\
             raw:b    -        -             -             -                         -   held"
        );
    }

    #[test]
    fn an_empty_channel_says_so() {
        let state =
            json!({"channel": "prod", "at": "2026-11-23T12:00:00Z", "seq": 1, "packages": []});
        assert!(state_text(&state).ends_with("nothing was promoted to it"));
    }

    #[test]
    fn history_is_a_table() {
        let items =
            [json!({"seq": 3, "kind": "rollback", "package": "raw:a", "from": "2", "to": "1",
            "by": "ops", "at": "2026-11-23T12:00:00Z", "reason": "broken"})];
        let text = history_text(&items);
        let row = "3    2026-11-23 12:00:00.000Z  rollback  raw:a    2     1   ops  broken";
        assert_eq!(text.lines().last(), Some(row), "{text}");
    }

    #[test]
    fn a_release_shows_where_it_stands() {
        let release = json!({"package": "raw:a", "version": "1", "state": "sealed",
            "digest": "sha256:00", "origin": {"commit": "abcdef0", "source": null, "build": null},
            "aliases": ["b7"], "published_at": "2026-11-23T12:00:00Z", "published_by": "ci",
            "files": [{"path": "a.zip", "size": 12, "digest": "sha256:11"}],
            "blocked": {"reason": "leak"},
            "channels": {"prod": {"current": true, "since": "2026-11-23T12:00:00Z"}}});
        let text = release_text(&release);
        for part in ["raw:a@1", "commit     abcdef0", "current    in prod", "a.zip  12 B", "leak"] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }
}
