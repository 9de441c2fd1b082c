//! `serve` and `config`: this process as the server, and what it would be configured with.

use ingot_server::{Config, Loaded};
use serde_json::json;

use crate::args::{ConfigVerb, Serve, StoreArgs};
use crate::environment::Environment;
use crate::failure::{Failure, Outcome};
use crate::output::{Form, Output};

/// Runs the server until it is told to stop.
pub(crate) async fn serve(
    environment: &Environment,
    output: Output,
    args: &Serve,
) -> Result<Outcome, Failure> {
    let config = load(environment, &args.store, args.listen.as_deref())?.config;
    ingot_server::logs::start(&config.log).map_err(|error| misconfigured(&error))?;
    let token_file = config.storage.data.join(ingot_server::serve::ADMIN_TOKEN_FILE);
    let started = ingot_server::start(config).await.map_err(|error| serve_failed(&error))?;
    match output.form() {
        Form::Json => output.json(&json!({
            "url": started.url(),
            "address": started.address().to_string(),
            "admin_token_file": started.welcome().map(|_| token_file),
        })),
        Form::Text => match started.welcome() {
            Some(welcome) => output.line(welcome.trim_end()),
            None => output.line(&format!("Ingot is up at {}", started.url())),
        },
    }
    started.run().await.map_err(|error| serve_failed(&error))?;
    Ok(Outcome::Done)
}

/// Checks or shows the configuration.
pub(crate) fn config(
    environment: &Environment,
    output: Output,
    verb: &ConfigVerb,
) -> Result<Outcome, Failure> {
    let (ConfigVerb::Check(args) | ConfigVerb::Show(args)) = verb;
    let loaded = load(environment, &args.store, args.listen.as_deref())?;
    match verb {
        ConfigVerb::Check(_) => {
            output.answer(&json!({"ok": true}), || "the configuration is sound".to_owned());
        }
        ConfigVerb::Show(_) => {
            let sources: serde_json::Map<String, serde_json::Value> = loaded
                .sources
                .iter()
                .map(|(key, source)| (key.clone(), json!(source.to_string())))
                .collect();
            let document = json!({"config": loaded.config, "sources": sources});
            output.answer(&document, || loaded.show().trim_end().to_owned());
        }
    }
    Ok(Outcome::Done)
}

/// The configuration: flags over the environment over the file over defaults.
pub(crate) fn load(
    environment: &Environment,
    store: &StoreArgs,
    listen: Option<&str>,
) -> Result<Loaded, Failure> {
    let mut flags = Vec::new();
    if let Some(data) = &store.data {
        let text = data.to_str().ok_or_else(|| {
            Failure::Usage(format!("--data {}: the path is not UTF-8", data.display()))
        })?;
        flags.push(("storage.data", text.to_owned(), "--data"));
    }
    if let Some(listen) = listen {
        flags.push(("server.listen", listen.to_owned(), "--listen"));
    }
    ingot_server::load(store.config.as_deref(), environment.pairs(), &flags)
        .map_err(|error| misconfigured(&error))
}

/// The configuration of a store alone.
pub(crate) fn load_store(environment: &Environment, store: &StoreArgs) -> Result<Config, Failure> {
    Ok(load(environment, store, None)?.config)
}

fn misconfigured(error: &dyn std::fmt::Display) -> Failure {
    Failure::Failed { code: "misconfigured", detail: error.to_string(), hint: None }
}

fn serve_failed(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Failed { code: "serve_failed", detail: error.to_string(), hint: None }
}
