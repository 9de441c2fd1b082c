//! Conditional requests (RFC 9110, section 13), as pure functions.

use actix_web::http::header::{self, HeaderMap, HeaderName};
use ingot_core::Timestamp;

/// Most entity tags looked at in one header; the rest is ignored.
pub const ETAGS_MAX: usize = 64;

/// What an answer is compared by.
#[derive(Clone, Copy, Debug)]
pub struct Validators<'a> {
    /// The strong entity tag, with its quotes.
    pub etag: &'a str,
    /// When the content came to be; to the second, as HTTP knows it.
    pub modified: Option<Timestamp>,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Answer as if there were none.
    Proceed,
    /// 304: the client has it already.
    NotModified,
    /// 412: the state is not the one the client means.
    Failed,
}

/// Reads an HTTP date (RFC 9110's preferred form).
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let zoned = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    Some(zoned.timestamp())
}

/// Writes an HTTP date; none for years that HTTP has no digits for.
pub fn format_date(at: Timestamp) -> Option<String> {
    jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// Decides a GET or HEAD by its conditions, in the order of section 13.2.2.
pub fn evaluate(headers: &HeaderMap, validators: &Validators<'_>) -> Verdict {
    let date = |name: HeaderName| headers.get(name)?.to_str().ok().and_then(parse_date);
    let modified = validators.modified.map(Timestamp::as_second);
    if headers.contains_key(header::IF_MATCH) {
        if !any_matches(headers, &header::IF_MATCH, validators.etag, Compare::Strong) {
            return Verdict::Failed;
        }
    } else if let (Some(since), Some(modified)) = (date(header::IF_UNMODIFIED_SINCE), modified)
        && modified > since.as_second()
    {
        return Verdict::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        if any_matches(headers, &header::IF_NONE_MATCH, validators.etag, Compare::Weak) {
            return Verdict::NotModified;
        }
    } else if let (Some(since), Some(modified)) = (date(header::IF_MODIFIED_SINCE), modified)
        && modified <= since.as_second()
    {
        return Verdict::NotModified;
    }
    Verdict::Proceed
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    Strong,
    Weak,
}

fn any_matches(headers: &HeaderMap, name: &HeaderName, etag: &str, how: Compare) -> bool {
    headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .take(ETAGS_MAX)
        .map(str::trim)
        .any(|tag| match tag.strip_prefix("W/") {
            Some(weak) => how == Compare::Weak && weak == etag,
            None => tag == "*" || tag == etag,
        })
}

/// The one commit number of an `If-Match` on a change: `"17"`. None without the header.
///
/// Errors: the text is not one quoted number.
pub fn expected_seq(headers: &HeaderMap) -> Result<Option<u64>, ingot_core::Refusal> {
    let wrong = || {
        ingot_core::Refusal::new(
            ingot_core::Code::BadRequest,
            "If-Match takes the channel's seq in quotes, as its ETag gives it, for example \"17\"",
        )
    };
    let Some(value) = headers.get(header::IF_MATCH) else { return Ok(None) };
    let text = value.to_str().map_err(|_| wrong())?.trim();
    let inner = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).ok_or_else(wrong)?;
    if inner.is_empty() || !inner.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    Ok(Some(inner.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderValue;

    const AT: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(
                HeaderName::try_from(*name).expect("name"),
                HeaderValue::from_str(value).expect("value"),
            );
        }
        map
    }

    fn check(pairs: &[(&str, &str)], expected: Verdict) {
        let modified = parse_date(AT).map(|at| at + jiff::SignedDuration::from_millis(700));
        let validators = Validators { etag: "\"a\"", modified };
        assert_eq!(evaluate(&map(pairs), &validators), expected, "{pairs:?}");
    }

    #[test]
    fn dates_survive_both_ways() {
        let at = parse_date(AT).expect("parses");
        assert_eq!(format_date(at).as_deref(), Some(AT));
        assert_eq!(parse_date("yesterday"), None);
    }

    #[test]
    fn conditions_are_decided_in_order() {
        use Verdict::{Failed, NotModified, Proceed};
        check(&[], Proceed);
        check(&[("if-none-match", "\"a\"")], NotModified);
        check(&[("if-none-match", "W/\"a\"")], NotModified);
        check(&[("if-none-match", "*")], NotModified);
        check(&[("if-none-match", "\"x\", \"a\"")], NotModified);
        check(&[("if-none-match", "\"x\""), ("if-none-match", "\"a\"")], NotModified);
        check(&[("if-none-match", "\"x\"")], Proceed);
        check(&[("if-none-match", "\"x\""), ("if-modified-since", LATER)], Proceed);
        check(&[("if-modified-since", AT)], NotModified);
        check(&[("if-modified-since", LATER)], NotModified);
        check(&[("if-modified-since", EARLIER)], Proceed);
        check(&[("if-modified-since", "nonsense")], Proceed);
        check(&[("if-match", "\"a\"")], Proceed);
        check(&[("if-match", "*")], Proceed);
        check(&[("if-match", "W/\"a\"")], Failed);
        check(&[("if-match", "\"x\"")], Failed);
        check(&[("if-match", "\"x\""), ("if-none-match", "\"a\"")], Failed);
        check(&[("if-unmodified-since", AT)], Proceed);
        check(&[("if-unmodified-since", EARLIER)], Failed);
    }

    #[test]
    fn lists_of_tags_are_capped() {
        let list = |before: usize| format!("{}\"a\"", "\"x\",".repeat(before));
        check(&[("if-none-match", &list(ETAGS_MAX - 1))], Verdict::NotModified);
        check(&[("if-none-match", &list(ETAGS_MAX))], Verdict::Proceed);
    }

    #[test]
    fn a_change_names_one_seq_or_none() {
        assert_eq!(expected_seq(&map(&[])).expect("none"), None);
        assert_eq!(expected_seq(&map(&[("if-match", "\"17\"")])).expect("one"), Some(17));
        for bad in
            ["17", "*", "\"\"", "\"a\"", "\"1\", \"2\"", "W/\"17\"", "\"99999999999999999999\""]
        {
            assert!(expected_seq(&map(&[("if-match", bad)])).is_err(), "{bad}");
        }
    }
}
