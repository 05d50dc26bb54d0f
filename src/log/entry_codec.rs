//! The bodies of frames that say something, by kind, as `docs/format.md` has them.
//! Repeated texts are references into the segment's [`Dictionary`], and a statement's
//! context is told by differences to the statement before, which makes the thousandth
//! row of a COPY cost a few bytes besides its values.

use bytes::{BufMut, BytesMut};

use super::dictionary::Dictionary;
use super::frame::FrameKind;
use super::wire::{Reader, WireError, put_bytes, put_varint, put_zigzag};
use super::{ClientToken, Context, Entry, Outcome, Statement, TermStart, Transaction, Value};

const HAS_TOKEN: u8 = 1;
const HAS_OUTCOME: u8 = 2;
const HAS_REPLY: u8 = 4;

/// The kind of frame that carries `entry`.
pub fn kind_of(entry: &Entry) -> FrameKind {
    match entry {
        Entry::Transaction(_) => FrameKind::Transaction,
        Entry::TransactionPart { .. } => FrameKind::TransactionPart,
        Entry::Abort { .. } => FrameKind::Abort,
        Entry::TermStart(_) => FrameKind::TermStart,
        Entry::Configuration(_) => FrameKind::Configuration,
        Entry::SequenceReservation { .. } => FrameKind::SequenceReservation,
        Entry::Marker { .. } => FrameKind::Marker,
    }
}

/// Writes the body of the frame for `entry`.
pub fn encode(entry: &Entry, dictionary: &mut Dictionary, out: &mut BytesMut) {
    match entry {
        Entry::Transaction(transaction) => encode_transaction(transaction, dictionary, out),
        Entry::TransactionPart { id, database, statements } => {
            put_varint(out, *id);
            put_varint(out, u64::from(*database));
            encode_statements(statements, dictionary, out);
        }
        Entry::Abort { id } | Entry::Marker { id } => put_varint(out, *id),
        Entry::TermStart(start) => {
            put_bytes(out, start.leader.as_bytes());
            out.put_u64_le(start.time_us as u64);
        }
        Entry::Configuration(json) => out.put_slice(json),
        Entry::SequenceReservation { database, name, last } => {
            put_varint(out, u64::from(*database));
            dictionary.encode(name, out);
            put_zigzag(out, *last);
        }
    }
}

fn encode_transaction(transaction: &Transaction, dictionary: &mut Dictionary, out: &mut BytesMut) {
    let Transaction { id, database, functions, token, outcome, statements, effect } = transaction;
    put_varint(out, *id);
    put_varint(out, u64::from(*database));
    put_varint(out, u64::from(*functions));
    let reply = outcome.as_ref().and_then(|outcome| outcome.reply.as_ref());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.put_u8(
        flag(token.is_some(), HAS_TOKEN)
            | flag(outcome.is_some(), HAS_OUTCOME)
            | flag(reply.is_some(), HAS_REPLY),
    );
    if let Some(token) = token {
        out.put_u128_le(token.session);
        put_varint(out, token.sequence);
    }
    if let Some(outcome) = outcome {
        put_bytes(out, outcome.tag.as_bytes());
    }
    if let Some(reply) = reply {
        put_bytes(out, reply);
    }
    out.put_u64_le(*effect);
    encode_statements(statements, dictionary, out);
}

fn encode_statements(statements: &[Statement], dictionary: &mut Dictionary, out: &mut BytesMut) {
    put_varint(out, statements.len() as u64);
    let mut before = &Context::default();
    for Statement { text, params, context, is_rows } in statements {
        dictionary.encode(text, out);
        put_zigzag(out, context.now_us.wrapping_sub(before.now_us));
        put_zigzag(out, context.clock_us.wrapping_sub(context.now_us));
        put_zigzag(out, context.seed.wrapping_sub(before.seed) as i64);
        put_zigzag(out, context.last_insert_rowid.wrapping_sub(before.last_insert_rowid));
        put_zigzag(out, context.changes);
        put_varint(out, (context.sequences.len() as u64) << 1 | u64::from(*is_rows));
        for (name, start) in &context.sequences {
            dictionary.encode(name, out);
            put_zigzag(out, *start);
        }
        put_varint(out, params.len() as u64);
        for value in params {
            encode_value(value, out);
        }
        before = context;
    }
}

fn encode_value(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Null => out.put_u8(0),
        Value::Integer(value) => {
            out.put_u8(1);
            put_zigzag(out, *value);
        }
        Value::Real(value) => {
            out.put_u8(2);
            out.put_u64_le(value.to_bits());
        }
        Value::Text(value) => {
            out.put_u8(3);
            put_bytes(out, value.as_bytes());
        }
        Value::Blob(value) => {
            out.put_u8(4);
            put_bytes(out, value);
        }
    }
}

/// Reads the body of a frame of `kind`; `None` for frames that only shape segments.
pub fn decode(
    kind: FrameKind,
    body: &[u8],
    dictionary: &mut Dictionary,
) -> Result<Option<Entry>, WireError> {
    let mut reader = Reader::new(body);
    let entry = match kind {
        FrameKind::SegmentStart | FrameKind::Padding => return Ok(None),
        FrameKind::Transaction => Entry::Transaction(decode_transaction(&mut reader, dictionary)?),
        FrameKind::TransactionPart => Entry::TransactionPart {
            id: reader.varint()?,
            database: narrow(reader.varint()?)?,
            statements: decode_statements(&mut reader, dictionary)?,
        },
        FrameKind::Abort => Entry::Abort { id: reader.varint()? },
        FrameKind::Marker => Entry::Marker { id: reader.varint()? },
        FrameKind::TermStart => Entry::TermStart(TermStart {
            leader: reader.text()?.to_owned(),
            time_us: reader.u64()? as i64,
        }),
        FrameKind::Configuration => Entry::Configuration(reader.take_rest().to_vec()),
        FrameKind::SequenceReservation => Entry::SequenceReservation {
            database: narrow(reader.varint()?)?,
            name: dictionary.decode(&mut reader)?.as_ref().to_owned(),
            last: reader.zigzag()?,
        },
    };
    reader.finish()?;
    Ok(Some(entry))
}

fn decode_transaction(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
) -> Result<Transaction, WireError> {
    let id = reader.varint()?;
    let database = narrow(reader.varint()?)?;
    let functions = narrow(reader.varint()?)?;
    let flags = reader.u8()?;
    let has = |flag| flags & flag != 0;
    if flags & !(HAS_TOKEN | HAS_OUTCOME | HAS_REPLY) != 0 || has(HAS_REPLY) && !has(HAS_OUTCOME) {
        return Err(WireError::Malformed("transaction flags"));
    }
    let token = match has(HAS_TOKEN) {
        true => Some(ClientToken { session: reader.u128()?, sequence: reader.varint()? }),
        false => None,
    };
    let outcome = match has(HAS_OUTCOME) {
        true => Some(Outcome {
            tag: reader.text()?.to_owned(),
            reply: if has(HAS_REPLY) { Some(reader.bytes()?.to_vec()) } else { None },
        }),
        false => None,
    };
    let effect = reader.u64()?;
    let statements = decode_statements(reader, dictionary)?;
    Ok(Transaction { id, database, functions, token, outcome, statements, effect })
}

/// Least bytes of a statement: what bounds the memory set aside for a count.
const STATEMENT_LEN_MIN: usize = 9;

fn decode_statements(
    reader: &mut Reader<'_>,
    dictionary: &mut Dictionary,
) -> Result<Vec<Statement>, WireError> {
    let count = reader.count(1)?;
    let mut statements: Vec<Statement> =
        Vec::with_capacity(count.min(reader.remaining() / STATEMENT_LEN_MIN + 1));
    let (mut now_us, mut seed, mut rowid) = (0i64, 0u64, 0i64);
    for _ in 0..count {
        let text = dictionary.decode(reader)?;
        now_us = now_us.wrapping_add(reader.zigzag()?);
        let clock_us = now_us.wrapping_add(reader.zigzag()?);
        seed = seed.wrapping_add(reader.zigzag()? as u64);
        rowid = rowid.wrapping_add(reader.zigzag()?);
        let changes = reader.zigzag()?;
        let sequences = reader.varint()?;
        let is_rows = sequences & 1 != 0;
        let sequences = (0..sequences >> 1)
            .map(|_| Ok((dictionary.decode(reader)?.as_ref().to_owned(), reader.zigzag()?)))
            .collect::<Result<_, WireError>>()?;
        let params = (0..reader.count(1)?)
            .map(|_| decode_value(reader))
            .collect::<Result<_, WireError>>()?;
        let context =
            Context { now_us, clock_us, seed, last_insert_rowid: rowid, changes, sequences };
        statements.push(Statement { text, params, context, is_rows });
    }
    Ok(statements)
}

fn decode_value(reader: &mut Reader<'_>) -> Result<Value, WireError> {
    Ok(match reader.u8()? {
        0 => Value::Null,
        1 => Value::Integer(reader.zigzag()?),
        2 => Value::Real(f64::from_bits(reader.u64()?)),
        3 => Value::Text(reader.text()?.to_owned()),
        4 => Value::Blob(reader.bytes()?.to_vec()),
        _ => return Err(WireError::Malformed("value type")),
    })
}

fn narrow<T: TryFrom<u64>>(value: u64) -> Result<T, WireError> {
    T::try_from(value).map_err(|_| WireError::Malformed("integer: too large"))
}

#[cfg(test)]
pub(crate) mod strategies {
    //! Arbitrary entries, for the tests of whatever carries them.

    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            any::<f64>().prop_map(Value::Real),
            ".{0,8}".prop_map(Value::Text),
            vec(any::<u8>(), 0..8).prop_map(Value::Blob),
        ]
    }

    fn context() -> impl Strategy<Value = Context> {
        let sequences = vec(("[a-z]{1,8}", any::<i64>()), 0..3);
        (any::<(i64, i64, u64, i64, i64)>(), sequences).prop_map(
            |((now_us, clock_us, seed, last_insert_rowid, changes), sequences)| Context {
                now_us,
                clock_us,
                seed,
                last_insert_rowid,
                changes,
                sequences,
            },
        )
    }

    fn statements() -> impl Strategy<Value = Vec<Statement>> {
        let text = "(insert into t|update t) .{0,3}";
        let statement = (text, vec(value(), 0..4), context(), any::<bool>()).prop_map(
            |(text, params, context, is_rows)| Statement {
                text: text.into(),
                params,
                context,
                is_rows,
            },
        );
        vec(statement, 0..4)
    }

    fn transaction() -> impl Strategy<Value = Transaction> {
        let token = option::of(any::<(u128, u64)>())
            .prop_map(|token| token.map(|(session, sequence)| ClientToken { session, sequence }));
        let outcome = option::of(("[A-Z 0-9]{0,9}", option::of(vec(any::<u8>(), 0..9))))
            .prop_map(|outcome| outcome.map(|(tag, reply)| Outcome { tag, reply }));
        (any::<(u64, u32, u16, u64)>(), token, outcome, statements()).prop_map(
            |((id, database, functions, effect), token, outcome, statements)| Transaction {
                id,
                database,
                functions,
                token,
                outcome,
                statements,
                effect,
            },
        )
    }

    /// Any entry.
    pub(crate) fn entry() -> impl Strategy<Value = Entry> {
        prop_oneof![
            4 => transaction().prop_map(Entry::Transaction),
            1 => any::<u64>().prop_map(|id| Entry::Marker { id }),
            1 => (any::<u64>(), any::<u32>(), statements()).prop_map(|(id, database, statements)| {
                Entry::TransactionPart { id, database, statements }
            }),
            1 => any::<u64>().prop_map(|id| Entry::Abort { id }),
            1 => ("[a-z]{0,9}", any::<i64>())
                .prop_map(|(leader, time_us)| Entry::TermStart(TermStart { leader, time_us })),
            1 => vec(any::<u8>(), 0..20).prop_map(Entry::Configuration),
            1 => (any::<u32>(), "[a-z]{0,9}", any::<i64>()).prop_map(|(database, name, last)| {
                Entry::SequenceReservation { database, name, last }
            }),
        ]
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::strategies::entry;
    use super::*;
    use crate::log::format_page::Known::{Number, Raw, Signed};
    use crate::log::format_page::{assert_numbers, assert_table};

    const KINDS: [FrameKind; 7] = [
        FrameKind::Transaction,
        FrameKind::TransactionPart,
        FrameKind::Abort,
        FrameKind::TermStart,
        FrameKind::Configuration,
        FrameKind::SequenceReservation,
        FrameKind::Marker,
    ];

    /// Debug text, in which NaN equals itself.
    fn shown(entry: &Entry) -> String {
        format!("{entry:?}")
    }

    proptest! {
        #[test]
        fn entries_survive(entries in vec(entry(), 1..6)) {
            let (mut writer, mut reader) = (Dictionary::default(), Dictionary::default());
            for entry in &entries {
                let mut body = BytesMut::new();
                encode(entry, &mut writer, &mut body);
                let decoded = decode(kind_of(entry), &body, &mut reader)?;
                prop_assert_eq!(decoded.as_ref().map(shown), Some(shown(entry)));
            }
        }

        #[test]
        fn cut_short_or_lengthened_they_are_refused(entry in entry(), cut in 0usize..100) {
            // Configuration is opaque to its end.
            prop_assume!(!matches!(entry, Entry::Configuration(_)));
            let mut body = BytesMut::new();
            encode(&entry, &mut Dictionary::default(), &mut body);
            let decode = |bytes: &[u8]| decode(kind_of(&entry), bytes, &mut Dictionary::default());
            prop_assert!(decode(&body[..cut % body.len()]).is_err());
            body.put_u8(0);
            prop_assert!(decode(&body).is_err());
        }

        #[test]
        fn a_flipped_bit_never_panics(entry in entry(), at in 0usize..400, bit in 0u8..8) {
            let mut body = BytesMut::new();
            encode(&entry, &mut Dictionary::default(), &mut body);
            let at = at % body.len().max(1);
            if let Some(byte) = body.get_mut(at) {
                *byte ^= 1 << bit;
            }
            // Flipped bytes either are refused or mean something else; never panic.
            let _ = decode(kind_of(&entry), &body, &mut Dictionary::default());
        }

        #[test]
        fn any_bytes_are_at_most_an_error(bytes in vec(any::<u8>(), 0..200), kind in 0..KINDS.len()) {
            let _ = decode(KINDS[kind], &bytes, &mut Dictionary::default());
        }
    }

    #[test]
    fn a_row_of_a_copy_costs_little_besides_its_values() {
        let statement = |n: i64| Statement {
            text: "insert into t (a) values (?1)".into(),
            params: vec![Value::Integer(n)],
            context: Context {
                now_us: 1_700_000_000_000_000,
                clock_us: 1_700_000_000_000_007,
                seed: 0x1234_5678_9abc_def0 + n as u64,
                last_insert_rowid: 1000 + n,
                changes: 1,
                sequences: vec![],
            },
            is_rows: false,
        };
        let mut body = BytesMut::new();
        let statements = (0..1000).map(statement).collect();
        encode(
            &Entry::TransactionPart { id: 1, database: 0, statements },
            &mut Dictionary::default(),
            &mut body,
        );
        assert!(body.len() < 12 * 1000, "{} bytes", body.len());
    }

    fn body(entry: &Entry) -> BytesMut {
        let mut body = BytesMut::new();
        encode(entry, &mut Dictionary::default(), &mut body);
        body
    }

    fn statement_of_the_page() -> Statement {
        let context = Context {
            now_us: -5,
            clock_us: 2,
            seed: 300,
            last_insert_rowid: 8,
            changes: -1,
            sequences: vec![("s".into(), 77)],
        };
        let params = vec![Value::Integer(9)];
        Statement { text: "select ?1".into(), params, context, is_rows: true }
    }

    #[test]
    fn transactions_are_as_the_page_says() {
        let statement = statement_of_the_page();
        let part = body(&Entry::TransactionPart {
            id: 4,
            database: 3,
            statements: vec![statement.clone()],
        });
        let bytes = &part[3..];
        let fields = [
            ("id", Number(4)),
            ("database", Number(3)),
            ("count", Number(1)),
            ("statements", Raw(bytes)),
        ];
        assert_table("Transaction part", &part, &fields);
        let fields = [
            ("SQL", Raw(b"select ?1")),
            ("now", Signed(-5)),
            ("clock", Signed(7)),
            ("seed", Signed(300)),
            ("last insert rowid", Signed(8)),
            ("changes", Signed(-1)),
            ("sequences", Number(3)),
            ("name", Raw(b"s")),
            ("start", Signed(77)),
            ("parameters", Number(1)),
            ("type", Number(1)),
            ("value", Raw(&[18])),
        ];
        assert_table("Statement", bytes, &fields);
        let whole = body(&Entry::Transaction(Transaction {
            id: 200,
            database: 3,
            functions: 5,
            token: Some(ClientToken { session: 1 << 100, sequence: 6 }),
            outcome: Some(Outcome { tag: "INSERT 0 1".into(), reply: Some(b"reply".to_vec()) }),
            statements: vec![statement],
            effect: 1 << 60,
        }));
        let fields = [
            ("id", Number(200)),
            ("database", Number(3)),
            ("functions", Number(5)),
            ("flags", Number(7)),
            ("session", Number(1 << 100)),
            ("sequence", Number(6)),
            ("tag", Raw(b"INSERT 0 1")),
            ("reply", Raw(b"reply")),
            ("effect", Number(1 << 60)),
            ("count", Number(1)),
            ("statements", Raw(bytes)),
        ];
        assert_table("Transaction", &whole, &fields);
    }

    #[test]
    fn a_statement_behind_another_is_told_by_differences() {
        let first = statement_of_the_page();
        let mut second = first.clone();
        second.context.now_us = -4;
        second.context.clock_us = -4;
        second.context.seed = 299;
        second.context.last_insert_rowid = 18;
        let part = |statements| body(&Entry::TransactionPart { id: 4, database: 0, statements });
        let (alone, both) = (part(vec![first.clone()]), part(vec![first, second]));
        // Behind the text, which is kept now: now, clock, seed, rowid, changes.
        let text = 1 + 1 + b"select ?1".len();
        let second = &both[alone.len()..];
        assert_eq!((second[0], &second[text..text + 5]), (1, &[2, 0, 1, 20, 1][..]));
    }

    #[test]
    fn other_bodies_are_as_the_page_says() {
        for entry in [Entry::Abort { id: 300 }, Entry::Marker { id: 300 }] {
            assert_table("Abort and marker", &body(&entry), &[("id", Number(300))]);
        }
        let start = body(&Entry::TermStart(TermStart { leader: "n1".into(), time_us: 1 << 50 }));
        let fields = [("leader", Raw(b"n1")), ("time", Number(1 << 50))];
        assert_table("Term start", &start, &fields);
        let (name, last) = ("orders_id_seq".to_owned(), -7);
        let reserved = body(&Entry::SequenceReservation { database: 1, name, last });
        let fields =
            [("database", Number(1)), ("name", Raw(b"orders_id_seq")), ("last", Signed(-7))];
        assert_table("Sequence reservation", &reserved, &fields);
        assert_eq!(body(&Entry::Configuration(b"{}".to_vec())), b"{}"[..]);
    }

    #[test]
    fn values_are_as_the_page_says() {
        let named = |value: &Value| match value {
            Value::Null => ("null", vec![]),
            Value::Integer(_) => ("integer", vec![3]),
            Value::Real(_) => ("real", 1.5f64.to_bits().to_le_bytes().to_vec()),
            Value::Text(_) => ("text", b"\x01x".to_vec()),
            Value::Blob(_) => ("blob", b"\x01y".to_vec()),
        };
        let (text, blob) = (Value::Text("x".into()), Value::Blob(b"y".to_vec()));
        let values = [Value::Null, Value::Integer(-2), Value::Real(1.5), text, blob];
        let held = values.map(|value| {
            let mut out = BytesMut::new();
            encode_value(&value, &mut out);
            let (name, bytes) = named(&value);
            assert_eq!(out[1..], bytes[..], "{name}");
            (out[0], name)
        });
        assert_numbers("Statement", "type", &held);
    }
}
