//! Any bytes are a control file or are refused: as they are, and as a slot's content
//! under a right checksum.
#![no_main]
use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use towline::storage::control_file::Control;

#[derive(Arbitrary, Debug)]
struct Input {
    raw: Vec<u8>,
    number: u64,
    length: Option<u32>,
    content: Vec<u8>,
}

fuzz_target!(|input: Input| {
    let _ = Control::decode(&input.raw);
    let length = input.length.unwrap_or(input.content.len() as u32);
    let mut slot = b"TwlnCtl\n\x01\0\0\0\0\0\0\0".to_vec();
    slot.extend_from_slice(&input.number.to_le_bytes());
    slot.extend_from_slice(&length.to_le_bytes());
    slot.extend_from_slice(&input.content);
    slot.resize(4096, 0);
    let end = (28 + length as usize).min(slot.len());
    let checksum = crc32c::crc32c(&slot[16..end]);
    slot[12..16].copy_from_slice(&checksum.to_le_bytes());
    if let Ok(control) = Control::decode(&slot) {
        let read: Control = serde_json::from_slice(&input.content).expect("it is the content");
        assert_eq!(read, control);
    }
});
