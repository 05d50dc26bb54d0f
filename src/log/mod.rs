//! The replicated log: positions, what its frames say, and in which bytes.
//!
//! One stream of frames ([`frame`]), which lies in segments ([`chain`]); bodies in
//! `entry_codec`, repeated texts in [`Dictionary`]; `docs/format.md` has the bytes.
//! All of it is pure, and every decoder refuses what it does not know, trailing bytes
//! included: bytes come from disks and peers. Files are `storage::log_store`'s affair.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

pub mod chain;
pub mod describe;
mod dictionary;
mod entry;
pub mod entry_codec;
#[cfg(test)]
pub(crate) mod format_page;
pub mod frame;
mod position;
mod term_history;
mod value;
pub mod wire;

pub use dictionary::Dictionary;
pub use entry::{
    ClientToken, Context, Entry, FrameSpan, Outcome, Statement, TermStart, Transaction,
};
pub use position::{InvalidLsn, LogEnd, Lsn, Term};
pub use term_history::TermHistory;
pub use value::{Value, ValueRef};
