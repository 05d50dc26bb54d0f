//! Failover: who leads next, and when is that safe. Decides, never does: messages,
//! promises and time in, ordered commands out; the driver executes them in their order,
//! so that what must be durable is durable before it is spoken.
//!
//! | module      | answers                                                              |
//! |-------------|----------------------------------------------------------------------|
//! | `message`   | what monitor and nodes tell each other                               |
//! | `oath`      | what a node is bound to: promises, its office, whom it follows       |
//! | `practice`  | how many acknowledgements a leader demands                           |
//! | `lease`     | until when a leader may acknowledge                                  |
//! | `election`  | how many promises suffice, who is chosen, how long the office waits  |
//! | `machine`   | the monitor: suspicion, elections, hand-overs, changes of members    |
//! | `rules`     | which rule allows which transition                                   |
//! | `event`     | what was decided, and why                                            |
//!
//! The sentences P1 to P26 are those of the failover protocol, plain numbers those of
//! the failover rules; events and `towline status` cite them. The simulation
//! (`src/simulation`, tests only) runs nodes and monitors over a network that loses, delays
//! and reorders and disks that forget, and finds the violation again for sentences that it
//! switches off.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]

mod election;
mod event;
mod lease;
mod machine;
mod message;
mod moment;
mod oath;
mod practice;
mod rules;

pub use election::Choice;
pub use event::Event;
pub use lease::Lease;
pub use machine::{
    Appointed, Candidate, Change, Command, Input, Machine, MonitorState, Operator, Options, Start,
    Timing,
};
pub use message::{
    Appointment, Fetch, FromPeer, MESSAGE_MAX, MessageError, Notice, PromiseMade, Report,
    ToMonitor, ToNode, ToPeer, decode, encode,
};
pub use moment::Moment;
pub use oath::{Bound, Oath, OathCommand, OathInput, Office, Source};
pub use practice::Practice;
pub use rules::{Rule, TRANSITIONS, Transition};
