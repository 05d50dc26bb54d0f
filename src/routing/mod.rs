//! Where a client's statements run. Pure: classes, views and positions in, routes out.
#![deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::unwrap_used)]
