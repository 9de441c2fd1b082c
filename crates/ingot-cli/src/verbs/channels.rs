//! `promote`, `rollback`, `hold`, `lift`: what moves in a channel.

use reqwest::header::{HeaderMap, HeaderValue, IF_MATCH};
use serde_json::{Map, Value, json};

use crate::args::{Hold, Promote, Rollback};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::table::{Table, clean};
use crate::verbs::{cell, find_text, list};

/// Which way a hold goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HoldVerb {
    /// Set it.
    Hold,
    /// End it.
    Lift,
}

pub(crate) async fn promote(session: &Session, args: &Promote) -> Result<Outcome, Failure> {
    let mut body = Map::new();
    match &args.commit {
        Some(commit) => {
            body.insert("commit".to_owned(), json!(commit));
        }
        None => {
            let releases: Vec<Value> = args
                .releases
                .iter()
                .map(|release| json!({"package": release.package, "ref": release.reference}))
                .collect();
            body.insert("releases".to_owned(), json!(releases));
        }
    }
    add_reason(&mut body, args.reason.as_deref());
    let query: &[(&str, &str)] = if args.dry_run { &[("dry_run", "true")] } else { &[] };
    let channel = args.to.as_str();
    let url = session.client.api(session.project(), &["channels", channel, "promotions"], query);
    let answer = session.client.post(url, &Value::Object(body), if_match(args.if_seq)).await?;
    if args.dry_run {
        let verdict = find_text(&answer.body, "verdict").unwrap_or("unknown");
        let gates = list(&answer.body, "gates")?;
        session.output.answer(&answer.body, || gates_text(verdict, gates));
        return Ok(if verdict == "pass" { Outcome::Done } else { Outcome::Refused });
    }
    session.output.answer(&answer.body, || moved_text("promoted to", channel, &answer.body));
    Ok(Outcome::Done)
}

pub(crate) async fn rollback(session: &Session, args: &Rollback) -> Result<Outcome, Failure> {
    if args.to.is_some() && args.packages.len() > 1 {
        return Err(Failure::Usage(
            "--to names a release of one package; roll the others back by themselves".to_owned(),
        ));
    }
    let packages: Vec<Value> = args
        .packages
        .iter()
        .map(|package| match &args.to {
            Some(to) => json!({"package": package, "to": to}),
            None => json!({"package": package}),
        })
        .collect();
    let body = json!({"packages": packages, "reason": args.reason});
    let channel = args.channel.as_str();
    let url = session.client.api(session.project(), &["channels", channel, "rollbacks"], &[]);
    let answer = session.client.post(url, &body, if_match(args.if_seq)).await?;
    session.output.answer(&answer.body, || moved_text("rolled back in", channel, &answer.body));
    let packages: Vec<String> = args.packages.iter().map(ToString::to_string).collect();
    session.output.note(&format!(
        "held: promotions to {channel} are refused until `ingot lift {} --in {channel}`",
        packages.join(" ")
    ));
    Ok(Outcome::Done)
}

pub(crate) async fn hold(
    session: &Session,
    verb: HoldVerb,
    args: &Hold,
) -> Result<Outcome, Failure> {
    let mut body = Map::new();
    body.insert("packages".to_owned(), json!(args.packages));
    add_reason(&mut body, args.reason.as_deref());
    let channel = args.channel.as_str();
    let (path, words) = match verb {
        HoldVerb::Hold => ("holds", "held in"),
        HoldVerb::Lift => ("lifts", "lifted in"),
    };
    let url = session.client.api(session.project(), &["channels", channel, path], &[]);
    let answer = session.client.post(url, &Value::Object(body), HeaderMap::new()).await?;
    session.output.answer(&answer.body, || {
        let packages: Vec<String> = args.packages.iter().map(ToString::to_string).collect();
        format!("{words} {channel}: {}", packages.join(", "))
    });
    Ok(Outcome::Done)
}

fn add_reason(body: &mut Map<String, Value>, reason: Option<&str>) {
    if let Some(reason) = reason {
        body.insert("reason".to_owned(), json!(reason));
    }
}

fn if_match(seq: Option<u64>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(seq) = seq {
        let tag = HeaderValue::from_str(&format!("\"{seq}\"")).expect("digits in quotes");
        headers.insert(IF_MATCH, tag);
    }
    headers
}

/// What a promotion or rollback did: one line for each package that moved.
fn moved_text(words: &str, channel: &str, answer: &Value) -> String {
    let transitions = answer.get("transitions").and_then(Value::as_array);
    let lines: Vec<String> = transitions
        .into_iter()
        .flatten()
        .map(|transition| {
            let package = cell(transition, "package");
            let to = cell(transition, "to");
            let from = find_text(transition, "from");
            let before = from.map_or_else(|| "nothing".to_owned(), str::to_owned);
            clean(&format!("{words} {channel}: {package} {before} → {to}"))
        })
        .collect();
    if lines.is_empty() {
        return format!("{channel} is so already; nothing moved");
    }
    lines.join("\n")
}

fn gates_text(verdict: &str, gates: &[Value]) -> String {
    let mut table = Table::new(&["PACKAGE", "GATE", "VERDICT", "REASON"]);
    for gate in gates {
        table.row(["package", "gate", "verdict", "reason"].map(|member| cell(gate, member)));
    }
    format!("{}\nverdict: {}; nothing was changed", table.render(), clean(verdict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_that_moved_has_its_line() {
        let answer = json!({"seq": 18, "channel": "prod", "transitions": [
            {"package": "raw:a", "from": "1.4.1", "to": "1.4.2"},
            {"package": "raw:b", "from": null, "to": "2"},
        ]});
        assert_eq!(
            moved_text("promoted to", "prod", &answer),
            "promoted to prod: raw:a 1.4.1 → 1.4.2\npromoted to prod: raw:b nothing → 2"
        );
        let same = json!({"seq": 18, "channel": "prod", "transitions": []});
        assert!(moved_text("promoted to", "prod", &same).contains("nothing moved"));
    }

    #[test]
    fn gates_are_listed_with_the_verdict() {
        let gates = [json!({"package": "raw:a", "gate": "hold", "verdict": "fail", "reason": "r"})];
        let text = gates_text("fail", &gates);
        assert!(text.contains("raw:a    hold  fail     r"), "{text}");
        assert!(text.ends_with("verdict: fail; nothing was changed"));
    }

    #[test]
    fn a_number_becomes_a_quoted_tag() {
        assert_eq!(if_match(Some(17))[IF_MATCH], "\"17\"");
        assert!(if_match(None).is_empty());
    }
}
