use serde::{Deserialize, Serialize};

use super::Rule;
use crate::log::{Lsn, Term};

/// A decision, for operators (rule 30).
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub rule: Rule,
    /// Why, in one sentence.
    pub reason: String,
    /// The term that it belongs to.
    pub term: Term,
    /// The position that it depends on, where it does.
    pub lsn: Option<Lsn>,
    /// The monitor's phase before and after.
    pub before: String,
    pub after: String,
}
