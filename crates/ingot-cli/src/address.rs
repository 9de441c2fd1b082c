//! Which server is meant.

use reqwest::Url;

use crate::environment::Environment;
use crate::failure::Failure;

/// The server that is asked when `INGOT_URL` names no other.
pub(crate) const DEFAULT_URL: &str = "http://127.0.0.1:8470";
/// The server that the environment names.
pub(crate) fn server_url(environment: &Environment) -> Result<Url, Failure> {
    let text = environment.var("INGOT_URL").unwrap_or(DEFAULT_URL);
    parse_url(text).map_err(|why| Failure::Usage(format!("INGOT_URL {why}")))
}

fn parse_url(text: &str) -> Result<Url, &'static str> {
    let wrong = "is not the URL of a server, like https://ingot.example.org";
    let url = Url::parse(text).map_err(|_| wrong)?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(wrong);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not carry a user name or token; set INGOT_TOKEN_FILE or log in");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong);
    }
    Ok(url)
}

/// The server as saved tokens are keyed by: scheme, host, port where it is not the usual, path.
pub(crate) fn server_key(url: &Url) -> String {
    url.as_str().trim_end_matches('/').to_owned()
}

/// Whether it is this very machine, which no proxy needs to be asked for.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or("");
    match host.trim_matches(['[', ']']).parse::<std::net::IpAddr>() {
        Ok(ip) => ip.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_http_url_without_secrets() {
        for (text, fine) in [
            ("http://127.0.0.1:8470", true),
            ("https://ingot.example.org/below", true),
            ("ingot.example.org", false),
            ("ftp://ingot.example.org", false),
            ("http://token@ingot.example.org", false),
            ("http://x:token@ingot.example.org", false),
            ("http://ingot.example.org/?token=x", false),
        ] {
            assert_eq!(parse_url(text).is_ok(), fine, "{text}");
        }
    }

    #[test]
    fn a_slash_at_the_end_names_the_same_server() {
        let key = |text| server_key(&parse_url(text).unwrap());
        assert_eq!(key("http://127.0.0.1:8470/"), key("http://127.0.0.1:8470"));
        assert_eq!(key("http://127.0.0.1:8470"), DEFAULT_URL);
    }

    #[test]
    fn a_proxy_is_not_asked_for_this_very_machine() {
        for (text, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&parse_url(text).unwrap()), expected, "{text}");
        }
    }
}
