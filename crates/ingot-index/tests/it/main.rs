//! The index from outside: every engine under one suite, the fold against a model.

#![allow(clippy::print_stdout, reason = "each random test prints its seed")]

mod common;
mod counts;
mod engines;
mod folding;
mod history;
mod isolation;
mod model;
mod opening;
mod pages;
mod snapshots;
