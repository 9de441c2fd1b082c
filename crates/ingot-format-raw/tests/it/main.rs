//! The format as the server sees it.

mod listings;
mod requests;
mod uploads;

use ingot_core::format::{Call, Format, Method, Request};
use ingot_core::{Refusal, ViewName};
use ingot_format_raw::RawFormat;

fn view(text: &str) -> ViewName {
    text.parse().expect("view")
}

/// Parses as the server would: decodes once, splits, notes a trailing slash.
fn ask(method: Method, at: &str, path_and_query: &str) -> Result<Call, Refusal> {
    let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
    let directory = path.is_empty() || path.ends_with('/');
    let segments: Vec<String> =
        path.split('/').filter(|segment| !segment.is_empty()).map(decode).collect();
    let query: Vec<(String, String)> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (decode(name), decode(value)))
        .collect();
    RawFormat::default().parse(&Request {
        method,
        view: &view(at),
        segments: &segments,
        directory,
        query: &query,
        header: &|_| None,
    })
}

fn decode(text: &str) -> String {
    let mut bytes = text.bytes();
    let mut out = Vec::new();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => {
                let digits = [bytes.next().expect("digit"), bytes.next().expect("digit")];
                let digits = std::str::from_utf8(&digits).expect("digits");
                u8::from_str_radix(digits, 16).expect("hex")
            }
            _ => byte,
        });
    }
    String::from_utf8(out).expect("UTF-8")
}
