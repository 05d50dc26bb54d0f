//! Any bytes give messages or errors, and no message is longer than allowed.
#![no_main]
use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use towline::pg::frontend::RawMessage;

const LENGTH_MAX: usize = 1 << 16;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(message)) = RawMessage::take(&mut buffer, LENGTH_MAX) {
        assert!(message.bytes.len() <= LENGTH_MAX + 1);
        let _ = message.decode();
    }
});
