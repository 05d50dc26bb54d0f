//! Stack for what nests: a thread that runs out of it ends the process.

/// Below so many bytes more are taken, and how many.
const LEFT_MIN: usize = 128 << 10;
const MORE: usize = 2 << 20;

/// Runs `inner`, a step of a recursion, with stack to spare.
pub fn with_stack<T>(inner: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(LEFT_MIN, MORE, inner)
}
