//! Ingot's HTTP edge.
//!
//! One entry for all formats and the API: limits, one parse of the path, one extractor of
//! tokens, ranges and conditions, problem documents, logs, metrics, configuration. It is *not* a
//! place for rules: what may happen is decided by the registry, and what a format's request
//! means by that format.
//!
//! Start with [`config`] (what can be set), then [`path`] and [`problem`] (what every request
//! goes through).

pub mod announced;
pub mod body;
pub mod conditional;
pub mod config;
pub mod credentials;
pub mod file_headers;
pub mod limits;
pub mod listing;
pub mod logs;
pub mod metrics;
pub mod path;
pub mod problem;
pub mod ranges;
pub mod tls;
