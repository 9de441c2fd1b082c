//! `seal`, `block`, `unblock`: what is done to one release.

use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::args::{Block, Releases};
use crate::coordinate::ReleaseName;
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::verbs::find_text;

/// Which way a block goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockVerb {
    /// Set it.
    Block,
    /// End it.
    Unblock,
}

pub(crate) async fn seal(session: &Session, args: &Releases) -> Result<Outcome, Failure> {
    let mut answers = Vec::new();
    for release in &args.releases {
        answers.push(act(session, release, "seal", args.reason.as_deref()).await?);
    }
    let lines = || {
        let line = |(release, answer): (&ReleaseName, &Value)| {
            format!("sealed {release}, digest {}", find_text(answer, "digest").unwrap_or("-"))
        };
        let lines: Vec<String> = args.releases.iter().zip(&answers).map(line).collect();
        lines.join("\n")
    };
    match answers.as_slice() {
        [one] => session.output.answer(one, lines),
        several => session.output.answer(&json!({"items": several, "next": null}), lines),
    }
    Ok(Outcome::Done)
}

pub(crate) async fn block(
    session: &Session,
    verb: BlockVerb,
    args: &Block,
) -> Result<Outcome, Failure> {
    let (path, words) = match verb {
        BlockVerb::Block => ("block", "is blocked: nobody can fetch it, in any view"),
        BlockVerb::Unblock => ("unblock", "is served again"),
    };
    let answer = act(session, &args.release, path, args.reason.as_deref()).await?;
    session.output.answer(&answer, || format!("{} {words}", args.release));
    if verb == BlockVerb::Block
        && let Some(channels) = answer.get("channels").and_then(Value::as_object)
    {
        let current = |standing: &Value| standing.get("current") == Some(&json!(true));
        for (channel, _) in channels.iter().filter(|(_, standing)| current(standing)) {
            session.output.note(&format!(
                "it is current in {channel}: `ingot rollback {} --in {channel} --reason …`",
                args.release.package
            ));
        }
    }
    Ok(Outcome::Done)
}

/// Posts to an action of one release, and gives the answer.
pub(crate) async fn act(
    session: &Session,
    release: &ReleaseName,
    action: &str,
    reason: Option<&str>,
) -> Result<Value, Failure> {
    let package = release.package.to_string();
    let path = ["packages", package.as_str(), "releases", release.reference.as_str(), action];
    let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
    let url = session.client.api(session.project(), &path, &[]);
    Ok(session.client.post(url, &body, HeaderMap::new()).await?.body)
}
