//! Every option of the server, its default, and where its value came from.
//!
//! A flag wins over the environment (`INGOT_SECTION__KEY`), that over the file, that over the
//! default. `config/ingot.toml` in the repository holds every option with its default; a test
//! keeps the two equal.

mod check;
mod sources;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use check::{Cidr, base_url, is_loopback};
pub use sources::{Loaded, Source, load};

/// The whole configuration. Sizes are in bytes, times in milliseconds, as the names say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The listener and its limits.
    pub server: Server,
    /// Where blobs and ledgers live.
    pub storage: Storage,
    /// The disposable index.
    pub index: Index,
    /// The ledgers.
    pub ledger: Ledger,
    /// What retention may never remove.
    pub retention: Retention,
    /// What is logged, and how.
    pub log: Log,
    /// The project that a first start creates.
    pub project: Project,
}

/// The listener and its limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port; port 0 takes a free one.
    pub listen: String,
    /// What URLs in documents start with; empty only on a loopback listener.
    pub public_url: String,
    /// PEM file with the certificate chain; empty means plain HTTP.
    pub tls_cert: String,
    /// PEM file with its private key.
    pub tls_key: String,
    /// Threads that serve requests; 0 means one per core.
    pub workers: usize,
    /// Most connections of one worker.
    pub connections_max: usize,
    /// Largest upload.
    pub upload_bytes_max: u64,
    /// Largest JSON body of the API.
    pub json_bytes_max: u64,
    /// Longest time for a request's head.
    pub head_timeout_ms: u64,
    /// Longest time in which a body may bring (next to) nothing.
    pub body_idle_timeout_ms: u64,
    /// How long an unused connection is kept.
    pub keep_alive_ms: u64,
    /// How long requests under way may take to end when the server is told to stop.
    pub shutdown_timeout_ms: u64,
    /// Address ranges whose `X-Forwarded-For` is believed, for logs.
    pub trusted_proxies: Vec<String>,
}

/// Where blobs and ledgers live.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The data directory.
    pub data: PathBuf,
    /// Uploads are refused with 507 when less than this would stay free.
    pub reserve_bytes: u64,
    /// Memory for small files that are read often.
    pub cache_bytes: u64,
    /// When full reads are checked against their digest.
    pub verify_reads: VerifyReads,
}

/// When full reads are checked against their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyReads {
    /// At the first read since the start.
    First,
    /// At every read.
    Always,
}

/// The disposable index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// Which engine holds it.
    pub engine: IndexEngine,
    /// What stands for this boot of the machine; empty reads the kernel's id.
    pub boot_id: String,
}

/// The engines an index can be held in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IndexEngine {
    /// The default: small and quick.
    Fjall,
    /// The alternative, under the same tests.
    Sled,
}

/// The ledgers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// How long a change may take before its caller is told that its outcome is unknown.
    pub change_timeout_ms: u64,
    /// A snapshot of the fold is made each time this many commits were folded.
    pub snapshot_every_commits: u64,
}

/// What retention may never remove.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    /// Of each package and channel, this many distinct releases that were current last.
    pub keep_releases: usize,
    /// And all that were current in this many days.
    pub keep_days: u32,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// A level, or directives such as `info,ingot_ledger=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// The project that a first start creates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its name.
    pub first: String,
    /// Its channels, each fed from the one before.
    pub channels: Vec<String>,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8470".to_owned(),
            public_url: String::new(),
            tls_cert: String::new(),
            tls_key: String::new(),
            workers: 0,
            connections_max: 4_096,
            upload_bytes_max: 4 * 1024 * 1024 * 1024,
            json_bytes_max: 1024 * 1024,
            head_timeout_ms: 10_000,
            body_idle_timeout_ms: 30_000,
            keep_alive_ms: 30_000,
            shutdown_timeout_ms: 30_000,
            trusted_proxies: Vec::new(),
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Self {
            data: PathBuf::from("./ingot-data"),
            reserve_bytes: 256 * 1024 * 1024,
            cache_bytes: 64 * 1024 * 1024,
            verify_reads: VerifyReads::First,
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { engine: IndexEngine::Fjall, boot_id: String::new() }
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self { change_timeout_ms: 30_000, snapshot_every_commits: 20_000 }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self { keep_releases: 10, keep_days: 90 }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Auto, level: "info,actix_server=warn".to_owned() }
    }
}

impl Default for Project {
    fn default() -> Self {
        Self {
            first: "main".to_owned(),
            channels: ["dev", "staging", "prod"].map(str::to_owned).to_vec(),
        }
    }
}

/// Why a configuration is not taken. The words are for the operator, who can mend it.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct ConfigError(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = include_str!("../../../config/ingot.toml");

    #[test]
    fn the_file_in_the_repository_equals_the_defaults() {
        let file: Config = toml::from_str(FILE).expect("parses");
        assert_eq!(file, Config::default());
        // Equal also key by key, so that an option cannot be missing from the file.
        let file: toml::Table = FILE.parse().expect("parses");
        let defaults = toml::Table::try_from(Config::default()).expect("serialises");
        assert_eq!(file, defaults);
    }

    #[test]
    fn every_option_in_the_file_has_a_comment() {
        let mut above = "";
        for line in FILE.lines() {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(above.starts_with("# "), "no comment above: {line}");
            }
            above = line;
        }
    }
}
