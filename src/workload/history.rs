//! Judges a history of appends to lists and reads of them, as clients saw it.
//!
//! Every append adds a value that no other append adds, and a read gives a whole list,
//! so the order of the appends to a list is plain from the list at the end, and every
//! answer can be held against it. Times are nanoseconds on the clients' one clock. The
//! judge knows nothing of terms, nodes or logs.
//!
//! | anomaly    | what was promised, and is broken                                      |
//! |------------|-----------------------------------------------------------------------|
//! | Lost       | an acknowledged append is in the list at the end                      |
//! | Twice      | a value is in no list twice                                           |
//! | Strange    | a list holds nothing that nobody appended to it                       |
//! | Undone     | an append that was refused is in no list                              |
//! | Torn       | of an append to several lists either all are there or none            |
//! | Diverged   | what a read saw is how the list at the end begins                     |
//! | OutOfOrder | an append acknowledged before another was asked for stands before it  |
//! | Stale      | a read misses nothing that its level owes it                          |
//!
//! What a read is owed, by its level:
//!
//! | level    | all that was                                                            |
//! |----------|-------------------------------------------------------------------------|
//! | strong   | acknowledged to, or read by, anybody before it was asked                |
//! | session  | acknowledged to, or read by, its own session before                     |
//! | bounded  | acknowledged to anybody longer than the bound before it was asked       |
//! | eventual | nothing                                                                 |
#![deny(clippy::disallowed_methods, clippy::disallowed_types)]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Which list.
pub type Key = u32;
/// What was appended; unique in the history.
pub type Value = u64;

/// What a read asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Level {
    Strong,
    Session,
    Bounded,
    Eventual,
}

impl Level {
    pub const ALL: [Self; 4] = [Self::Strong, Self::Session, Self::Bounded, Self::Eventual];

    /// As the setting `towline.read_level` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strong => "strong",
            Self::Session => "session",
            Self::Bounded => "bounded",
            Self::Eventual => "eventual",
        }
    }
}

/// How an append ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    Acknowledged,
    /// Its client was told that it did not take place.
    Refused,
    /// Its client was told nothing, or that nobody knows.
    Unknown,
}

/// One request and its answer.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Operation {
    pub session: u32,
    /// When it was asked, and when it was answered.
    pub begun: u64,
    pub ended: u64,
    pub what: What,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum What {
    /// In one transaction, to each of these lists its value.
    Append { items: Vec<(Key, Value)>, outcome: Outcome },
    /// Only reads that were answered are in a history.
    Read { key: Key, level: Level, saw: Vec<Value> },
}

/// A broken promise. `by` is the session.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Anomaly {
    Lost { key: Key, value: Value, by: u32 },
    Twice { key: Key, value: Value },
    Strange { key: Key, value: Value },
    Undone { key: Key, value: Value, by: u32 },
    Torn { present: (Key, Value), missing: (Key, Value) },
    Diverged { key: Key, by: u32, at: usize },
    OutOfOrder { key: Key, first: Value, second: Value },
    Stale { key: Key, by: u32, level: Level, owed: usize, saw: usize },
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost { key, value, by } => {
                write!(f, "lost: {value}, acknowledged to session {by}, is not in list {key}")
            }
            Self::Twice { key, value } => write!(f, "twice: {value} in list {key}"),
            Self::Strange { key, value } => {
                write!(f, "strange: nobody appended {value} to list {key}")
            }
            Self::Undone { key, value, by } => {
                write!(f, "undone: session {by} was refused {value}, which is in list {key}")
            }
            Self::Torn { present, missing } => write!(
                f,
                "torn: of one transaction {} is in list {} and {} is not in list {}",
                present.1, present.0, missing.1, missing.0
            ),
            Self::Diverged { key, by, at } => write!(
                f,
                "diverged: what session {by} read of list {key} is not how it ends, from {at} on"
            ),
            Self::OutOfOrder { key, first, second } => write!(
                f,
                "out of order: {first} was acknowledged before {second} was asked for and \
                 stands behind it in list {key}"
            ),
            Self::Stale { key, by, level, owed, saw } => write!(
                f,
                "stale: a {} read of list {key} by session {by} saw {saw} values and was owed {owed}",
                level.name()
            ),
        }
    }
}

/// Judges a history against the lists at its end. `bound` is what a bounded read may be
/// behind, nanoseconds.
pub fn judge(
    operations: &[Operation],
    lists: &BTreeMap<Key, Vec<Value>>,
    bound: u64,
) -> Vec<Anomaly> {
    let mut found = Vec::new();
    let places = places(operations, lists, &mut found);
    appends(operations, &places, &mut found);
    order(operations, &places, &mut found);
    reads(operations, lists, &places, bound, &mut found);
    found
}

/// Where each value stands, counted from 1: so many values a read that sees it saw.
type Places = BTreeMap<(Key, Value), usize>;

fn places(
    operations: &[Operation],
    lists: &BTreeMap<Key, Vec<Value>>,
    found: &mut Vec<Anomaly>,
) -> Places {
    let attempted: BTreeSet<(Key, Value)> =
        operations.iter().flat_map(|operation| items(operation).iter().copied()).collect();
    let mut places = Places::new();
    for (&key, list) in lists {
        for (index, &value) in list.iter().enumerate() {
            if places.contains_key(&(key, value)) {
                found.push(Anomaly::Twice { key, value });
                continue;
            }
            if !attempted.contains(&(key, value)) {
                found.push(Anomaly::Strange { key, value });
            }
            places.insert((key, value), index + 1);
        }
    }
    places
}

fn items(operation: &Operation) -> &[(Key, Value)] {
    match &operation.what {
        What::Append { items, .. } => items,
        What::Read { .. } => &[],
    }
}

fn appends(operations: &[Operation], places: &Places, found: &mut Vec<Anomaly>) {
    for operation in operations {
        let What::Append { items, outcome } = &operation.what else { continue };
        let by = operation.session;
        let is_there = |item: &&(Key, Value)| places.contains_key(item);
        let (present, missing): (Vec<_>, Vec<_>) = items.iter().partition(is_there);
        match outcome {
            Outcome::Acknowledged => {
                found.extend(missing.iter().map(|&&(key, value)| Anomaly::Lost { key, value, by }))
            }
            Outcome::Refused => found
                .extend(present.iter().map(|&&(key, value)| Anomaly::Undone { key, value, by })),
            Outcome::Unknown => {
                if let (Some(&&present), Some(&&missing)) = (present.first(), missing.first()) {
                    found.push(Anomaly::Torn { present, missing });
                }
            }
        }
    }
}

/// Acknowledged appends against those that were asked for afterwards, whatever became
/// of them: walking through time with the furthest place acknowledged so far.
fn order(operations: &[Operation], places: &Places, found: &mut Vec<Anomaly>) {
    let mut moments: Vec<(u64, bool, Key, Value)> = Vec::new();
    for operation in operations {
        let What::Append { items, outcome } = &operation.what else { continue };
        for &(key, value) in items {
            moments.push((operation.begun, true, key, value));
            if *outcome == Outcome::Acknowledged {
                moments.push((operation.ended, false, key, value));
            }
        }
    }
    // Of one moment the ends come first only if they are really before; equal times
    // prove nothing, so the beginnings do.
    moments.sort_by_key(|&(at, begins, ..)| (at, !begins));
    let mut furthest: BTreeMap<Key, (usize, Value)> = BTreeMap::new();
    for (_, begins, key, value) in moments {
        let Some(&place) = places.get(&(key, value)) else { continue };
        if begins {
            if let Some(&(ahead, first)) = furthest.get(&key)
                && ahead > place
            {
                found.push(Anomaly::OutOfOrder { key, first, second: value });
            }
        } else {
            let entry = furthest.entry(key).or_insert((place, value));
            if place > entry.0 {
                *entry = (place, value);
            }
        }
    }
}

fn reads(
    operations: &[Operation],
    lists: &BTreeMap<Key, Vec<Value>>,
    places: &Places,
    bound: u64,
    found: &mut Vec<Anomaly>,
) {
    let everybody = Owed::new(operations, places, |_| true);
    let acknowledged = Owed::new(operations, places, |what| matches!(what, What::Append { .. }));
    let sessions: BTreeSet<u32> = operations.iter().map(|operation| operation.session).collect();
    let own: BTreeMap<u32, Owed> = sessions
        .into_iter()
        .map(|session| {
            let mine = operations.iter().filter(|operation| operation.session == session);
            (session, Owed::new(mine, places, |_| true))
        })
        .collect();
    for operation in operations {
        let What::Read { key, level, saw } = &operation.what else { continue };
        let (key, level, by) = (*key, *level, operation.session);
        let list = lists.get(&key).map_or(&[][..], Vec::as_slice);
        let alike = saw.iter().zip(list).take_while(|(one, other)| one == other).count();
        if alike < saw.len() {
            found.push(Anomaly::Diverged { key, by, at: alike });
            continue;
        }
        let owed = match level {
            Level::Strong => everybody.before(key, operation.begun),
            Level::Session => own[&by].before(key, operation.begun),
            Level::Bounded => acknowledged.before(key, operation.begun.saturating_sub(bound)),
            Level::Eventual => 0,
        };
        if saw.len() < owed {
            found.push(Anomaly::Stale { key, by, level, owed, saw: saw.len() });
        }
    }
}

/// How much of each list was known by when.
struct Owed(BTreeMap<Key, Vec<(u64, usize)>>);

impl Owed {
    fn new<'a>(
        operations: impl IntoIterator<Item = &'a Operation>,
        places: &Places,
        counts: impl Fn(&What) -> bool,
    ) -> Self {
        let mut known: BTreeMap<Key, Vec<(u64, usize)>> = BTreeMap::new();
        for operation in operations {
            if !counts(&operation.what) {
                continue;
            }
            match &operation.what {
                What::Append { items, outcome: Outcome::Acknowledged } => {
                    for item in items {
                        if let Some(&place) = places.get(item) {
                            known.entry(item.0).or_default().push((operation.ended, place));
                        }
                    }
                }
                What::Append { .. } => {}
                // An eventual read may come from a node that is cut off, but what it
                // saw was committed all the same, so it counts.
                What::Read { key, saw, .. } => {
                    known.entry(*key).or_default().push((operation.ended, saw.len()));
                }
            }
        }
        for times in known.values_mut() {
            times.sort_unstable();
            let mut most = 0;
            for (_, place) in times {
                most = most.max(*place);
                *place = most;
            }
        }
        Self(known)
    }

    /// How many values were known before `at`.
    fn before(&self, key: Key, at: u64) -> usize {
        let Some(times) = self.0.get(&key) else { return 0 };
        let earlier = times.partition_point(|(ended, _)| *ended < at);
        if earlier == 0 { 0 } else { times[earlier - 1].1 }
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::fmt::Write as _;
    use std::path::Path;

    use test_each_file::test_each_path;

    use super::*;

    test_each_path! { in "tests/golden/workload/history" => golden }

    fn golden(path: &Path) {
        goldenscript::run(&mut Runner::default(), path).expect("golden script failed");
    }

    #[derive(Default)]
    struct Runner {
        operations: Vec<Operation>,
        lists: BTreeMap<Key, Vec<Value>>,
    }

    /// Commands accepted in `tests/golden/workload/history`. Times are `BEGUN-ENDED`.
    #[derive(goldenscript::Command)]
    enum Script {
        /// `append 1 0-2 7@1 8@2`: session 1 appends 7 to list 1 and 8 to list 2.
        Append {
            session: u32,
            times: String,
            items: Vec<String>,
            #[arg(key)]
            outcome: Option<String>,
        },
        /// `read 1 3-4 1 7 9`: session 1 reads list 1 and sees 7, 9.
        Read {
            session: u32,
            times: String,
            key: Key,
            #[arg(optional)]
            saw: Vec<Value>,
            #[arg(key)]
            level: Option<String>,
        },
        /// The list at the end.
        List {
            key: Key,
            #[arg(optional)]
            values: Vec<Value>,
        },
        /// Judges; a bounded read may be 10 behind.
        Judge,
    }

    impl goldenscript::Runner for Runner {
        type Command = Script;

        fn run(
            &mut self,
            command: &Script,
            _: &goldenscript::Context,
        ) -> Result<String, Box<dyn Error>> {
            let mut output = String::new();
            let span = |times: &str| -> Result<(u64, u64), Box<dyn Error>> {
                let (begun, ended) = times.split_once('-').ok_or("times are BEGUN-ENDED")?;
                Ok((begun.parse()?, ended.parse()?))
            };
            match command {
                Script::Append { session, times, items, outcome } => {
                    let (begun, ended) = span(times)?;
                    let item = |item: &String| -> Result<(Key, Value), Box<dyn Error>> {
                        let (value, key) = item.split_once('@').ok_or("items are VALUE@LIST")?;
                        Ok((key.parse()?, value.parse()?))
                    };
                    let items = items.iter().map(item).collect::<Result<_, _>>()?;
                    let outcome = match outcome.as_deref() {
                        None => Outcome::Acknowledged,
                        Some("refused") => Outcome::Refused,
                        Some("unknown") => Outcome::Unknown,
                        Some(_) => return Err("no such outcome".into()),
                    };
                    let what = What::Append { items, outcome };
                    self.operations.push(Operation { session: *session, begun, ended, what });
                }
                Script::Read { session, times, key, saw, level } => {
                    let (begun, ended) = span(times)?;
                    let level = level.as_deref().unwrap_or("session");
                    let level = Level::ALL.into_iter().find(|known| known.name() == level);
                    let level = level.ok_or("no such level")?;
                    let what = What::Read { key: *key, level, saw: saw.clone() };
                    self.operations.push(Operation { session: *session, begun, ended, what });
                }
                Script::List { key, values } => {
                    self.lists.insert(*key, values.clone());
                }
                Script::Judge => {
                    for anomaly in judge(&self.operations, &self.lists, 10) {
                        writeln!(output, "{anomaly}")?;
                    }
                    if output.is_empty() {
                        output.push_str("sound\n");
                    }
                }
            }
            Ok(output)
        }
    }
}
