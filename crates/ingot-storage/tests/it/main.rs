//! What every store of blobs must do, whatever it is kept in.

#![allow(clippy::unwrap_used, reason = "in a test, a failure is a panic")]
#![allow(clippy::print_stdout, reason = "seeds and stores are printed, to be read on a failure")]

mod damage;
mod faults;
mod memory;
mod s3;
mod spooling;
mod stores;
mod suite;
mod sweeping;
