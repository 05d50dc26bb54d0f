//! Any bytes read as a value or are refused; a value that reads says the same
//! after a way through its text form and its binary form.
#![no_main]
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use towline::pg::Oid;
use towline::pg::types::{Display, Format, TYPES, decode, encode_binary, encode_text};

fuzz_target!(|data: &[u8]| {
    let [kind, format, bytes @ ..] = data else { return };
    let oid = TYPES[usize::from(*kind) % TYPES.len()].oid;
    let format = if format % 2 == 0 { Format::Text } else { Format::Binary };
    let plain = Display::default();
    let Ok(value) = decode(bytes, oid, format, &plain) else { return };
    let mut text = BytesMut::new();
    encode_text(value.as_ref(), oid, -1, &plain, &mut text).expect("what reads prints");
    if !matches!(oid, Oid::VOID | Oid::RECORD) {
        assert_eq!(decode(&text, oid, Format::Text, &plain).as_ref(), Ok(&value));
    }
    let mut binary = BytesMut::new();
    // Of void nothing but that it is there goes either way.
    if oid != Oid::VOID && encode_binary(value.as_ref(), oid, &mut binary).is_ok() {
        assert_eq!(decode(&binary, oid, Format::Binary, &plain).as_ref(), Ok(&value));
    }
});
