//! A clock that is moved by hand.

use std::sync::{Arc, Mutex};

use ingot_core::Timestamp;
use jiff::SignedDuration;

use crate::ledger::Clock;

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct TestClock {
    start: Timestamp,
    now: Arc<Mutex<Timestamp>>,
}

impl TestClock {
    /// Stands at the real time of the call: stores stamp objects with the real time, and the age
    /// of an object is measured against this clock.
    #[expect(clippy::new_without_default, reason = "it reads the real clock, which should show")]
    #[allow(clippy::disallowed_methods, reason = "see above; tests only")]
    pub fn new() -> Self {
        let start = Timestamp::now();
        Self { start, now: Arc::new(Mutex::new(start)) }
    }
    /// What it shows.
    pub fn now(&self) -> Timestamp {
        *self.now.lock().expect("no panic under this lock")
    }
    /// Moves it on.
    pub fn advance(&self, by: SignedDuration) {
        *self.now.lock().expect("no panic under this lock") += by;
    }
    /// How far it was moved in all.
    pub fn advanced(&self) -> SignedDuration {
        self.now().duration_since(self.start)
    }
    /// As the ledger's options want it.
    pub fn clock(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}
