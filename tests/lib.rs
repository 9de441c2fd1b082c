//! What the black-box suites stand on: a running `ingot`, clients for it, and ways to hurt it.
//!
//! The suites in `it/` know the product by its binary and by HTTP alone. Nothing here decides
//! what is right; that is said in the suites, each beside the sentence of the contract it tests.
//!
//! Start with [`server::Server`] (spawn, stop, kill), [`client::Client`] (HTTP as a client speaks
//! it) and [`wire`] (bytes on a socket, for what no client would send). [`disk`] cuts the power,
//! [`load`] keeps a server busy and remembers what it was promised, [`archive`] writes zips, sound
//! and otherwise.
//!
//! The environment may set: `INGOT_BIN` (another binary to test), `INGOT_SEED` (a run to play
//! again), `INGOT_POWER_ROUNDS`, `INGOT_KILL_ROUNDS`, `INGOT_RACE_COORDINATES` and
//! `INGOT_MEMORY_MIB` (longer or shorter runs), `CI` (being unable to cut the power is a failure).

#![allow(
    clippy::unwrap_used,
    reason = "everything here runs in tests, where a panic is the verdict"
)]

pub mod archive;
pub mod client;
pub mod disk;
pub mod inside;
pub mod load;
pub mod server;
pub mod wire;

use std::io::Write;

use rand::{Rng, SeedableRng, rngs::StdRng};

/// Says something past the test runner's capture, so that it is read even when all is well.
pub fn say(text: &str) {
    // A closed stderr is no reason to fail a test.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A seed for one run: `INGOT_SEED` where set, else a fresh one. Printed, so that a failure can
/// be played again.
pub fn seed(what: &str) -> u64 {
    let seed = match std::env::var("INGOT_SEED") {
        Ok(text) => text.parse().expect("INGOT_SEED is a whole number"),
        Err(_) => rand::rng().random(),
    };
    say(&format!("{what}: INGOT_SEED={seed}"));
    seed
}

/// The random numbers that belong to a seed and a part of the test.
pub fn dice(seed: u64, part: u64) -> StdRng {
    StdRng::seed_from_u64(seed ^ part.wrapping_mul(0x9E37_79B9_7F4A_7C15))
}

/// A count that the environment may override, for longer or shorter runs.
pub fn count(variable: &str, usual: usize) -> usize {
    match std::env::var(variable) {
        Ok(text) => text.parse().expect("a whole number"),
        Err(_) => usual,
    }
}

/// `sha256:<hex>` of some bytes, worked out apart from the product.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(bytes))
}

/// The sha256 of some bytes as 64 hex digits.
pub fn hex(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    ::hex::encode(sha2::Sha256::digest(bytes))
}
