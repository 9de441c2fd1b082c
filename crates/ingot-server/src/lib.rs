//! Ingot's HTTP edge.
//!
//! One entry for all formats and the API: limits, one parse of the path, one extractor of
//! tokens, ranges and conditions, problem documents, logs, metrics, configuration. It is *not* a
//! place for rules: what may happen is decided by the registry, and what a format's request
//! means by that format.
//!
//! Start with [`serve`] (how it comes up), then [`edge`] (what every request goes through), then
//! [`calls`] (formats) and [`api`].

pub mod announced;
pub mod api;
pub mod body;
pub mod calls;
pub mod conditional;
pub mod config;
pub mod connection;
pub mod credentials;
pub mod edge;
pub mod file_headers;
pub mod formats;
pub mod limits;
pub mod listing;
pub mod logs;
pub mod metrics;
pub mod path;
pub mod problem;
pub mod ranges;
pub mod serve;
pub mod store;
pub mod tls;

/// The store's own doors, for the command line, which knows the server alone.
pub use ingot_registry as registry;

pub use config::{Config, ConfigError, Loaded, load};
pub use serve::{ServeError, Started, start};
