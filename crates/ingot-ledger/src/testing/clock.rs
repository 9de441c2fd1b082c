//! A clock that is moved by hand.

use std::sync::{Arc, Mutex};

use ingot_core::Timestamp;
use jiff::SignedDuration;

use crate::ledger::Clock;

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct TestClock(Arc<Mutex<Timestamp>>);

impl TestClock {
    /// Stands at the real time of the call: stores stamp objects with the real time, and the age
    /// of an object is measured against this clock.
    #[expect(clippy::new_without_default, reason = "it reads the real clock, which should show")]
    #[allow(clippy::disallowed_methods, reason = "see above; tests only")]
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(Timestamp::now())))
    }
    /// What it shows.
    pub fn now(&self) -> Timestamp {
        *self.0.lock().expect("no panic under this lock")
    }
    /// Moves it on.
    pub fn advance(&self, by: SignedDuration) {
        *self.0.lock().expect("no panic under this lock") += by;
    }
    /// As the ledger's options want it.
    pub fn clock(&self) -> Clock {
        let clock = self.clone();
        Arc::new(move || clock.now())
    }
}
