//! The only place of this crate that writes to standard output and standard error.
//!
//! Standard output carries the answer and nothing else: text for people, or with `--json` one
//! JSON document. Everything said along the way goes to standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::Value;

use crate::failure::Failure;
use crate::table::{clean, clean_lines};

/// How the answer is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// Text for people.
    Text,
    /// One JSON document.
    Json,
}

/// Where answers, notes and progress go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    form: Form,
}

impl Output {
    pub(crate) fn new(form: Form) -> Self {
        Self { form }
    }

    /// How the answer is wanted.
    pub(crate) fn form(&self) -> Form {
        self.form
    }

    /// Gives the answer: `text` to people, the document with `--json`.
    pub(crate) fn answer(&self, document: &Value, text: impl FnOnce() -> String) {
        match self.form {
            Form::Json => self.json(document),
            Form::Text => line_out(&text()),
        }
    }

    /// Writes a document: on one line, or indented where a person is looking.
    pub(crate) fn json(&self, document: &Value) {
        let text = if std::io::stdout().is_terminal() {
            serde_json::to_string_pretty(document)
        } else {
            serde_json::to_string(document)
        };
        line_out(&text.expect("a JSON value has no keys but text"));
    }

    /// Writes a line of text to standard output, whatever the form.
    pub(crate) fn line(&self, text: &str) {
        line_out(text);
    }

    /// Says something along the way; left out with `--json`.
    pub(crate) fn note(&self, text: &str) {
        if self.form == Form::Text {
            line_err(&format!("note: {}", clean(text)));
        }
    }

    /// Says why it did not work: a problem document on standard output with `--json`, words on
    /// standard error otherwise.
    pub(crate) fn failure(&self, failure: &Failure, hint: Option<&str>) {
        match self.form {
            Form::Json => self.json(&failure.document(hint)),
            Form::Text => line_err(&failure_text(failure, hint)),
        }
    }

    /// A counter for work of unknown amount; drawn only where standard error is a terminal.
    pub(crate) fn count(&self, what: &str) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{human_pos} {msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(clean(what));
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }

    /// A bar for `size_bytes` bytes of work; drawn only where standard error is a terminal.
    pub(crate) fn progress(&self, what: &str, size_bytes: u64) -> ProgressBar {
        if !std::io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::with_draw_target(Some(size_bytes), ProgressDrawTarget::stderr());
        let template = "{msg} {wide_bar} {binary_bytes}/{binary_total_bytes} \
                        {binary_bytes_per_sec} {eta}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(clean(what));
        bar.enable_steady_tick(Duration::from_millis(250));
        bar
    }
}

/// What people are told when it did not work.
fn failure_text(failure: &Failure, hint: Option<&str>) -> String {
    let mut lines = vec![match failure {
        Failure::Usage(detail) => format!("error: {}", clean_lines(detail)),
        Failure::Failed { detail, .. } => format!("error: {}", clean_lines(detail)),
        Failure::Refused(problem) => {
            format!("error: {} ({} {})", clean(problem.detail()), problem.status, problem.code())
        }
    }];
    if let Some(hint) = hint {
        lines.extend(clean_lines(hint).lines().map(|line| format!("  {line}")));
    }
    if let Failure::Refused(problem) = failure
        && problem.status >= 500
        && let Some(id) = problem.text("request_id")
    {
        lines.push(format!("  the server's log names this request {}", clean(id)));
    }
    lines.join("\n")
}

// A reader that went away (`ingot … | head`) is no reason to fail: the work is done.
fn line_out(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn line_err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes a question to standard error without ending the line.
pub(crate) fn ask(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = write!(err, "{text}").and_then(|()| err.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::Problem;

    #[test]
    fn people_read_reason_code_hint_and_for_our_faults_the_request() {
        let problem = |status, body| Failure::Refused(Box::new(Problem::of_answer(status, body)));
        let held = problem(409, r#"{"code":"held","detail":"raw:a is held","request_id":"r1"}"#);
        assert_eq!(
            failure_text(&held, Some("lift it:\n  ingot lift raw:a --in prod")),
            "error: raw:a is held (409 held)\n  lift it:\n    ingot lift raw:a --in prod"
        );
        let broken = problem(500, r#"{"code":"internal","detail":"oh","request_id":"r2"}"#);
        assert!(failure_text(&broken, None).ends_with("this request r2"));
    }

    #[test]
    fn a_refusal_does_not_steer_the_terminal() {
        let body = "{\"code\":\"x\",\"detail\":\"a\\u001b[2J\"}";
        let failure = Failure::Refused(Box::new(Problem::of_answer(400, body)));
        assert!(!failure_text(&failure, None).contains('\u{1b}'));
    }
}
