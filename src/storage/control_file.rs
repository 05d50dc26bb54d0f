//! The control file: the little that a node must never forget.
//!
//! Two slots of 4096 bytes hold the same content. An update writes and syncs the
//! first, then the second, so that at any instant one of them is whole: power lost
//! in between costs the update (which had not returned) or nothing, and damage to
//! either slot is healed from the other.
//!
//! `docs/format.md` has a slot's bytes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::fs::{File, Fs, Op, RealFs};
use super::seal::Seal;
use crate::cluster::Roll;
use crate::log::{Lsn, Term};

const MAGIC: &[u8; 8] = b"TwlnCtl\n";
const VERSION: u32 = 1;
const SLOT_LEN: usize = 4096;
const HEADER_LEN: usize = 28;

/// What a node must not forget.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The cluster it belongs to; empty before it joined one.
    pub cluster: String,
    /// The newest term heard and recorded.
    pub term: Term,
    /// The newest term promised, and the monitor incarnation it was promised to.
    pub promised: Option<(Term, u64)>,
    /// The highest term that this node led.
    pub led: Term,
    /// Known to be committed (a lower bound).
    pub commit: Lsn,
    /// Directory of the current generation of the databases, below `data/`.
    pub generation: u64,
    /// Rule 16a: new, re-seeded or cut: counts for no election until cleared.
    pub unproven: bool,
    /// The members that it knows and acts upon; of version 0, those of its configuration.
    #[serde(default)]
    pub roll: Roll,
    /// The database file as it was when the node ended; `None` while it runs, and where it
    /// was killed.
    #[serde(default)]
    pub sealed: Option<Seal>,
}

impl Control {
    /// What a control file with these bytes says, or why it says nothing.
    pub fn decode(file: &[u8]) -> Result<Self, String> {
        let mut slots = [0; 2 * SLOT_LEN];
        let held = file.len().min(slots.len());
        slots[..held].copy_from_slice(&file[..held]);
        let (first, second) = slots.split_at(SLOT_LEN);
        Ok(decode_slots(first, second)?.1)
    }
}

/// The control file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: damaged: {cause}")]
    Damaged { path: PathBuf, cause: String },
}

/// The control file and its content.
pub struct ControlFile {
    path: PathBuf,
    file: Arc<dyn File>,
    /// Number of the last update.
    number: u64,
    control: Control,
    /// Set when an update failed: what is on disk is unknown, so nothing that
    /// depends on it may be said any more.
    failed: bool,
}

impl ControlFile {
    /// Opens it, or creates it with defaults in a directory that has no data.
    pub fn open(path: &Path) -> Result<Self, ControlError> {
        Self::open_in(&RealFs, path)
    }

    /// As [`ControlFile::open`], on the given file system.
    pub fn open_in(fs: &dyn Fs, path: &Path) -> Result<Self, ControlError> {
        let io = |source| ControlError::Io { path: path.to_owned(), source };
        let dir = path.parent().unwrap_or(Path::new("."));
        fs.create_dir_all(Op::WriteControl, dir).map_err(io)?;
        let names = fs.list(Op::ReadControl, dir).map_err(io)?;
        let own = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !names.iter().any(|name| name == own) {
            // Whoever forgot its promises must not pass for the node that made them.
            if let Some(data) = names.iter().find(|n| *n == "log" || n.starts_with("gen-")) {
                let cause = format!("the file is missing, but {data} is there");
                return Err(ControlError::Damaged { path: path.to_owned(), cause });
            }
            return Self::create(fs, path, dir);
        }
        let file = fs.open(Op::ReadControl, path).map_err(io)?;
        let length = file.length(Op::ReadControl).map_err(io)?;
        let mut slots = vec![0; 2 * SLOT_LEN];
        let held = slots.len().min(usize::try_from(length).unwrap_or(usize::MAX));
        file.read_exact_at(Op::ReadControl, &mut slots[..held], 0).map_err(io)?;
        let (first, second) = slots.split_at(SLOT_LEN);
        let (number, control) = decode_slots(first, second)
            .map_err(|cause| ControlError::Damaged { path: path.to_owned(), cause })?;
        let mut opened = Self { path: path.to_owned(), file, number, control, failed: false };
        if first != second || held < slots.len() {
            opened.write()?;
        }
        Ok(opened)
    }

    fn create(fs: &dyn Fs, path: &Path, dir: &Path) -> Result<Self, ControlError> {
        let io = |source| ControlError::Io { path: path.to_owned(), source };
        // Made under another name, so that a control file is whole or not there.
        let unfinished = path.with_extension("new");
        let file = fs.create(Op::WriteControl, &unfinished).map_err(io)?;
        let control = Control::default();
        let mut created = Self { path: path.to_owned(), file, number: 1, control, failed: false };
        created.write()?;
        fs.rename(Op::WriteControl, &unfinished, path).map_err(io)?;
        fs.sync_dir(Op::SyncDir, dir).map_err(io)?;
        Ok(created)
    }

    /// Reads the content without touching the file, which a node may be using.
    pub fn peek(path: &Path) -> Result<Control, ControlError> {
        let io = |source| ControlError::Io { path: path.to_owned(), source };
        let bytes = std::fs::read(path).map_err(io)?;
        Control::decode(&bytes)
            .map_err(|cause| ControlError::Damaged { path: path.to_owned(), cause })
    }

    /// The content.
    pub fn get(&self) -> &Control {
        &self.control
    }

    /// Changes it durably: returns only after fsync. After an error the content is
    /// as before, and every later update fails too.
    pub fn update(&mut self, change: impl FnOnce(&mut Control)) -> Result<(), ControlError> {
        let mut control = self.control.clone();
        change(&mut control);
        if control == self.control {
            return Ok(());
        }
        let before = std::mem::replace(&mut self.control, control);
        self.number += 1;
        self.write().inspect_err(|_| {
            self.control = before;
            self.failed = true;
        })
    }

    fn write(&mut self) -> Result<(), ControlError> {
        let io = |source| ControlError::Io { path: self.path.clone(), source };
        if self.failed {
            return Err(io(std::io::Error::other("an update failed before")));
        }
        let slot = encode_slot(self.number, &self.control);
        for place in [0, SLOT_LEN as u64] {
            self.file.write_all_at(Op::WriteControl, &slot, place).map_err(io)?;
            self.file.sync_data(Op::WriteControl).map_err(io)?;
        }
        Ok(())
    }
}

fn encode_slot(number: u64, control: &Control) -> Vec<u8> {
    let content = serde_json::to_vec(control).expect("a control structure is JSON");
    assert!(HEADER_LEN + content.len() <= SLOT_LEN, "control content of {} bytes", content.len());
    let mut slot = vec![0; SLOT_LEN];
    slot[..8].copy_from_slice(MAGIC);
    slot[8..12].copy_from_slice(&VERSION.to_le_bytes());
    slot[16..24].copy_from_slice(&number.to_le_bytes());
    slot[24..28].copy_from_slice(&(content.len() as u32).to_le_bytes());
    slot[HEADER_LEN..HEADER_LEN + content.len()].copy_from_slice(&content);
    let checksum = crc32c::crc32c(&slot[16..HEADER_LEN + content.len()]);
    slot[12..16].copy_from_slice(&checksum.to_le_bytes());
    slot
}

/// The newer of two slots that are whole.
fn decode_slots(first: &[u8], second: &[u8]) -> Result<(u64, Control), String> {
    match (decode_slot(first), decode_slot(second)) {
        (Ok(one), Ok(other)) if one.0 < other.0 => Ok(other),
        (Ok(one), _) | (Err(_), Ok(one)) => Ok(one),
        (Err(first), Err(second)) => Err(format!("first slot: {first}; second slot: {second}")),
    }
}

fn decode_slot(slot: &[u8]) -> Result<(u64, Control), String> {
    let word = |at: usize| u32::from_le_bytes([slot[at], slot[at + 1], slot[at + 2], slot[at + 3]]);
    if slot[..8] != *MAGIC {
        return Err("not a control file's".to_owned());
    }
    if word(8) != VERSION {
        return Err(format!("format version {} is unknown", word(8)));
    }
    let content = slot.get(16..HEADER_LEN + word(24) as usize).ok_or("impossible length")?;
    if crc32c::crc32c(content) != word(12) {
        return Err("the checksum does not match".to_owned());
    }
    let number = u64::from(word(16)) | u64::from(word(20)) << 32;
    let control = serde_json::from_slice(&content[HEADER_LEN - 16..])
        .map_err(|error| format!("the content: {error}"))?;
    Ok((number, control))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::fs::simulated::SimulatedFs;
    use super::*;
    use crate::cluster::{Configuration, Member};
    use crate::log::format_page::Known::{Number, Raw};
    use crate::log::format_page::{assert_limit, assert_object, assert_table};

    const PATH: &str = "/data/control";

    fn open(fs: &SimulatedFs) -> Result<ControlFile, ControlError> {
        ControlFile::open_in(fs, Path::new(PATH))
    }

    /// Changes more than one sector of a slot.
    fn promise(file: &mut ControlFile, term: u64) -> Result<(), ControlError> {
        file.update(|control| {
            control.promised = Some((Term(term), 1));
            control.cluster = term.to_string().repeat(1500 / term.to_string().len());
        })
    }

    #[test]
    fn it_outlives_the_process_in_a_real_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("data/control");
        let mut file = ControlFile::open(&path).expect("created");
        assert_eq!(file.get(), &Control::default());
        promise(&mut file, 3).expect("written");
        drop(file);
        let file = ControlFile::open(&path).expect("opened");
        assert_eq!(file.get().promised, Some((Term(3), 1)));
    }

    #[test]
    fn power_lost_at_any_operation_keeps_what_was_promised() {
        for seed in 0..200 {
            let fs = SimulatedFs::new(seed);
            let mut told = None;
            let mut asked = 0;
            // Three lives, each ended by a failed operation and lost power.
            for life in 0..3 {
                fs.fail_after(Op::WriteControl, (seed + life) % 9);
                if let Ok(mut file) = open(&fs) {
                    let held = file.get().promised.map_or(0, |(term, _)| term.0);
                    assert!(held >= told.unwrap_or(0) && held <= asked, "{held}, told {told:?}");
                    for term in asked + 1..asked + 4 {
                        asked = term;
                        match promise(&mut file, term) {
                            Ok(()) => told = Some(term),
                            Err(_) => break,
                        }
                    }
                }
                fs.heal();
                fs.lose_power();
            }
            let held = open(&fs).expect("opens").get().promised.map_or(0, |(term, _)| term.0);
            assert!(held >= told.unwrap_or(0) && held <= asked);
        }
    }

    #[test]
    fn a_file_that_was_made_is_there_and_one_that_failed_says_nothing_more() {
        let fs = SimulatedFs::new(1);
        let mut file = open(&fs).expect("created");
        promise(&mut file, 3).expect("written");
        fs.lose_power_and_caches();
        let mut file = open(&fs).expect("it is there");
        assert_eq!(file.get().promised, Some((Term(3), 1)));
        fs.fail_after(Op::WriteControl, 0);
        promise(&mut file, 4).expect_err("not written");
        fs.heal();
        promise(&mut file, 5).expect_err("what is on the disk is unknown");
        assert_eq!(file.get().promised, Some((Term(3), 1)));
    }

    #[test]
    fn damage_to_one_slot_is_healed_and_to_both_is_named() {
        let fs = SimulatedFs::new(1);
        let mut file = open(&fs).expect("created");
        promise(&mut file, 9).expect("written");
        for slot in [0, SLOT_LEN] {
            fs.flip(Path::new(PATH), slot + 40, 0x10);
            assert_eq!(open(&fs).expect("healed").get().promised, Some((Term(9), 1)));
        }
        fs.flip(Path::new(PATH), 40, 0x10);
        fs.flip(Path::new(PATH), SLOT_LEN + 40, 0x10);
        let error = open(&fs).err().expect("damaged").to_string();
        assert!(error.contains(PATH) && error.contains("second slot: the checksum"), "{error}");
    }

    const LARGEST: Seal =
        Seal { generation: u64::MAX, length: u64::MAX, written_ns: i64::MIN, hash: Some(u64::MAX) };

    fn control() -> impl Strategy<Value = Control> {
        let words = any::<(u64, u64, u64, u64)>();
        (".{0,60}", words, any::<Option<(u64, u64)>>(), any::<bool>()).prop_map(
            |(cluster, (term, led, commit, generation), promised, unproven)| Control {
                cluster,
                term: Term(term),
                promised: promised.map(|(term, incarnation)| (Term(term), incarnation)),
                led: Term(led),
                commit: Lsn(commit),
                generation,
                unproven,
                roll: roll(usize::try_from(generation % 4).expect("small")),
                sealed: unproven.then_some(Seal { generation, ..LARGEST }),
            },
        )
    }

    /// So many members, and one more that is joining.
    fn roll(members: usize) -> Roll {
        let member = |n: usize| (format!("n{n}").parse().expect("legal"), format!("h{n}:1"), 100);
        let committed = Configuration::initial((0..members).map(member));
        let (name, peer, priority) = member(members);
        let pending = committed.with(Member { name, peer, priority, counts: false });
        Roll { committed, pending: Some(pending) }
    }

    #[test]
    fn the_largest_configurations_fit() {
        let fits = |roll: &Roll| roll.newest().to_json().len() <= Configuration::BYTES_MAX;
        let most = (1..99).map(roll).take_while(fits).last().expect("some fit");
        assert!(most.newest().members.len() >= 20, "{}", most.newest().members.len());
        let cluster = "c".repeat(64);
        let (term, promised) = (Term(u64::MAX), Some((Term(u64::MAX), u64::MAX)));
        let control = Control {
            cluster,
            term,
            promised,
            led: term,
            commit: Lsn(u64::MAX),
            generation: u64::MAX,
            unproven: false,
            roll: most,
            sealed: Some(LARGEST),
        };
        assert_eq!(decode_slot(&encode_slot(1, &control)), Ok((1, control)));
    }

    proptest! {
        #[test]
        fn a_flipped_bit_or_a_cut_costs_no_more_than_the_slot_that_it_hits(
            control in control(),
            number: u64,
            bit in 0..SLOT_LEN * 8,
            cut in 0..SLOT_LEN,
        ) {
            let slot = encode_slot(number, &control);
            prop_assert_eq!(decode_slot(&slot), Ok((number, control.clone())));
            let mut bad = slot.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            let used = HEADER_LEN + serde_json::to_vec(&control).expect("JSON").len();
            // Behind the content nothing is looked at.
            prop_assert_eq!(decode_slot(&bad).is_err(), bit / 8 < used);
            prop_assert_eq!(Control::decode(&[&bad[..], &slot].concat()), Ok(control.clone()));
            let torn = [&slot[..], &slot[..cut]].concat();
            prop_assert_eq!(Control::decode(&torn), Ok(control));
            prop_assert_eq!(Control::decode(&slot[..cut]).is_err(), cut < used);
        }

        #[test]
        fn any_bytes_are_only_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Control::decode(&bytes).is_err());
        }

        #[test]
        fn any_content_is_what_it_says_or_an_error(content in ".{0,200}", length: u32) {
            // Sound but for the content, which only the checksum vouches for.
            let mut slot = encode_slot(1, &Control::default());
            slot[24..28].copy_from_slice(&length.to_le_bytes());
            let end = HEADER_LEN + content.len();
            slot[HEADER_LEN..end].copy_from_slice(content.as_bytes());
            prop_assert!(decode_slot(&slot).is_err());
            slot[24..28].copy_from_slice(&(content.len() as u32).to_le_bytes());
            let checksum = crc32c::crc32c(&slot[16..end]);
            slot[12..16].copy_from_slice(&checksum.to_le_bytes());
            prop_assert!(decode_slot(&slot).is_err());
        }
    }

    #[test]
    fn data_without_its_control_file_is_refused() {
        let fs = SimulatedFs::new(1);
        fs.create_dir_all(Op::ListLog, Path::new("/data/log")).expect("created");
        let error = open(&fs).err().expect("refused").to_string();
        assert!(error.contains("missing, but log is there"), "{error}");
    }

    #[test]
    fn a_slot_is_as_the_page_says() {
        let control = Control { cluster: "c".to_owned(), term: Term(9), ..Control::default() };
        let content = serde_json::to_vec(&control).expect("it is JSON");
        let slot = encode_slot(77, &control);
        assert_limit("slot of the control file", slot.len() as u64);
        let (used, zeros) = slot.split_at(28 + content.len());
        assert!(zeros.iter().all(|&byte| byte == 0));
        let fields = [
            ("checksum", Number(crc32c::crc32c(&used[16..]).into())),
            ("number", Number(77)),
            ("length", Number(content.len() as u128)),
            ("content", Raw(&content)),
        ];
        assert_table("Control slot", used, &fields);
        assert_object("Control content", &control);
    }
}
