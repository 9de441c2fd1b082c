//! Checking everything that lies in the store.
use crate::commit::Head;
use ingot_core::Seq;
/// placeholder
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// How far the chain goes.
    pub head: Option<Head>,
    /// placeholder
    pub faults: Vec<Fault>,
}
/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// Which object.
    pub key: String,
    /// The commit.
    pub seq: Option<Seq>,
    /// What is wrong.
    pub problem: String,
}
/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// x
    Damaged,
}
