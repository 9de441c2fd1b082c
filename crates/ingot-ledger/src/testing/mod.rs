//! What tests need: a store that fails on demand, a clock that is moved by hand, and the suite
//! that every store has to pass. Only with the feature `testing`.

mod clock;
mod fault_store;
pub mod suite;

pub use clock::TestClock;
pub use fault_store::{FaultStore, Injected, Operation};
