//! Why a verb did not do what it was asked, and the exit code that says so.

use serde_json::{Map, Value, json};

/// Exit code of a verb that did what it was asked.
pub(crate) const DONE: u8 = 0;
/// Exit code of a verb that was refused or failed.
pub(crate) const FAILED: u8 = 1;
/// Exit code of a command line that makes no sense.
pub(crate) const USAGE: u8 = 2;

/// How a verb that gave its answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// What was asked for is so.
    Done,
    /// The answer is a "no" that needs no further words: a failed gate, nothing found.
    Refused,
}

/// A problem document (RFC 9457) that the server answered with.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    /// The HTTP status.
    pub(crate) status: u16,
    /// All members; made here when the answer was no problem document.
    pub(crate) members: Map<String, Value>,
}

impl Problem {
    /// Reads an answer that is no success. What is not a problem document (a proxy's page, say)
    /// becomes one with the code `http_<status>` and the first line of the text.
    pub(crate) fn of_answer(status: u16, body: &str) -> Self {
        if let Ok(Value::Object(members)) = serde_json::from_str(body)
            && members.get("code").is_some_and(Value::is_string)
        {
            return Self { status, members };
        }
        let first: String = body.lines().next().unwrap_or("").trim().chars().take(200).collect();
        let detail = if first.is_empty() || first.starts_with('<') {
            format!("the answer was HTTP {status} without words that Ingot would use")
        } else {
            first
        };
        let mut members = Map::new();
        members.insert("title".to_owned(), json!("Not an answer of Ingot"));
        members.insert("status".to_owned(), json!(status));
        members.insert("detail".to_owned(), json!(detail));
        members.insert("code".to_owned(), json!(format!("http_{status}")));
        Self { status, members }
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        self.text("code").unwrap_or("")
    }

    /// What happened.
    pub(crate) fn detail(&self) -> &str {
        self.text("detail").or_else(|| self.text("title")).unwrap_or("no reason was given")
    }

    /// A member that is text.
    pub(crate) fn text(&self, member: &str) -> Option<&str> {
        self.members.get(member)?.as_str()
    }
}

/// Why a verb did not do what it was asked.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    /// The command line makes no sense; says what would.
    Usage(String),
    /// The server refused.
    Refused(Box<Problem>),
    /// Something here or on the way went wrong.
    Failed {
        /// A stable code of this client: `unreachable`, `no_answer`, `local`, `damaged`, …
        code: &'static str,
        /// What happened.
        detail: String,
        /// What to do next, where the code alone does not tell.
        hint: Option<String>,
    },
}

impl Failure {
    /// Something on this machine, such as a file that can't be read.
    pub(crate) fn local(detail: impl Into<String>) -> Self {
        Self::Failed { code: "local", detail: detail.into(), hint: None }
    }

    /// An answer of the server that this client does not understand.
    pub(crate) fn strange(detail: impl Into<String>) -> Self {
        Self::Failed {
            code: "strange_answer",
            detail: detail.into(),
            hint: Some("is INGOT_URL the address of an Ingot server, and of this version?".into()),
        }
    }

    /// The exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Usage(_) => USAGE,
            Failure::Refused(_) | Failure::Failed { .. } => FAILED,
        }
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &str {
        match self {
            Failure::Usage(_) => "usage",
            Failure::Refused(problem) => problem.code(),
            Failure::Failed { code, .. } => code,
        }
    }

    /// The failure as a problem document. The server's comes out as it came in.
    pub(crate) fn document(&self, hint: Option<&str>) -> Value {
        let (title, detail) = match self {
            Failure::Refused(problem) => return Value::Object(problem.members.clone()),
            Failure::Usage(detail) => ("The command line makes no sense", detail),
            Failure::Failed { detail, .. } => ("Ingot's client could not do it", detail),
        };
        let mut document = json!({
            "type": "about:blank",
            "title": title,
            "detail": detail,
            "code": self.code(),
            "error": detail,
        });
        if let Some(hint) = hint {
            document["hint"] = json!(hint);
        }
        document
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_kept_whole() {
        let body = r#"{"code":"held","detail":"held in prod","status":409,"channel":"prod"}"#;
        let problem = Problem::of_answer(409, body);
        assert_eq!((problem.code(), problem.detail()), ("held", "held in prod"));
        assert_eq!(problem.text("channel"), Some("prod"));
        let failure = Failure::Refused(Box::new(problem));
        assert_eq!(failure.document(None), serde_json::from_str::<Value>(body).unwrap());
        assert_eq!(failure.exit_code(), FAILED);
    }

    #[test]
    fn a_page_of_somebody_else_becomes_a_problem() {
        let check = |body: &str, detail: &str| {
            let problem = Problem::of_answer(502, body);
            assert_eq!(problem.code(), "http_502");
            assert!(problem.detail().contains(detail), "{}", problem.detail());
        };
        check("<html><body>Bad Gateway</body></html>", "HTTP 502");
        check("upstream went away\nmore", "upstream went away");
        check("", "HTTP 502");
        check(r#"{"message":"not ours"}"#, "not ours");
    }

    #[test]
    fn our_own_failures_have_the_same_shape() {
        let failure = Failure::local("no such file");
        let document = failure.document(Some("look again"));
        assert_eq!(document["code"], "local");
        assert_eq!(document["hint"], "look again");
        assert_eq!(Failure::Usage("x".into()).exit_code(), USAGE);
    }
}
