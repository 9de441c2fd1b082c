//! What every store of blobs must do, whatever it is kept in.

#![allow(clippy::unwrap_used, reason = "in a test, a failure is a panic")]

mod damage;
mod faults;
mod memory;
mod s3;
mod spooling;
mod stores;
mod suite;
mod sweeping;
