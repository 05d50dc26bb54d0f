//! The effect hash: what a transaction did to the rows, in sixty-four bits.
//!
//! Leader and follower run the same statement texts; the hash tells whether they did
//! the same. Each row change is laid out as below and hashed with the hash so far as
//! the seed, so that a change of any value, row or order shows. To undo a statement,
//! the earlier hash is put back: that is all that a mark holds.
//!
//! | bytes | what                                                              |
//! |-------|-------------------------------------------------------------------|
//! | 1     | operation: 18 insert, 23 update, 9 delete (SQLite's own numbers)   |
//! | 2 + n | table name                                                        |
//! | 8, 8  | old and new rowid; 0 where the table has none                     |
//! | …     | old values (update, delete), then new values (insert, update)     |
//!
//! A value is a byte for its type (SQLite's numbers), then 8 bytes of an integer or
//! float, or 4 bytes of length and the bytes. All numbers are little-endian.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A value as SQLite holds it: a text is bytes, whatever they are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum RawValue<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a [u8]),
    Blob(&'a [u8]),
}

/// Operations, by SQLite's numbers.
pub(super) const INSERT: i32 = 18;
pub(super) const DELETE: i32 = 9;

/// A row change, as the preupdate hook shows it.
pub(super) trait RowChange {
    fn operation(&self) -> i32;
    fn table(&self) -> &[u8];
    /// Old and new rowid.
    fn keys(&self) -> (i64, i64);
    /// How many columns are stored.
    fn columns(&self) -> i32;
    /// Column `index` before an update or delete; `None` if it is not stored.
    fn before(&self, index: i32) -> Option<RawValue<'_>>;
    /// Column `index` after an insert or update, likewise.
    fn after(&self, index: i32) -> Option<RawValue<'_>>;
}

/// Hashes row changes in order.
#[derive(Debug, Default)]
pub(super) struct EffectHash {
    hash: u64,
    /// The change being laid out; kept for its capacity.
    buffer: Vec<u8>,
}

/// A buffer that one enormous row made this large is not kept.
const BUFFER_KEPT_MAX: usize = 64 * 1024;

impl EffectHash {
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    pub(super) fn set(&mut self, hash: u64) {
        self.hash = hash;
    }

    pub(super) fn add_change(&mut self, change: &impl RowChange) {
        self.buffer.push(u8::try_from(change.operation()).unwrap_or(0));
        let table = change.table();
        self.buffer.extend_from_slice(&(table.len() as u16).to_le_bytes());
        self.buffer.extend_from_slice(table);
        let (old_key, new_key) = change.keys();
        self.buffer.extend_from_slice(&old_key.to_le_bytes());
        self.buffer.extend_from_slice(&new_key.to_le_bytes());
        let columns = change.columns();
        if change.operation() != INSERT {
            for (_, value) in stored(columns, |index| change.before(index)) {
                lay_out(&mut self.buffer, value);
            }
        }
        if change.operation() != DELETE {
            for (_, value) in stored(columns, |index| change.after(index)) {
                lay_out(&mut self.buffer, value);
            }
        }
        self.seal();
    }

    /// Adds one row of a query: for what the preupdate hook does not see.
    pub(super) fn add_row<'a>(&mut self, values: impl Iterator<Item = RawValue<'a>>) {
        for value in values {
            lay_out(&mut self.buffer, value);
        }
        self.seal();
    }

    fn seal(&mut self) {
        self.hash = xxh3_64_with_seed(&self.buffer, self.hash);
        self.buffer.clear();
        if self.buffer.capacity() > BUFFER_KEPT_MAX {
            self.buffer = Vec::new();
        }
    }
}

/// SQLite's own limit on the columns of a table.
const COLUMNS_MAX: i32 = 2000;

/// The values of a row of `columns` stored columns, with their places in the table.
/// Between them may lie generated ones which are not stored.
pub(super) fn stored<'a>(
    columns: i32,
    value: impl Fn(i32) -> Option<RawValue<'a>>,
) -> impl Iterator<Item = (i32, RawValue<'a>)> {
    let values = (0..COLUMNS_MAX).filter_map(move |index| Some((index, value(index)?)));
    values.take(usize::try_from(columns).unwrap_or(0))
}

fn lay_out(buffer: &mut Vec<u8>, value: RawValue<'_>) {
    let mut number = |kind: u8, bytes: [u8; 8]| {
        buffer.push(kind);
        buffer.extend_from_slice(&bytes);
    };
    let (kind, bytes) = match value {
        RawValue::Null => return buffer.push(5),
        RawValue::Integer(value) => return number(1, value.to_le_bytes()),
        RawValue::Real(value) => return number(2, value.to_bits().to_le_bytes()),
        RawValue::Text(bytes) => (3, bytes),
        RawValue::Blob(bytes) => (4, bytes),
    };
    buffer.push(kind);
    buffer.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    buffer.extend_from_slice(bytes);
}
