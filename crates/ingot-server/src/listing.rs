//! The page for a path that ends in `/`: rows of names, sizes and dates, in plain HTML.

use ingot_core::format::Row;

/// What a listing page may do in a browser: nothing but show itself.
pub const CONTENT_SECURITY_POLICY: &str =
    "sandbox allow-top-navigation; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'";

/// Writes the page. `title` is the path as shown to people; `next` is the cursor of the next page.
pub fn render(title: &str, rows: &[Row], next: Option<&str>) -> String {
    let title = escape(title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <title>{title}</title>\n<style>body{{font-family:monospace;margin:2em}}\
         td{{padding:0 2em 0 0}}td:nth-child(2){{text-align:right}}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<table>\n<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n"
    );
    for row in rows {
        let size = row.size.map_or(String::new(), |size| size.to_string());
        let at = row.at.map_or(String::new(), |at| format!("{at:.0}"));
        out.push_str(&format!(
            "<tr><td><a href=\"./{}\">{}</a></td><td>{size}</td><td>{at}</td></tr>\n",
            link(&row.name),
            escape(&row.name)
        ));
    }
    out.push_str("</table>\n");
    if let Some(next) = next {
        out.push_str(&format!("<p><a href=\"?after={}\">next page</a></p>\n", encode(next)));
    }
    out.push_str("</body>\n</html>\n");
    out
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

/// A relative link to a row: the `./` before it keeps a name with `:` from reading as a scheme.
fn link(name: &str) -> String {
    match name.strip_suffix('/') {
        Some(level) => encode(level) + "/",
        None => encode(name),
    }
}

/// Percent-encodes all but what RFC 3986 leaves unreserved.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte as char);
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_shows_names_and_runs_none() {
        let row = |name: &str, size| Row {
            name: name.to_owned(),
            size,
            at: Some("2026-01-02T03:04:05.678Z".parse().expect("time")),
        };
        let rows = [row("app/", None), row("a b\"><script>.zip", Some(7)), row("@acme/ui", None)];
        let page = render("/raw/<main>/", &rows, Some("x&y=1"));
        insta::assert_snapshot!(page);
        assert!(!page.contains("<script>"));
    }
}
