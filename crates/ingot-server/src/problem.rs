//! How a refusal is told: one table from code to status, one renderer for every dialect.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use ingot_core::format::{Dialect, Wording};
use ingot_core::{Code, Refusal};
use serde_json::{Map, Value};

use crate::path::printable;

/// What `Retry-After` says with a 503 or 429.
pub const RETRY_AFTER: Duration = Duration::from_secs(2);
/// The challenge of a 401: Maven and Gradle send credentials only after it.
pub const CHALLENGE: &str = "Basic realm=\"ingot\"";

/// The HTTP status of a code. No wildcard: a new code does not compile until it has its status.
pub fn status(code: Code) -> StatusCode {
    match code {
        Code::BadRequest | Code::BadPath | Code::DigestMismatch => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Forbidden | Code::Blocked => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
        Code::Timeout => StatusCode::REQUEST_TIMEOUT,
        Code::ContentConflict
        | Code::OriginConflict
        | Code::Retired
        | Code::Sealed
        | Code::CaseConflict
        | Code::Ambiguous
        | Code::NotInFrom
        | Code::Held
        | Code::IsCurrent
        | Code::NoPrevious
        | Code::NotAdmitted
        | Code::AliasTaken
        | Code::ChannelInUse
        | Code::DraftIncomplete => StatusCode::CONFLICT,
        Code::LengthRequired => StatusCode::LENGTH_REQUIRED,
        Code::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
        Code::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Code::UriTooLong => StatusCode::URI_TOO_LONG,
        Code::UnsupportedMedia => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        Code::Invalid | Code::Reserved | Code::NotPromotable | Code::KeyReused => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        Code::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
        Code::HeadTooLarge => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
        Code::Internal | Code::Damaged => StatusCode::INTERNAL_SERVER_ERROR,
        Code::OutcomeUnknown | Code::Unavailable | Code::NotCaughtUp => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        Code::NoSpace => StatusCode::INSUFFICIENT_STORAGE,
    }
}

/// The status for a format's clients, which know another one for some codes.
pub fn status_for(code: Code, dialect: &Dialect) -> StatusCode {
    let own = dialect.statuses.iter().find(|(known, _)| *known == code);
    own.and_then(|(_, number)| StatusCode::from_u16(*number).ok()).unwrap_or_else(|| status(code))
}

/// The words a client reads. What went wrong inside is for the log alone.
fn detail(refusal: &Refusal) -> &str {
    match refusal.code() {
        Code::Internal => "the operator finds the cause in the log, under this request id",
        _ => refusal.detail(),
    }
}

/// Media type and body of a refusal.
pub fn render(refusal: &Refusal, dialect: &Dialect, request_id: &str) -> (&'static str, Vec<u8>) {
    let code = refusal.code();
    match dialect.wording {
        Wording::Problem => {
            let mut body: Map<String, Value> = refusal.members().clone();
            body.extend((dialect.members)(refusal));
            let mut set = |name: &str, value: Value| body.insert(name.to_owned(), value);
            set("type", format!("urn:ingot:problem:{code}").into());
            set("title", code.title().into());
            set("status", status_for(code, dialect).as_u16().into());
            set("detail", detail(refusal).into());
            set("code", code.as_str().into());
            // npm prints this member, and new Maven the detail.
            set("error", detail(refusal).into());
            set("request_id", request_id.into());
            ("application/problem+json", Value::Object(body).to_string().into_bytes())
        }
        Wording::Text => {
            let line = format!("{code}: {} (request {request_id})", detail(refusal));
            ("text/plain; charset=utf-8", (printable(&line, 2_000) + "\n").into_bytes())
        }
    }
}

/// The whole answer to a refusal, with the headers its status asks for.
pub fn respond(refusal: &Refusal, dialect: &Dialect, request_id: &str) -> HttpResponse {
    let status = status_for(refusal.code(), dialect);
    let (media_type, body) = render(refusal, dialect, request_id);
    let mut answer = HttpResponse::build(status);
    answer
        .insert_header((header::CONTENT_TYPE, media_type))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"));
    let member = |name: &str| refusal.members().get(name);
    match status {
        StatusCode::UNAUTHORIZED => {
            answer.insert_header((header::WWW_AUTHENTICATE, CHALLENGE));
        }
        StatusCode::METHOD_NOT_ALLOWED => {
            if let Some(allow) = member("allow").and_then(Value::as_array) {
                let allow: Vec<&str> = allow.iter().filter_map(Value::as_str).collect();
                answer.insert_header((header::ALLOW, allow.join(", ")));
            }
        }
        StatusCode::RANGE_NOT_SATISFIABLE => {
            if let Some(size) = member("size").and_then(Value::as_u64) {
                answer.insert_header((header::CONTENT_RANGE, format!("bytes */{size}")));
            }
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
            answer.insert_header((header::RETRY_AFTER, RETRY_AFTER.as_secs().to_string()));
        }
        _ => {}
    }
    answer.body(body)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;

    const TEXT: Dialect = Dialect { wording: Wording::Text, ..Dialect::PROBLEM };

    #[test]
    fn every_code_in_every_dialect() {
        let mut out = String::new();
        for &code in Code::ALL {
            let refusal = Refusal::new(code, "What happened, and what to do next.")
                .with("allow", ["GET", "HEAD"].as_slice())
                .with("size", 7);
            writeln!(out, "== {code}").expect("writes");
            for dialect in [&Dialect::PROBLEM, &TEXT] {
                let answer = respond(&refusal, dialect, "r-1");
                writeln!(out, "{}", answer.status()).expect("writes");
                let mut headers: Vec<String> = answer
                    .headers()
                    .iter()
                    .map(|(name, value)| format!("{name}: {}", value.to_str().expect("text")))
                    .collect();
                headers.sort();
                let (_, body) = render(&refusal, dialect, "r-1");
                let body = String::from_utf8(body).expect("text");
                writeln!(out, "{}\n{}", headers.join("\n"), body.trim_end()).expect("writes");
            }
        }
        insta::assert_snapshot!(out);
    }

    #[test]
    fn members_cannot_replace_the_standard_ones() {
        let refusal = Refusal::new(Code::Held, "held").with("status", 200).with("lift", "POST …");
        let (_, body) = render(&refusal, &Dialect::PROBLEM, "r");
        let body: Value = serde_json::from_slice(&body).expect("json");
        assert_eq!(body["status"], 409);
        assert_eq!(body["lift"], "POST …");
    }

    #[test]
    fn text_is_one_line_and_what_broke_inside_stays_inside() {
        let (_, body) = render(&Refusal::new(Code::Invalid, "a\nb\r\nc"), &TEXT, "r");
        assert_eq!(body.iter().filter(|&&b| b == b'\n').count(), 1);
        for dialect in [&Dialect::PROBLEM, &TEXT] {
            let (_, body) = render(&Refusal::new(Code::Internal, "/var/secret"), dialect, "r");
            assert!(!String::from_utf8(body).expect("text").contains("secret"));
        }
    }

    #[test]
    fn a_format_may_know_other_statuses_and_members() {
        let dialect = Dialect {
            statuses: &[(Code::ContentConflict, 403)],
            members: |_| [("also".to_owned(), Value::from(1))].into_iter().collect(),
            ..Dialect::PROBLEM
        };
        let refusal = Refusal::new(Code::ContentConflict, "taken");
        let answer = respond(&refusal, &dialect, "r");
        assert_eq!(answer.status(), 403);
        let (_, body) = render(&refusal, &dialect, "r");
        let body: Value = serde_json::from_slice(&body).expect("json");
        assert_eq!((&body["status"], &body["also"]), (&403.into(), &1.into()));
        assert_eq!(respond(&refusal, &Dialect::PROBLEM, "r").status(), 409);
    }
}
