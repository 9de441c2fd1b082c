//! `login`, `logout`: a token saved for a server, so that it need not be in the environment.

use std::io::{IsTerminal, Read};

use serde_json::json;

use crate::address::{server_key, server_url};
use crate::client::Client;
use crate::credentials::{Source, Store, TOKEN_BYTES_MAX, Token};
use crate::environment::Environment;
use crate::failure::{Failure, Outcome};
use crate::output::{Output, ask};
use crate::verbs::find_text;

/// Reads a token from standard input, asks the server whether it is good, and saves it.
pub(crate) async fn login(environment: &Environment, output: Output) -> Result<Outcome, Failure> {
    let base = server_url(environment)?;
    let server = server_key(&base);
    let store = store(environment)?;
    let token = read_token(&server)?;
    let client = Client::with_token(base, Some(token.clone()), Source::Saved, None)?;
    let answer = client.get(client.url(&["api", "v1", "whoami"], &[])).await?;
    store.save(&server, &token)?;
    let name = find_text(&answer.body, "name").unwrap_or("somebody").to_owned();
    output.answer(&answer.body, || {
        format!("logged in to {server} as {name}; saved in {}", store.path().display())
    });
    for variable in ["INGOT_TOKEN", "INGOT_TOKEN_FILE"] {
        if environment.var(variable).is_some() {
            output.note(&format!("{variable} is set, and goes before what was saved"));
        }
    }
    Ok(Outcome::Done)
}

/// Forgets the token saved for the server. The token itself stays good until it is revoked.
pub(crate) fn logout(environment: &Environment, output: Output) -> Result<Outcome, Failure> {
    let server = server_key(&server_url(environment)?);
    let forgot = store(environment)?.forget(&server)?;
    output.answer(&json!({"server": server, "forgotten": forgot}), || {
        if forgot {
            format!("the token for {server} is forgotten here; `ingot token revoke` ends it")
        } else {
            format!("no token was saved for {server}")
        }
    });
    Ok(Outcome::Done)
}

fn store(environment: &Environment) -> Result<Store, Failure> {
    Store::of(environment).ok_or_else(|| {
        Failure::Usage(
            "there is no place to save a token: neither HOME nor XDG_CONFIG_HOME is set; \
             set INGOT_TOKEN_FILE instead"
                .to_owned(),
        )
    })
}

fn read_token(server: &str) -> Result<Token, Failure> {
    let failed = |error: std::io::Error| {
        Failure::local(format!("the token cannot be read from standard input: {error}"))
    };
    let text = if std::io::stdin().is_terminal() {
        ask(&format!("token for {server} (it is not shown): "));
        console::Term::stderr().read_secure_line().map_err(failed)?
    } else {
        let mut text = String::new();
        let limit = TOKEN_BYTES_MAX as u64 + 64;
        std::io::stdin().lock().take(limit).read_to_string(&mut text).map_err(failed)?;
        text
    };
    Token::parse(&text).map_err(|why| Failure::Usage(format!("standard input: {why}")))
}
