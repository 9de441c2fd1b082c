//! Archives that lie, archives that do not, and what other readers make of those that pass.
#![allow(clippy::print_stdout, reason = "seeds and skipped tools are shown with the tests")]

mod build;
mod differential;
mod honest;
mod hostile;
mod limits;
mod mutate;
mod oracles;

use std::io::Cursor;

use ingot_core::Refusal;
use ingot_zip::{ZipFacts, ZipLimits, check_zip};

/// Checks bytes under the limits of production.
fn check(bytes: &[u8]) -> Result<ZipFacts, Refusal> {
    check_zip(&mut Cursor::new(bytes), &ZipLimits::default())
}

/// The member `rule` of a refusal.
fn rule(refusal: &Refusal) -> &str {
    refusal.members().get("rule").and_then(|rule| rule.as_str()).unwrap_or("no rule")
}

/// A small generator of numbers; what it makes depends on the seed alone.
struct Random(u64);

impl Random {
    /// From `INGOT_SEED`, or a fixed seed; prints it.
    fn seeded(what: &str) -> Self {
        let seed = std::env::var("INGOT_SEED").ok().and_then(|text| text.parse().ok());
        let seed: u64 = seed.unwrap_or(0x1A60_7000);
        println!("{what}: INGOT_SEED={seed}");
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}
