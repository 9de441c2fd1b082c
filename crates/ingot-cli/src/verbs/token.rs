//! `token`: make, list and end tokens.

use serde_json::{Value, json};

use crate::args::{Right, Token, TokenCreate};
use crate::failure::{Failure, Outcome};
use crate::moment;
use crate::session::Session;
use crate::table::Table;
use crate::verbs::{cell, find_text, list, text, texts};

pub(crate) async fn token(session: &Session, args: &Token) -> Result<Outcome, Failure> {
    match args {
        Token::Create(args) => create(session, args).await,
        Token::List => show_list(session).await,
        Token::Revoke { id } => revoke(session, id).await,
    }
}

async fn create(session: &Session, args: &TokenCreate) -> Result<Outcome, Failure> {
    let url = session.client.api(session.project(), &["tokens"], &[]);
    // Not repeated by itself: the server keeps no secret that it could answer with again.
    let answer = session.client.post_once(url, &wish(args)).await?;
    let token = text(&answer.body, "token")?;
    // Alone on standard output, so that it can go into a file or a secret store by a pipe.
    session.output.answer(&answer.body, || token.to_owned());
    let id = find_text(&answer.body, "id").unwrap_or("-");
    session.output.note(&format!(
        "this is the only time the token is shown; `ingot token revoke {id}` ends it"
    ));
    Ok(Outcome::Done)
}

fn wish(args: &TokenCreate) -> Value {
    let actions: Vec<&str> = args
        .allow
        .iter()
        .map(|right| match right {
            Right::Read => "read",
            Right::Publish => "publish",
            Right::Promote => "promote",
            Right::Admin => "admin",
        })
        .collect();
    let mut grant = json!({"actions": actions, "packages": args.packages});
    if !args.view.is_empty() {
        grant["views"] = json!(args.view);
    }
    json!({"name": args.name, "grants": [grant], "expires_in": args.expires_in})
}

async fn show_list(session: &Session) -> Result<Outcome, Failure> {
    let url = session.client.api(session.project(), &["tokens"], &[]);
    let answer = session.client.get(url).await?;
    let items = list(&answer.body, "items")?;
    session.output.answer(&answer.body, || list_text(items));
    Ok(Outcome::Done)
}

fn list_text(items: &[Value]) -> String {
    let mut table = Table::new(&["ID", "NAME", "EXPIRES", "GRANTS"]);
    for token in items {
        let grants = token.get("grants").and_then(Value::as_array);
        let grants: Vec<String> = grants.into_iter().flatten().map(grant_text).collect();
        table.row([
            cell(token, "id"),
            cell(token, "name"),
            moment::shown(&cell(token, "expires_at")),
            grants.join("; "),
        ]);
    }
    table.render()
}

/// `read,publish raw:app* in prod`.
fn grant_text(grant: &Value) -> String {
    let actions = texts(grant, "actions").join(",");
    let packages = find_text(grant, "packages").unwrap_or("*");
    let views = texts(grant, "views");
    if views.is_empty() {
        return format!("{actions} {packages}");
    }
    format!("{actions} {packages} in {}", views.join(","))
}

async fn revoke(session: &Session, id: &str) -> Result<Outcome, Failure> {
    if id.contains('_') || id.is_empty() {
        return Err(Failure::Usage(
            "name the token by its id, as `ingot token list` shows it; never by the token itself, \
             since arguments show in the process list"
                .to_owned(),
        ));
    }
    let url = session.client.api(session.project(), &["tokens", id], &[]);
    let answer = session.client.delete(url).await?;
    let document = match answer.body {
        Value::Null => json!({"id": id, "revoked": true}),
        document => document,
    };
    session.output.answer(&document, || format!("token {id} is revoked"));
    Ok(Outcome::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_one_grant() {
        let args = TokenCreate {
            name: "ci".into(),
            allow: vec![Right::Read, Right::Publish],
            packages: "raw:app*".into(),
            view: vec!["full".into()],
            expires_in: "30d".into(),
        };
        assert_eq!(
            wish(&args),
            json!({"name": "ci", "expires_in": "30d", "grants": [
                {"actions": ["read", "publish"], "packages": "raw:app*", "views": ["full"]}]})
        );
    }

    #[test]
    fn grants_are_shown_short() {
        let grant = json!({"actions": ["read"], "packages": "raw:a", "views": ["prod"]});
        assert_eq!(grant_text(&grant), "read raw:a in prod");
        assert_eq!(grant_text(&json!({"actions": ["admin"], "packages": "*"})), "admin *");
    }
}
