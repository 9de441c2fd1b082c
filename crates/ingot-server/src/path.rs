//! The request target, parsed once by our own hand.
//!
//! actix decodes lossily and in two ways that disagree; here the raw path is split at `/`, each
//! segment is decoded exactly once, and whatever a client has no reason to send is refused, so
//! that rights and look-ups can never see two different paths.

use ingot_core::names::is_windows_device;
use ingot_core::{Code, Refusal};

/// Longest segment after decoding, in bytes.
pub const SEGMENT_BYTES_MAX: usize = 255;
/// Longest path as it was sent, in bytes.
pub const PATH_BYTES_MAX: usize = 1_024;
/// Most query parameters.
pub const PARAMETERS_MAX: usize = 64;

/// What a segment may hold beyond the plain alphabet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Paths of formats: `:` only in a digest (`sha256:<hex>`), `%2F` only once, in a segment
    /// that starts with `@`.
    Format,
    /// Paths of the API: also `:` after a format's name, as in `npm:@acme%2Fui`.
    Api,
}

/// A path, decoded once and free of empty, `.` and `..` segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The segments, in order.
    pub segments: Vec<String>,
    /// Whether the path ended in `/`.
    pub directory: bool,
}

fn bad(detail: &str) -> Refusal {
    Refusal::new(Code::BadPath, format!("the path is not acceptable: {detail}"))
}

/// Which policy a raw path is parsed under: told from its undecoded first segment, so that no
/// spelling of a format's path gets the API's rules.
pub fn policy_of(raw: &str) -> Policy {
    if raw == "/api" || raw.starts_with("/api/") { Policy::Api } else { Policy::Format }
}

/// Parses the raw path of a request target (no query, no authority).
///
/// Errors: `bad_path` with the rule that was broken, never the path itself.
pub fn parse(raw: &str, policy: Policy) -> Result<Target, Refusal> {
    if raw.len() > PATH_BYTES_MAX {
        return Err(bad("it has more than 1,024 bytes"));
    }
    let Some(rest) = raw.strip_prefix('/') else {
        return Err(bad("it must start with '/'"));
    };
    if rest.is_empty() {
        return Ok(Target { segments: Vec::new(), directory: true });
    }
    let (rest, directory) = match rest.strip_suffix('/') {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let segments = rest.split('/').map(|raw| segment(raw, policy)).collect::<Result<_, _>>()?;
    Ok(Target { segments, directory })
}

fn segment(raw: &str, policy: Policy) -> Result<String, Refusal> {
    let bytes = decode(raw).map_err(bad)?;
    let text = String::from_utf8(bytes).map_err(|_| bad("a segment is not UTF-8"))?;
    if text.len() > SEGMENT_BYTES_MAX {
        return Err(bad("a segment has more than 255 bytes"));
    }
    if !text.is_ascii() {
        return Err(bad("names here are ASCII only"));
    }
    if text.bytes().any(|b| b.is_ascii_control()) {
        return Err(bad("it holds control characters"));
    }
    if text.contains('%') {
        return Err(bad("it is encoded twice"));
    }
    if let Some(found) = text.chars().find(|c| matches!(c, '\\' | ';')) {
        return Err(bad(&format!("'{found}' is not used here")));
    }
    // A slash was encoded, since the raw path was split at the plain ones.
    for part in split_parts(&text, policy)? {
        check_part(part)?;
    }
    Ok(text)
}

/// The pieces of a segment that must each be sound as a name of their own.
fn split_parts(text: &str, policy: Policy) -> Result<Vec<&str>, Refusal> {
    let mut parts = Vec::new();
    let mut rest = text;
    if let Some((head, tail)) = text.split_once(':') {
        let digest = head == "sha256" && tail.bytes().all(|b| b.is_ascii_hexdigit());
        match policy {
            _ if digest => return Ok(vec![text]),
            Policy::Format => return Err(bad("':' is not used here")),
            Policy::Api => {}
        }
        if head.is_empty() || !head.bytes().all(|b| b.is_ascii_lowercase()) {
            return Err(bad("before ':' stands the name of a format"));
        }
        parts.push(head);
        // Maven writes group:name; each piece is a name of its own.
        let (before, last) = tail.rsplit_once(':').unwrap_or(("", tail));
        parts.extend(before.split(':').filter(|_| tail.contains(':')));
        rest = last;
    }
    match rest.split_once('/') {
        Some((scope, name)) if scope.starts_with('@') && !name.contains('/') => {
            parts.extend([scope, name]);
        }
        Some(_) => return Err(bad("an encoded '/' stands only between a scope and a name")),
        None => parts.push(rest),
    }
    Ok(parts)
}

fn check_part(part: &str) -> Result<(), Refusal> {
    if part.is_empty() {
        return Err(bad("it has an empty segment"));
    }
    if matches!(part, "." | "..") {
        return Err(bad("'.' and '..' are not resolved"));
    }
    if part.ends_with(['.', ' ']) || part.starts_with(' ') {
        return Err(bad("a segment must not end in '.' or have spaces at its ends"));
    }
    if is_windows_device(part) {
        return Err(bad("a segment is a reserved device name on Windows"));
    }
    Ok(())
}

/// Percent-decodes once. Errors name the rule.
fn decode(raw: &str) -> Result<Vec<u8>, &'static str> {
    let mut out = Vec::with_capacity(raw.len());
    let bytes = raw.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let digits = bytes.get(at + 1..at + 3).ok_or("'%' needs two hex digits")?;
            let mut byte = [0];
            hex::decode_to_slice(digits, &mut byte).map_err(|_| "'%' needs two hex digits")?;
            out.push(byte[0]);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    Ok(out)
}

/// Parses a raw query into its parameters, in order, decoded once (`+` is a space).
///
/// Errors: `bad_request` for broken encoding, text that is not UTF-8, control characters, or too
/// many parameters. Unknown names are for the caller to ignore.
pub fn parse_query(raw: &str) -> Result<Vec<(String, String)>, Refusal> {
    let wrong = |detail: &str| Refusal::new(Code::BadRequest, format!("the query: {detail}"));
    let text = |raw: &str| -> Result<String, Refusal> {
        let bytes = decode(&raw.replace('+', " ")).map_err(wrong)?;
        let text = String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8"))?;
        if text.chars().any(char::is_control) {
            return Err(wrong("it holds control characters"));
        }
        Ok(text)
    };
    let mut out = Vec::new();
    for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
        if out.len() == PARAMETERS_MAX {
            return Err(wrong("it has more than 64 parameters"));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        out.push((text(name)?, text(value)?));
    }
    Ok(out)
}

/// Text from a client as it may stand in a log line or a page: printable ASCII, the rest
/// escaped, cut after `max` characters.
pub fn printable(text: &str, max: usize) -> String {
    let mut out = String::new();
    for (n, c) in text.chars().enumerate() {
        if n == max {
            out.push('…');
            break;
        }
        match c {
            ' '..='~' => out.push(c),
            _ => out.extend(c.escape_default()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(raw: &str, policy: Policy, expected: Option<&[&str]>) {
        let found = parse(raw, policy);
        match (found, expected) {
            (Ok(target), Some(segments)) => assert_eq!(target.segments, segments, "{raw}"),
            (Err(refusal), None) => assert_eq!(refusal.code(), Code::BadPath, "{raw}"),
            (found, expected) => panic!("{raw}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn honest_paths_come_through_decoded_once() {
        use Policy::{Api, Format};
        check("/", Format, Some(&[]));
        check("/raw/main/", Format, Some(&["raw", "main"]));
        check(
            "/raw/main@prod/app/1.0+7/a.zip",
            Format,
            Some(&["raw", "main@prod", "app", "1.0+7", "a.zip"]),
        );
        check("/raw/mai%6E/a%2Bb", Format, Some(&["raw", "main", "a+b"]));
        check("/npm/p/%40scope%2Fname", Format, Some(&["npm", "p", "@scope/name"]));
        check("/npm/p/@scope%2fname", Format, Some(&["npm", "p", "@scope/name"]));
        check("/raw/p/app/sha256:00ff/a", Format, Some(&["raw", "p", "app", "sha256:00ff", "a"]));
        check("/api/npm:@acme%2Fui", Api, Some(&["api", "npm:@acme/ui"]));
        check("/api/maven:org.acme:app", Api, Some(&["api", "maven:org.acme:app"]));
        assert!(parse("/a/", Format).expect("parses").directory);
        assert!(!parse("/a", Format).expect("parses").directory);
    }

    #[test]
    fn hostile_paths_are_refused() {
        for raw in [
            "/maven/r/../../etc/passwd",
            "/a/%2e%2e/b",
            "/a/%2E%2E%2Fb",
            "/a/.%2e",
            "/a/./b",
            "/a/%252e%252e%252f",
            "/a/100%25",
            "//",
            "/a//b",
            "/%2f%2f%2f..%2fetc",
            "/a/%2f",
            "/..\\..\\x",
            "/%5c..%5c",
            "/a%00.jar",
            "/a%0d%0aSet-Cookie:x",
            "/a%7f",
            "/%c0%ae",
            "/%e0%80%ae",
            "/%ff",
            "/e%cc%81",
            "/%c3%a9",
            "/%ef%bc%8e%ef%bc%8e%ef%bc%8f",
            "/%e2%88%95",
            "/%e2%80%aex",
            "/%e2%80%8bx",
            "/lib.",
            "/lib%20",
            "/lib%2e",
            "/CON",
            "/nul.zip",
            "/COM1.jar",
            "/x::$DATA",
            "/@scope%2f..%2fother",
            "/@scope%2f..",
            "/@scope%2f",
            "/scope%2fname",
            "/@a%2fb%2fc",
            "/a;jsessionid=1",
            "/a%3bx",
            "/%zz",
            "/%2",
            "/%",
            "a",
            "",
            "*",
            "/sha256:xyz",
        ] {
            check(raw, Policy::Format, None);
            check(raw, Policy::Api, None);
        }
        check("/a:b", Policy::Format, None);
    }

    #[test]
    fn api_segments_take_one_format_and_at_most_one_scope() {
        for raw in [
            "/:x",
            "/npm:",
            "/npm:@a%2F..",
            "/npm:a%2Fb",
            "/npm:@a%2Fb%2Fc",
            "/NPM:x",
            "/npm:..",
            "/maven:a::b",
            "/maven:a:",
            "/maven:..:b",
        ] {
            check(raw, Policy::Api, None);
        }
    }

    #[test]
    fn lengths_hold_at_max_and_at_max_plus_one() {
        let longest = "a".repeat(SEGMENT_BYTES_MAX);
        check(&format!("/{longest}"), Policy::Format, Some(&[&longest]));
        check(&format!("/{longest}a"), Policy::Format, None);
        let whole = format!("/{}", "a/".repeat(PATH_BYTES_MAX / 2 - 1));
        assert_eq!(whole.len(), PATH_BYTES_MAX - 1);
        assert!(parse(&format!("{whole}b"), Policy::Format).is_ok());
        assert!(parse(&format!("{whole}bb"), Policy::Format).is_err());
    }

    #[test]
    fn the_policy_is_told_from_the_undecoded_path() {
        assert_eq!(policy_of("/api/v1/x"), Policy::Api);
        for raw in ["/raw/api/", "/ap%69/v1", "/apix", "/"] {
            assert_eq!(policy_of(raw), Policy::Format, "{raw}");
        }
    }

    #[test]
    fn queries_are_decoded_once_and_bounded() {
        let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(
            parse_query("a=1&b=%252e&c&d=x+y%2Bz&&").expect("parses"),
            [pair("a", "1"), pair("b", "%2e"), pair("c", ""), pair("d", "x y+z")]
        );
        for bad in ["a=%", "a=%zz", "a=%ff", "a=%00", "%0d=1"] {
            assert!(parse_query(bad).is_err(), "{bad}");
        }
        assert!(parse_query(&"a&".repeat(PARAMETERS_MAX)).is_ok());
        assert!(parse_query(&"a&".repeat(PARAMETERS_MAX + 1)).is_err());
    }

    #[test]
    fn printable_text_has_no_way_to_forge_a_line() {
        assert_eq!(printable("a\n\u{1b}[31mé", 100), "a\\n\\u{1b}[31m\\u{e9}");
        assert_eq!(printable("abcdef", 3), "abc…");
    }
}
