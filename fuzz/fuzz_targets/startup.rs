//! Any bytes give start-up packets or errors, and so do the options and SASL
//! messages in them.
#![no_main]
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use towline::pg::scram::{Offered, Verifier, server_end_point};
use towline::pg::startup::Packet;

fuzz_target!(|data: &[u8]| {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(packet)) = Packet::take(&mut buffer) {
        if let Packet::Startup(startup) = packet {
            let _ = startup.settings();
        }
    }
    let offered = Offered::new("user", Verifier::mock(b"", "user"), Some(vec![0; 32]));
    if let Ok((challenged, _)) = offered.first(&Bytes::copy_from_slice(data), &[0; 18]) {
        let _ = challenged.last(data);
    }
    let _ = server_end_point(data);
});
