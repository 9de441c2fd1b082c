//! The limits of a request's head, each a named constant, and the check that applies them.
//!
//! actix itself cuts a head at 96 headers and 128 KiB and takes a URI of any length; these are
//! tighter, and are checked before anything else looks at the request.

use std::time::Duration;

use actix_web::http::header::HeaderMap;
use ingot_core::{Code, Refusal};

/// Longest request target, in bytes.
pub const URI_BYTES_MAX: usize = 2_048;
/// Most headers in one request.
pub const HEADERS_MAX: usize = 64;
/// Largest head (names, values and separators), in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most bytes read and thrown away so that a refused upload can read its refusal on a
/// connection that stays usable; beyond that the connection is closed.
pub const DRAIN_BYTES_MAX: u64 = 1024 * 1024;
/// Longest time spent on that.
pub const DRAIN_TIME_MAX: Duration = Duration::from_secs(2);
/// A body that brings less than this in one idle time counts as stalled, so that one byte a
/// second does not hold an upload open for ever.
pub const BODY_WINDOW_BYTES_MIN: u64 = 4 * 1024;
/// Longest idempotency key, in bytes.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = ingot_registry::KEY_BYTES_MAX;

/// Files and sockets kept free for everything but clients' connections.
pub const RESERVED_FILES: u64 = 256;

/// How many connections each worker may take, so that all of them together leave
/// [`RESERVED_FILES`] of the open files allowed; the wish where that is fewer.
pub fn connections_per_worker(wish: usize, workers: usize, files: Option<u64>) -> usize {
    let Some(files) = files else { return wish };
    // A download holds a file beside its socket.
    let sockets = files.saturating_sub(RESERVED_FILES).max(16) / 2;
    let each = usize::try_from(sockets).unwrap_or(usize::MAX) / workers.max(1);
    wish.min(each.max(1))
}

/// Raises the number of files this process may open to what the system allows it, and tells how
/// many that is; none where there is no limit.
pub fn raise_open_files() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            current
        }
    }
}

/// The methods that have a meaning somewhere in Ingot.
pub const METHODS: [&str; 6] = ["GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"];

/// Checks a request's head against the limits.
///
/// Errors: `uri_too_long`, `head_too_large`, `method_not_allowed`.
pub fn check_head(method: &str, target: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    if target.len() > URI_BYTES_MAX {
        return Err(Refusal::new(
            Code::UriTooLong,
            format!("the URI has {} bytes; at most {URI_BYTES_MAX} are taken", target.len()),
        ));
    }
    let mut count = 0;
    let mut bytes = method.len() + target.len() + " HTTP/1.1\r\n ".len();
    for (name, value) in headers {
        count += 1;
        bytes += name.as_str().len() + value.len() + ": \r\n".len();
    }
    if count > HEADERS_MAX || bytes > HEAD_BYTES_MAX {
        return Err(Refusal::new(
            Code::HeadTooLarge,
            format!(
                "the request has {count} headers and {bytes} bytes of head; at most {HEADERS_MAX} \
                 headers and {HEAD_BYTES_MAX} bytes are taken"
            ),
        ));
    }
    if !METHODS.contains(&method) {
        return Err(method_not_allowed(&METHODS));
    }
    Ok(())
}

/// 405, naming what is allowed (the problem renderer turns the member into `Allow`).
pub fn method_not_allowed(allowed: &[&str]) -> Refusal {
    Refusal::new(Code::MethodNotAllowed, format!("this path takes {}", allowed.join(", ")))
        .with("allow", allowed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::{HeaderName, HeaderValue};

    fn headers(count: usize, value_bytes: usize) -> HeaderMap {
        let mut map = HeaderMap::new();
        for n in 0..count {
            let name = HeaderName::try_from(format!("x-{n:03}")).expect("name");
            let value = HeaderValue::try_from("v".repeat(value_bytes)).expect("value");
            map.append(name, value);
        }
        map
    }

    fn check(method: &str, target: &str, headers: &HeaderMap, expected: Option<Code>) {
        let found = check_head(method, target, headers).err().map(|refusal| refusal.code());
        assert_eq!(found, expected, "{method} {} {}", target.len(), headers.len());
    }

    #[test]
    fn each_limit_holds_at_max_and_at_max_plus_one() {
        let none = HeaderMap::new();
        check("GET", &"/".repeat(URI_BYTES_MAX), &none, None);
        check("GET", &"/".repeat(URI_BYTES_MAX + 1), &none, Some(Code::UriTooLong));
        check("GET", "/", &headers(HEADERS_MAX, 1), None);
        check("GET", "/", &headers(HEADERS_MAX + 1, 1), Some(Code::HeadTooLarge));
        // "GET" + "/" + 12 for the request line, then 5 + 4 for the one header's name and marks.
        let fits = HEAD_BYTES_MAX - 3 - 1 - 12 - 9;
        check("GET", "/", &headers(1, fits), None);
        check("GET", "/", &headers(1, fits + 1), Some(Code::HeadTooLarge));
    }

    #[test]
    fn only_listed_methods_pass() {
        let none = HeaderMap::new();
        for method in METHODS {
            check(method, "/", &none, None);
        }
        for method in ["TRACE", "CONNECT", "PROPFIND", "get", "PATCH", ""] {
            check(method, "/", &none, Some(Code::MethodNotAllowed));
        }
    }

    #[test]
    fn connections_leave_files_for_the_rest() {
        let check = |wish, workers, files, expected| {
            assert_eq!(connections_per_worker(wish, workers, files), expected);
        };
        check(4_096, 2, None, 4_096);
        check(4_096, 2, Some(1_024), 192);
        check(100, 2, Some(1_024), 100);
        check(4_096, 2, Some(1_048_576), 4_096);
        check(4_096, 64, Some(10), 1);
    }
}
