//! What to do next when the server refused: the command to type, where there is one.

use serde_json::Value;

use crate::args::{Cli, Verb};
use crate::credentials::Source;
use crate::failure::{Failure, Problem};
use crate::verbs::{find_text, texts};

/// What was asked for, as far as hints need it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Context {
    /// ` --project NAME`, where it was given.
    project: String,
    channel: Option<String>,
    /// The first package.
    package: Option<String>,
    /// The first release.
    release: Option<String>,
    commit: Option<String>,
    is_rollback: bool,
    /// Where the token came from, once it was looked for.
    pub(crate) token: Option<Source>,
    /// The key by which the command can be repeated, once there is one.
    pub(crate) key: Option<String>,
}

impl Context {
    pub(crate) fn of(cli: &Cli) -> Self {
        let project = cli.common.project.as_ref();
        let mut context = Self {
            project: project.map_or_else(String::new, |name| format!(" --project {name}")),
            ..Self::default()
        };
        let mut release = |package: &dyn ToString, release: Option<String>| {
            context.package = Some(package.to_string());
            context.release = release;
        };
        match &cli.verb {
            Verb::Publish(args) => {
                let (package, version) = &args.release;
                release(package, Some(format!("{package}@{version}")));
            }
            Verb::Seal(args) => {
                if let Some(first) = args.releases.first() {
                    release(&first.package, Some(first.to_string()));
                }
            }
            Verb::Promote(args) => {
                if let Some(first) = args.releases.first() {
                    release(&first.package, Some(first.to_string()));
                }
                context.channel = Some(args.to.to_string());
                context.commit = args.commit.as_ref().map(ToString::to_string);
            }
            Verb::Rollback(args) => {
                if let Some(first) = args.packages.first() {
                    release(first, None);
                }
                context.channel = Some(args.channel.to_string());
                context.is_rollback = true;
            }
            Verb::Hold(args) | Verb::Lift(args) => {
                if let Some(first) = args.packages.first() {
                    release(first, None);
                }
                context.channel = Some(args.channel.to_string());
            }
            Verb::Block(args) | Verb::Unblock(args) => {
                release(&args.release.package, Some(args.release.to_string()));
            }
            Verb::Status(args) => context.channel = args.channel.as_ref().map(ToString::to_string),
            Verb::History(args) => context.channel = Some(args.channel.to_string()),
            Verb::Show(args) => release(&args.target.package, None),
            Verb::Fetch(args) => {
                release(&args.target.package, None);
                context.channel = args.channel.as_ref().map(ToString::to_string);
            }
            _ => {}
        }
        context
    }

    fn command(&self, rest: &str) -> String {
        format!("ingot {rest}{}", self.project)
    }
}

/// What to do next, where it can be said.
pub(crate) fn hint(failure: &Failure, context: &Context) -> Option<String> {
    match failure {
        Failure::Usage(_) => None,
        Failure::Failed { hint, .. } => hint.clone(),
        Failure::Refused(problem) => of_problem(problem, context),
    }
}

fn of_problem(problem: &Problem, context: &Context) -> Option<String> {
    let channel = problem.text("channel").or(context.channel.as_deref());
    let package = problem.text("package").or(context.package.as_deref());
    let or_name = |name: Option<&str>, placeholder: &str| name.unwrap_or(placeholder).to_owned();
    let (in_channel, of_package) = (or_name(channel, "CHANNEL"), or_name(package, "PACKAGE"));
    let command = |rest: String| Some(context.command(&rest));
    match problem.code() {
        "unauthenticated" => Some(token_hint(context.token).to_owned()),
        "forbidden" => Some(
            "an admin makes a token that may: ingot token create NAME --allow RIGHT,…".to_owned(),
        ),
        "not_in_from" => {
            let next = problem.members.get("next");
            let member = |name: &str| next.and_then(|next| find_text(next, name));
            let to = member("channel")?;
            if let Some(commit) = &context.commit {
                return command(format!("promote --commit {commit} --to {to}"));
            }
            let (package, version) = (member("package")?, member("version")?);
            command(format!("promote {package}@{version} --to {to}"))
        }
        "held" => {
            let lift = context.command(&format!("lift {of_package} --in {in_channel} --reason …"));
            let earlier = texts(&Value::Object(problem.members.clone()), "earlier");
            let back = earlier.first().filter(|_| context.is_rollback).map(|to| {
                let rest = format!("rollback {of_package} --in {in_channel} --to {to} --reason …");
                context.command(&rest)
            });
            Some(back.map_or_else(|| lift.clone(), |back| format!("{back}\nor\n{lift}")))
        }
        "ambiguous" => {
            let candidates = problem.members.get("candidates").and_then(Value::as_array);
            let names: Vec<String> = candidates
                .into_iter()
                .flatten()
                .filter_map(|at| {
                    Some(format!("{}@{}", find_text(at, "package")?, find_text(at, "version")?))
                })
                .collect();
            (!names.is_empty()).then(|| format!("one of:\n{}", names.join("\n")))
        }
        "content_conflict" | "origin_conflict" | "sealed" => {
            let release = context.release.as_deref()?;
            Some(format!("{} shows what is there", context.command(&format!("show {release}"))))
        }
        "not_found" => {
            let look = match (package, channel) {
                (_, Some(channel)) => context.command(&format!("status {channel}")),
                (Some(package), None) => context.command(&format!("show {package}")),
                (None, None) => return None,
            };
            Some(format!(
                "{look} shows what is there; a token that may not see it gets the same answer"
            ))
        }
        "no_previous" | "not_admitted" => {
            let history = context.command(&format!("history {in_channel} {of_package}"));
            Some(format!("{history} shows what was there"))
        }
        "precondition_failed" => {
            Some(format!("{} shows the number", context.command(&format!("status {in_channel}"))))
        }
        "not_promotable" => {
            Some(context.command(&format!("publish {}", context.release.as_deref()?)))
        }
        "idempotency_key_reused" => {
            Some("repeat exactly the command that showed the key, or leave it out".to_owned())
        }
        "outcome_unknown" => {
            let key = context.key.as_deref()?;
            Some(format!("repeat the command with --idempotency-key {key}; it does nothing twice"))
        }
        _ => None,
    }
}

fn token_hint(source: Option<Source>) -> &'static str {
    match source {
        None | Some(Source::Nowhere) => {
            "no token was sent; `ingot login < FILE` saves one, or set INGOT_TOKEN_FILE to a file \
             of mode 0600 that holds it\n(a fresh `ingot serve` writes one to \
             ingot-data/admin-token)"
        }
        Some(Source::Variable) => "the token in INGOT_TOKEN is not accepted: revoked or expired?",
        Some(Source::File) => {
            "the token in the file that INGOT_TOKEN_FILE names is not accepted: revoked or expired?"
        }
        Some(Source::Saved) => {
            "the saved token is not accepted: revoked or expired? `ingot login` takes a new one"
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    fn check(line: &str, problem: &Value, expected: &str) {
        let cli = Cli::try_parse_from(line.split_whitespace()).unwrap();
        let status = problem["status"].as_u64().unwrap_or(409) as u16;
        let failure = Failure::Refused(Box::new(Problem::of_answer(status, &problem.to_string())));
        let mut context = Context::of(&cli);
        context.key = Some("k1".to_owned());
        let hint = hint(&failure, &context).unwrap_or_default();
        assert!(hint.contains(expected), "{line}: {hint:?} lacks {expected:?}");
    }

    #[test]
    fn a_missing_step_is_the_command_that_takes_it() {
        let problem = json!({"code": "not_in_from", "detail": "",
            "next": {"package": "raw:a", "version": "1", "channel": "staging"}});
        check("ingot promote raw:a@1 --to prod", &problem, "ingot promote raw:a@1 --to staging");
        check(
            "ingot promote --commit abcdef0 --to prod --project p",
            &problem,
            "ingot promote --commit abcdef0 --to staging --project p",
        );
    }

    #[test]
    fn a_hold_is_lifted_or_gone_past() {
        let held = json!({"code": "held", "detail": "", "package": "raw:b", "channel": "prod"});
        check("ingot promote raw:b@2 --to prod", &held, "ingot lift raw:b --in prod --reason …");
        let held = json!({"code": "held", "detail": "", "package": "raw:b", "channel": "prod",
            "earlier": ["0.9", "0.8"]});
        check(
            "ingot rollback raw:b --in prod --reason x",
            &held,
            "ingot rollback raw:b --in prod --to 0.9 --reason …",
        );
    }

    #[test]
    fn candidates_are_listed() {
        let problem = json!({"code": "ambiguous", "detail": "", "candidates": [
            {"package": "raw:a", "version": "1"}, {"package": "raw:a", "version": "2"}]});
        check("ingot promote --commit abcdef0 --to dev", &problem, "raw:a@1\nraw:a@2");
    }

    #[test]
    fn who_is_asking_is_said_how_to_say() {
        let problem = json!({"code": "unauthenticated", "detail": "", "status": 401});
        check("ingot status prod", &problem, "ingot login");
    }

    #[test]
    fn each_other_common_code_has_its_next_step() {
        let code = |code: &str| json!({"code": code, "detail": ""});
        check("ingot publish raw:a@1 a.zip", &code("content_conflict"), "ingot show raw:a@1");
        check(
            "ingot rollback raw:a --in prod --reason x",
            &code("no_previous"),
            "history prod raw:a",
        );
        check(
            "ingot promote raw:a@1 --to prod --if-seq 3",
            &code("precondition_failed"),
            "status prod",
        );
        check("ingot promote raw:a@1 --to prod", &code("outcome_unknown"), "--idempotency-key k1");
        check("ingot promote raw:a@1 --to prod", &code("not_promotable"), "ingot publish raw:a@1");
        check("ingot show raw:a@9", &code("not_found"), "ingot show raw:a");
        check("ingot status nowhere", &code("not_found"), "ingot status nowhere");
        check("ingot promote raw:a@1 --to prod", &code("forbidden"), "token create");
    }
}
