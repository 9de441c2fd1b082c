//! From a parsed command line to an exit code.

use ingot_core::ProjectName;

use crate::args::{Cli, IndexVerb, Verb};
use crate::client::Client;
use crate::demo;
use crate::environment::Environment;
use crate::failure::{DONE, FAILED, Failure, Outcome};
use crate::hints::{Context, hint};
use crate::output::{Form, Output};
use crate::server;
use crate::session::Session;
use crate::store;
use crate::verbs::channels::HoldVerb;
use crate::verbs::releases::BlockVerb;
use crate::verbs::{account, channels, fetch, look, project, publish, releases, token, whatis};

/// The project that is meant when nothing names another.
const DEFAULT_PROJECT: &str = "main";

/// Does what the command line asks, and says how it ended.
pub(crate) fn run(cli: &Cli) -> u8 {
    let environment = Environment::of_process();
    let output = Output::new(if cli.common.json { Form::Json } else { Form::Text });
    let mut context = Context::of(cli);
    let ended = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(verb(cli, environment, output, &mut context)),
        Err(error) => Err(Failure::local(format!("cannot start threads: {error}"))),
    };
    match ended {
        Ok(Outcome::Done) => DONE,
        Ok(Outcome::Refused) => FAILED,
        Err(failure) => {
            output.failure(&failure, hint(&failure, &context).as_deref());
            failure.exit_code()
        }
    }
}

/// Dropping what was underway lets temporary files go; a bare signal would leave them.
fn interrupted() -> Failure {
    Failure::Failed { code: "interrupted", detail: "interrupted".to_owned(), hint: None }
}

async fn verb(
    cli: &Cli,
    environment: Environment,
    output: Output,
    context: &mut Context,
) -> Result<Outcome, Failure> {
    match &cli.verb {
        // The server has its own way to stop.
        Verb::Serve(args) => server::serve(&environment, output, args).await,
        Verb::Config(verb) => server::config(&environment, output, verb),
        // A thread that waits for a line of input hears no other way to be interrupted.
        Verb::Login => account::login(&environment, output).await,
        Verb::Logout => account::logout(&environment, output),
        _ => tokio::select! {
            ended = interruptible(cli, environment, output, context) => ended,
            _ = tokio::signal::ctrl_c() => Err(interrupted()),
        },
    }
}

async fn interruptible(
    cli: &Cli,
    environment: Environment,
    output: Output,
    context: &mut Context,
) -> Result<Outcome, Failure> {
    match &cli.verb {
        Verb::Demo => return demo::demo(&environment, output).await,
        Verb::Verify(args) => return store::verify(&environment, output, args).await,
        Verb::Index(IndexVerb::Rebuild(args)) => {
            return store::rebuild_index(&environment, output, args).await;
        }
        _ => {}
    }
    let client = Client::new(&environment, cli.common.idempotency_key.as_deref())?;
    context.token = Some(client.token_source());
    context.key = Some(client.idempotency_key().to_owned());
    let project = project_name(cli, &environment)?;
    let session = Session { client, project, output, environment };
    match &cli.verb {
        Verb::Publish(args) => publish::publish(&session, args).await,
        Verb::Seal(args) => releases::seal(&session, args).await,
        Verb::Promote(args) => channels::promote(&session, args).await,
        Verb::Rollback(args) => channels::rollback(&session, args).await,
        Verb::Hold(args) => channels::hold(&session, HoldVerb::Hold, args).await,
        Verb::Lift(args) => channels::hold(&session, HoldVerb::Lift, args).await,
        Verb::Block(args) => releases::block(&session, BlockVerb::Block, args).await,
        Verb::Unblock(args) => releases::block(&session, BlockVerb::Unblock, args).await,
        Verb::Status(args) => look::status(&session, args).await,
        Verb::History(args) => look::history(&session, args).await,
        Verb::Show(args) => look::show(&session, args).await,
        Verb::Fetch(args) => fetch::fetch(&session, args).await,
        Verb::Whatis(args) => whatis::whatis(&session, args).await,
        Verb::Token(args) => token::token(&session, args).await,
        Verb::Project(args) => project::project(&session, args).await,
        Verb::Serve(_)
        | Verb::Config(_)
        | Verb::Verify(_)
        | Verb::Index(_)
        | Verb::Demo
        | Verb::Login
        | Verb::Logout => unreachable!("handled before a client is needed"),
    }
}

fn project_name(cli: &Cli, environment: &Environment) -> Result<ProjectName, Failure> {
    if let Some(project) = &cli.common.project {
        return Ok(project.clone());
    }
    let name = environment.var("INGOT_PROJECT").unwrap_or(DEFAULT_PROJECT);
    ProjectName::new(name)
        .map_err(|refusal| Failure::Usage(format!("INGOT_PROJECT: {}", refusal.detail())))
}
