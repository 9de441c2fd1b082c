//! The use cases: publish, promote, roll back, fetch, look up, verify.
//!
//! The registry joins the rules (`ingot-core`) to the truth (`ingot-ledger`), its fold
//! (`ingot-index`) and the bytes (`ingot-storage`). It knows no HTTP and no format by name:
//! formats come in as trait objects, time and ids as arguments.
//!
//! Every door asks for a typed proof, [`Authorized`], that only [`Registry::authorize`] makes.
//! Every change goes through one committer per project ([`committer`]); start reading at
//! [`publish`].

mod access;
mod channels;
mod committer;
mod fetch;
mod history;
mod project;
mod projects;
mod publish;
mod releases;
pub mod shapes;
mod store;
mod tokens;
mod verify;
mod view;

pub use access::{Act, Admin, Authorized, Promote, Publish, Read};
pub use committer::{Idempotency, KEY_BYTES_MAX, Outcome};
pub use fetch::Found;
pub use ingot_storage::{BlobBody, BlobStream, Spooled, Spooler};
pub use projects::SYSTEM;
pub use publish::{Announced, Upload};
pub use releases::LIMIT_MAX;
pub use store::{Clock, Registry, Request, Setup};
pub use tokens::{ANONYMOUS, Minted, NewToken, TokenText};
pub use verify::{Fault, LedgerReport, VerifyReport, verify};
