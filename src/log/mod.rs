//! The replicated log: positions, and what its frames say and in which bytes.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod entry;
mod position;
mod value;

pub use entry::{
    ClientToken, Context, Entry, FrameSpan, Outcome, Statement, TermStart, Transaction,
};
pub use position::{InvalidLsn, LogEnd, Lsn, Term};
pub use value::{Value, ValueRef};
