//! `project`: make and show projects.

use serde_json::{Value, json};

use crate::args::{Project, ProjectCreate};
use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::table::{Table, clean};
use crate::verbs::{cell, find_text, list};

pub(crate) async fn project(session: &Session, args: &Project) -> Result<Outcome, Failure> {
    match args {
        Project::Create(args) => create(session, args).await,
        Project::Show { name } => {
            let name = name.as_ref().unwrap_or(&session.project);
            let answer = session.client.get(session.client.api(name.as_str(), &[], &[])).await?;
            session.output.answer(&answer.body, || channels_text(&answer.body));
            Ok(Outcome::Done)
        }
        Project::List => show_list(session).await,
    }
}

async fn create(session: &Session, args: &ProjectCreate) -> Result<Outcome, Failure> {
    if let Some(stranger) = args.protect.iter().find(|name| !args.channels.contains(name)) {
        return Err(Failure::Usage(format!("--protect {stranger}: it is not among --channels")));
    }
    let url = session.client.api(args.name.as_str(), &[], &[]);
    let answer = session.client.put(url, &definition(args)).await?;
    let made = if answer.status == reqwest::StatusCode::CREATED { "made" } else { "is so" };
    session.output.answer(&answer.body, || {
        format!("project {} {made}\n{}", args.name, channels_text(&answer.body))
    });
    Ok(Outcome::Done)
}

/// A chain: each channel is fed from the one before.
fn definition(args: &ProjectCreate) -> Value {
    let mut before = None;
    let mut channels = Vec::new();
    for name in &args.channels {
        let mut channel = json!({"name": name});
        if let Some(before) = before {
            channel["from"] = json!(before);
        }
        if args.protect.contains(name) {
            channel["protected"] = json!(true);
        }
        channels.push(channel);
        before = Some(name);
    }
    json!({"channels": channels})
}

fn channels_text(document: &Value) -> String {
    let channels = document.get("channels").and_then(Value::as_array);
    let mut table = Table::new(&["CHANNEL", "FROM", "PROTECTED"]);
    for channel in channels.into_iter().flatten() {
        let protected = channel.get("protected").and_then(Value::as_bool).unwrap_or(false);
        let protected = if protected { "yes" } else { "no" };
        table.row([cell(channel, "name"), cell(channel, "from"), protected.to_owned()]);
    }
    table.render()
}

async fn show_list(session: &Session) -> Result<Outcome, Failure> {
    let url = session.client.url(&["api", "v1", "projects"], &[]);
    let answer = session.client.get(url).await?;
    let items = list(&answer.body, "items")?;
    session.output.answer(&answer.body, || {
        let name = |item: &Value| {
            let known = ["name", "project"].into_iter().find_map(|member| find_text(item, member));
            clean(item.as_str().or(known).unwrap_or("-"))
        };
        items.iter().map(name).collect::<Vec<_>>().join("\n")
    });
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_are_a_chain() {
        let names = |text: &str| text.split(',').map(|name| name.parse().unwrap()).collect();
        let args = ProjectCreate {
            name: "acme".parse().unwrap(),
            channels: names("test,prod"),
            protect: names("prod"),
        };
        assert_eq!(
            definition(&args),
            json!({"channels": [
                {"name": "test"}, {"name": "prod", "from": "test", "protected": true}]})
        );
    }
}
