//! Any bytes are a message between processes or are refused, and a message that reads
//! says the same when it is written again.
#![no_main]
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use towline::cluster::View;
use towline::failover::{FromPeer, ToMonitor, ToNode, ToPeer, decode, encode};
use towline::net::{Hello, HelloReply};
use towline::replication::message::{ToFollower, ToLeader};
use towline::routing::link::{Down, Up};

macro_rules! json {
    ($kind:ty, $bytes:expr) => {
        if let Ok(message) = decode::<$kind>($bytes) {
            assert_eq!(decode::<$kind>(&encode(&message)).expect("it was written"), message);
        }
    };
}

fuzz_target!(|data: &[u8]| {
    let [choice, data @ ..] = data else { return };
    let bytes = Bytes::copy_from_slice(data);
    match choice % 5 {
        0 => {
            if let Ok(message) = ToLeader::decode(data) {
                assert_eq!(message.encode(), data);
            }
        }
        1 => {
            if let Ok(message) = ToFollower::decode(&bytes) {
                assert_eq!(message.encode(), data);
            }
        }
        2 => {
            json!(ToMonitor, data);
            json!(ToNode, data);
            json!(FromPeer, data);
            json!(ToPeer, data);
        }
        3 => {
            let mut out = BytesMut::new();
            if let Ok((session, up)) = Up::decode(bytes.clone()) {
                up.encode(session, &mut out);
                assert_eq!(out.split(), data);
            }
            if let Ok((session, down)) = Down::decode(bytes) {
                down.encode(session, &mut out);
                assert_eq!(out, data);
            }
        }
        _ => {
            let _ = serde_json::from_slice::<Hello>(data);
            let _ = serde_json::from_slice::<HelloReply>(data);
            let _ = serde_json::from_slice::<View>(data);
        }
    }
});
