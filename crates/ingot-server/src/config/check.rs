//! What the kinds of values do not say: bounds, and options that need each other.

use std::net::{IpAddr, SocketAddr};

use ingot_core::{ChannelName, ProjectName};

use super::{Config, ConfigError};

/// A range of addresses, such as `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads `address/bits`, or a single address.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        let wrong =
            || ConfigError(format!("'{text}' is not an address range; write it as 10.0.0.0/8"));
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width {
            return Err(wrong());
        }
        Ok(Self { address, bits })
    }

    /// Whether an address lies in the range.
    pub fn contains(&self, address: IpAddr) -> bool {
        let equal =
            |a: u128, b: u128, width: u8| self.bits == 0 || (a ^ b) >> (width - self.bits) == 0;
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(a), IpAddr::V4(b)) => equal(a.to_bits().into(), b.to_bits().into(), 32),
            (IpAddr::V6(a), IpAddr::V6(b)) => equal(a.to_bits(), b.to_bits(), 128),
            _ => false,
        }
    }
}

/// Whether a listener can be reached from this machine only.
pub fn is_loopback(listen: &SocketAddr) -> bool {
    listen.ip().is_loopback()
}

/// `public_url` without a trailing slash; none when it is not set.
///
/// Errors: not an http(s) URL of scheme, host and perhaps port and path.
pub fn base_url(public_url: &str) -> Result<Option<String>, ConfigError> {
    if public_url.is_empty() {
        return Ok(None);
    }
    let wrong = |why: &str| {
        ConfigError(format!(
            "server.public_url '{public_url}' is not usable ({why}); write it as \
             https://ingot.example.com"
        ))
    };
    let rest = public_url
        .strip_prefix("https://")
        .or_else(|| public_url.strip_prefix("http://"))
        .ok_or_else(|| wrong("it must start with https:// or http://"))?;
    if rest.is_empty() || rest.starts_with('/') {
        return Err(wrong("it names no host"));
    }
    if !rest.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\"<>\\".contains(&b)) {
        return Err(wrong("it must be host, port and path only"));
    }
    Ok(Some(public_url.trim_end_matches('/').to_owned()))
}

/// Checks a whole configuration.
pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    let server = &config.server;
    let listen: SocketAddr = server.listen.parse().map_err(|_| {
        ConfigError(format!(
            "server.listen '{}' is not an address and port; write it as 127.0.0.1:8470 or [::]:8470",
            server.listen
        ))
    })?;
    if base_url(&server.public_url)?.is_none() && !is_loopback(&listen) {
        return Err(ConfigError(format!(
            "server.listen {listen} can be reached from other machines, and then \
             server.public_url must say what URLs in documents start with. Set it, for example: \
             INGOT_SERVER__PUBLIC_URL=https://ingot.example.com, or listen on 127.0.0.1:8470"
        )));
    }
    if server.tls_cert.is_empty() != server.tls_key.is_empty() {
        return Err(ConfigError(
            "server.tls_cert and server.tls_key go together: set both, or neither".to_owned(),
        ));
    }
    let bounds = [
        ("server.connections_max", server.connections_max as u64, 1, 1_000_000),
        ("server.workers", server.workers as u64, 0, 1_024),
        ("server.upload_bytes_max", server.upload_bytes_max, 1, 1 << 50),
        ("server.json_bytes_max", server.json_bytes_max, 1_024, 1 << 30),
        ("server.head_timeout_ms", server.head_timeout_ms, 10, 600_000),
        ("server.body_idle_timeout_ms", server.body_idle_timeout_ms, 10, 3_600_000),
        ("server.keep_alive_ms", server.keep_alive_ms, 10, 3_600_000),
        ("server.shutdown_timeout_ms", server.shutdown_timeout_ms, 0, 3_600_000),
        ("storage.reserve_bytes", config.storage.reserve_bytes, 0, 1 << 50),
        ("ledger.change_timeout_ms", config.ledger.change_timeout_ms, 10, 3_600_000),
        ("ledger.snapshot_every_commits", config.ledger.snapshot_every_commits, 1, 1 << 40),
        ("retention.keep_releases", config.retention.keep_releases as u64, 2, 100_000),
        ("retention.keep_days", config.retention.keep_days.into(), 0, 36_500),
        ("storage.cache_bytes", config.storage.cache_bytes, 0, 1 << 40),
    ];
    for (name, value, min, max) in bounds {
        if value < min || value > max {
            return Err(ConfigError(format!("{name} is {value}; it must be {min} to {max}")));
        }
    }
    for range in &server.trusted_proxies {
        Cidr::parse(range)?;
    }
    if config.storage.data.as_os_str().is_empty() {
        return Err(ConfigError("storage.data is empty; it names a directory".to_owned()));
    }
    config
        .log
        .level
        .parse::<tracing_subscriber::EnvFilter>()
        .map_err(|error| ConfigError(format!("log.level '{}': {error}", config.log.level)))?;
    ProjectName::new(&config.project.first)
        .map_err(|refusal| ConfigError(format!("project.first: {refusal}")))?;
    let channels = &config.project.channels;
    for (n, channel) in channels.iter().enumerate() {
        ChannelName::new(channel)
            .map_err(|refusal| ConfigError(format!("project.channels: {refusal}")))?;
        if channels[..n].contains(channel) {
            return Err(ConfigError(format!("project.channels names {channel} twice")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl Fn(&mut Config)) -> Option<String> {
        let mut config = Config::default();
        change(&mut config);
        check(&config).err().map(|error| error.0)
    }

    #[test]
    fn other_machines_are_let_in_only_under_a_public_url() {
        let error = refused(|config| config.server.listen = "0.0.0.0:8470".into());
        assert!(error.expect("refused").contains("INGOT_SERVER__PUBLIC_URL"));
        assert!(refused(|config| config.server.listen = "[::1]:0".into()).is_none());
        assert!(
            refused(|config| {
                config.server.listen = "0.0.0.0:8470".into();
                config.server.public_url = "https://ingot.example.com/".into();
            })
            .is_none()
        );
    }

    #[test]
    fn public_urls_lose_their_last_slash_and_nothing_else() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(base_url(text).expect("fine").as_deref(), expected);
        };
        check("", None);
        check("https://a.example/", Some("https://a.example"));
        check("http://a.example:81/x", Some("http://a.example:81/x"));
        for bad in
            ["a.example", "ftp://a", "https://", "https://u:p@a", "https://a?x", "https://a b"]
        {
            assert!(base_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn bounds_hold_at_their_ends() {
        assert!(refused(|config| config.server.json_bytes_max = 1_024).is_none());
        assert!(refused(|config| config.server.json_bytes_max = 1_023).is_some());
        assert!(refused(|config| config.server.json_bytes_max = 1 << 30).is_none());
        assert!(refused(|config| config.server.json_bytes_max = (1 << 30) + 1).is_some());
    }

    #[test]
    fn what_goes_together_is_checked_together() {
        assert!(refused(|config| config.server.tls_cert = "a.pem".into()).is_some());
        assert!(refused(|config| config.server.listen = "localhost".into()).is_some());
        assert!(refused(|config| config.project.channels = vec!["a".into(), "a".into()]).is_some());
        assert!(refused(|config| config.project.first = "system".into()).is_some());
        assert!(refused(|config| config.log.level = "a=b=c".into()).is_some());
    }

    #[test]
    fn address_ranges_contain_what_they_say() {
        let check = |range: &str, address: &str, expected: bool| {
            let range = Cidr::parse(range).expect("range");
            assert_eq!(range.contains(address.parse().expect("address")), expected);
        };
        check("10.0.0.0/8", "10.255.0.1", true);
        check("10.0.0.0/8", "11.0.0.1", false);
        check("10.0.0.0/8", "::ffff:10.0.0.1", true);
        check("0.0.0.0/0", "1.2.3.4", true);
        check("127.0.0.1", "127.0.0.2", false);
        check("fd00::/8", "fd12::1", true);
        assert!(Cidr::parse("10.0.0.0/33").is_err());
        assert!(Cidr::parse("x").is_err());
    }
}
