//! What every store of blobs must do, whatever it is kept in.

mod damage;
mod faults;
mod memory;
mod s3;
mod spooling;
mod stores;
mod suite;
mod sweeping;
