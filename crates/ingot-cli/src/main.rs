//! `ingot`, the one binary: the server, its store, and the client of both.
//!
//! This crate turns a command line into calls and answers into words. It decides nothing about
//! releases: what may happen is up to the server, which the client verbs reach over HTTP only.
//! Start with `args` (what can be asked), then `run` (who answers), then `client` (how a lost
//! answer is asked for again).

mod address;
mod args;
mod client;
mod coordinate;
mod credentials;
mod demo;
mod environment;
mod failure;
mod hints;
mod local_file;
mod moment;
mod output;
mod run;
mod server;
mod session;
mod store;
mod table;
mod verbs;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = args::Cli::parse();
    install_crypto();
    ExitCode::from(run::run(&cli))
}

/// Chooses the cryptography for TLS, once for the process.
pub(crate) fn install_crypto() {
    // An error says that it was chosen before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
