//! The black-box suites, one binary. What each stands on is in the package's library.

#![allow(clippy::unwrap_used, reason = "a panic is how a test says no")]

mod api;
mod complete;
mod contention;
mod fault;
mod hostile;
mod kill;
mod memory;
mod model;
mod power_control;
mod power_cut;
mod races;
mod readme;
mod tidy;

/// Held by suites that keep both cores and the disk busy, so that no two of them run at once.
static HEAVY: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
