use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::log::entry_codec::strategies;
use crate::log::{Statement, TermStart, Transaction, Value};
use crate::storage::fs::simulated::SimulatedFs;

const DIR: &str = "/data/log";

fn open(fs: &SimulatedFs, segment_bytes: u64, floor: Lsn) -> Result<LogStore, LogError> {
    let options = LogOptions { segment_bytes, floor };
    LogStore::open_in(Arc::new(fs.clone()), Path::new(DIR), options)
}

fn opened(fs: &SimulatedFs) -> LogStore {
    open(fs, 1024, Lsn(0)).expect("the log opens")
}

fn insert(n: i64) -> Entry {
    let statement = Statement {
        text: "insert into t (a) values (?1)".into(),
        params: vec![Value::Integer(n)],
        ..Statement::default()
    };
    Entry::Transaction(Transaction {
        id: 0,
        database: 0,
        functions: 1,
        token: None,
        outcome: None,
        statements: vec![statement],
        effect: n as u64,
    })
}

fn start(leader: &str) -> Entry {
    Entry::TermStart(TermStart { leader: leader.to_owned(), time_us: 1 })
}

fn entries(reader: &LogReader) -> Vec<(FrameSpan, Entry)> {
    let mut all = Vec::new();
    let mut from = reader.first();
    while let Some((span, entry)) = reader.entry(from).expect("readable") {
        from = span.end;
        all.push((span, entry));
    }
    all
}

fn bare(entries: Vec<(FrameSpan, Entry)>) -> Vec<Entry> {
    entries.into_iter().map(|(_, entry)| entry).collect()
}

fn segment_files(fs: &SimulatedFs) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = fs.contents();
    files.retain(|path, _| path.extension().is_some_and(|extension| extension == "seg"));
    files
}

#[test]
fn a_frame_beyond_the_bound_is_left_for_later() {
    let mut log = opened(&SimulatedFs::new(1));
    let spans = log.append(Term(1), &[insert(1), insert(2)]).expect("appended");
    let reader = log.reader();
    let within = |from, bound| reader.entry_within(from, bound).expect("readable");
    assert_eq!(within(spans[0].start, spans[0].end), Some((spans[0], insert(1))));
    assert_eq!(within(spans[0].end, spans[0].end), None);
    assert_eq!(within(spans[0].end, Lsn(spans[1].end.0 - 1)), None);
    assert_eq!(within(spans[0].end, spans[1].end), Some((spans[1], insert(2))));
}

#[test]
fn entries_come_back_across_segments_and_lives() {
    let fs = SimulatedFs::new(1);
    let mut written = vec![start("a")];
    written.extend((0..200).map(insert));
    let mut log = opened(&fs);
    let spans: Vec<_> =
        written.chunks(7).flat_map(|group| log.append(Term(1), group).expect("appended")).collect();
    assert!(segment_files(&fs).len() > 5);
    let read = entries(&log.reader());
    assert_eq!(read.iter().map(|(span, _)| *span).collect::<Vec<_>>(), spans);
    assert_eq!(bare(read), written);
    let end = log.end();
    assert_eq!(log.syncer().sync().expect("synced"), end.lsn);
    drop(log);
    fs.lose_power();
    let log = opened(&fs);
    assert_eq!((log.end(), log.opened()), (end, Opened::default()));
    assert_eq!(bare(entries(&log.reader())), written);
}

#[test]
fn a_copy_has_the_same_files() {
    let (leader_fs, follower_fs) = (SimulatedFs::new(1), SimulatedFs::new(2));
    let (mut leader, mut follower) = (opened(&leader_fs), opened(&follower_fs));
    leader.append(Term(1), &[start("a")]).expect("appended");
    for n in 0..100 {
        let blob = Value::Blob(vec![1; if n % 17 == 0 { 3000 } else { 10 }]);
        let Entry::Transaction(mut transaction) = insert(n) else { unreachable!() };
        transaction.statements[0].params.push(blob);
        leader.append(Term(1), &[Entry::Transaction(transaction)]).expect("appended");
    }
    leader.append(Term(3), &[start("a")]).expect("appended");
    let reader = leader.reader();
    while follower.end() != leader.end() {
        let from = follower.end().lsn;
        let bytes = reader.read(from, 700).expect("read");
        follower.append_copy(Term(3), from, &bytes).expect("appended");
    }
    assert_eq!(follower.hash(), leader.hash());
    assert_eq!(follower.history(), leader.history());
    assert_eq!(segment_files(&follower_fs), segment_files(&leader_fs));
    // A follower that becomes leader goes on with the dictionary.
    let before = follower.end();
    follower.append(Term(4), &[start("b"), insert(1)]).expect("appended");
    let read = follower.reader().entry(before.lsn).expect("read");
    assert_eq!(read.map(|(_, entry)| entry), Some(start("b")));
}

#[test]
fn what_does_not_continue_the_log_is_refused() {
    let (leader_fs, follower_fs) = (SimulatedFs::new(1), SimulatedFs::new(2));
    let (mut leader, mut follower) = (opened(&leader_fs), opened(&follower_fs));
    leader.append(Term(2), &[start("a"), insert(1), insert(2)]).expect("appended");
    let bytes = leader.reader().read(Lsn(0), 10_000).expect("read");
    let mut refused = |current, start, bytes: &[u8]| {
        let error = follower.append_copy(Term(current), Lsn(start), bytes).expect_err("refused");
        assert_eq!(follower.end(), LogEnd::default());
        error.to_string()
    };
    assert!(refused(2, 0, &bytes[1..]).contains("no frame begins here"));
    assert!(refused(2, 5, &bytes).contains("another place"));
    assert!(refused(2, 0, &bytes[..bytes.len() - 1]).contains("ends too early"));
    assert!(refused(1, 0, &bytes).contains("a frame of term 2 from the leader of 1"));
    for at in 0..bytes.len() {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 4;
        refused(2, 0, &flipped);
    }
    follower.fence(Term(3));
    assert!(matches!(
        follower.append_copy(Term(2), Lsn(0), &bytes),
        Err(LogError::Fenced { term: Term(2), fence: Term(3) })
    ));
    follower.append_copy(Term(3), Lsn(0), &bytes).expect("a newer leader may");
    assert!(matches!(follower.append(Term(2), &[]), Err(LogError::Fenced { .. })));
}

#[test]
fn a_cut_removes_exactly_what_is_beyond() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    let mut spans = log.append(Term(1), &[start("a")]).expect("appended");
    for n in 0..60 {
        spans.extend(log.append(Term(1), &[insert(n)]).expect("appended"));
    }
    let whole = entries(&log.reader());
    for keep in (0..spans.len()).rev() {
        let reader = log.reader();
        reader.entry(spans[keep].start).expect("readable");
        let end = if keep == 0 { Lsn(0) } else { spans[keep - 1].end };
        log.cut(end).expect("cut");
        assert_eq!(log.end().lsn, end);
        assert_eq!(reader.entry(end).expect("at the end"), None);
        assert_eq!(entries(&log.reader()), whole[..keep]);
        // Lost power after a cut brings nothing back.
        fs.lose_power();
        log = opened(&fs);
        assert_eq!(log.end().lsn, end);
        assert_eq!(log.opened(), Opened::default());
        // And it goes on from there in another term.
        if keep % 7 == 3 {
            let term = log.end().term.next();
            log.append(term, &[start("b"), insert(7)]).expect("appended");
            assert_eq!(entries(&log.reader())[..keep], whole[..keep]);
            log.cut(end).expect("cut");
        }
    }
    assert!(log.history().starts().is_empty());
    assert!(segment_files(&fs).is_empty());
}

#[test]
fn a_reader_and_the_syncs_know_of_a_cut() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    let spans = log.append(Term(1), &[insert(1), insert(2), insert(3)]).expect("appended");
    log.syncer().sync().expect("synced");
    let reader = log.reader();
    // It has read ahead of where it is.
    let read = |from| reader.entry(from).expect("readable").map(|(_, entry)| entry);
    assert_eq!(read(spans[0].start), Some(insert(1)));
    log.cut(spans[0].end).expect("cut");
    assert_eq!(log.durable(), spans[0].end);
    log.append(Term(2), &[insert(7), insert(8)]).expect("appended");
    assert_eq!(read(spans[0].end), Some(insert(7)));
    assert_eq!(log.durable(), spans[0].end);
    let end = log.end();
    assert_eq!(log.syncer().sync().expect("synced"), end.lsn);
    drop(log);
    fs.lose_power_and_caches();
    assert_eq!(opened(&fs).end(), end);
}

/// What a killed process left in the operating system's caches is taken for durable by its
/// next life, and so is made so.
#[test]
fn what_is_found_on_opening_is_made_durable() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    for n in 0..30 {
        log.append(Term(1), &[insert(n)]).expect("appended");
    }
    let end = log.end();
    assert!(log.durable() < end.lsn);
    drop(log);
    assert_eq!(opened(&fs).durable(), end.lsn);
    fs.lose_power_and_caches();
    assert_eq!((opened(&fs).end(), opened(&fs).opened()), (end, Opened::default()));
}

/// A segment is durable before the next has frames: what is missing in front of them was
/// damaged, whatever is known of what was durable.
#[test]
fn a_segment_without_its_end_before_others_is_damage() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    for n in 0..30 {
        log.append(Term(1), &[insert(n)]).expect("appended");
    }
    log.syncer().sync().expect("synced");
    drop(log);
    let (path, bytes) = segment_files(&fs).into_iter().next().expect("a segment");
    let file = fs.open(Op::ReadLog, &path).expect("opened");
    file.write_all_at(Op::Append, &vec![0; bytes.len() - 300], 300).expect("written");
    fs.remove(Op::NoteDurable, &Path::new(DIR).join("durable")).expect("removed");
    let error = open(&fs, 1024, Lsn(0)).err().expect("refused");
    assert!(matches!(error, LogError::Damaged { .. }), "{error}");
}

#[test]
fn a_log_that_is_made_anew_has_lost_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = LogOptions { segment_bytes: 1024, floor: Lsn(0) };
    let mut log = LogStore::open(dir.path(), options.clone()).expect("opens");
    log.append(Term(1), &[start("a"), insert(1)]).expect("appended");
    log.syncer().sync().expect("synced");
    drop(log);
    LogStore::discard(dir.path()).expect("discarded");
    let log = LogStore::open(dir.path(), options).expect("opens");
    assert_eq!((log.end(), log.opened()), (LogEnd::default(), Opened::default()));
}

#[test]
fn released_segments_are_gone_and_the_rest_opens() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    log.append(Term(1), &[start("a")]).expect("appended");
    for n in 0..100 {
        log.append(Term(1), &[insert(n)]).expect("appended");
    }
    let all = entries(&log.reader());
    log.release_before(all[50].0.start).expect("released");
    let first = log.first();
    assert!(first > Lsn(0) && first <= all[50].0.start);
    assert!(matches!(log.reader().read(Lsn(0), 100), Err(LogError::NotHeld { .. })));
    log.syncer().sync().expect("synced");
    fs.lose_power();
    let log = opened(&fs);
    assert_eq!((log.first(), log.end()), (first, LogEnd { term: Term(1), lsn: all[100].0.end }));
    let rest = entries(&log.reader());
    assert_eq!(rest[..], all[all.len() - rest.len()..]);
    assert_eq!(log.history().start_of(Term(1)), Some(Lsn(0)));
}

#[test]
fn a_log_is_replaced_by_one_segment_whatever_the_point_of_the_crash() {
    for fail in 0..12 {
        let fs = SimulatedFs::new(fail);
        let source_fs = SimulatedFs::new(99);
        let mut source = opened(&source_fs);
        source.append(Term(2), &[start("b")]).expect("appended");
        for n in 0..60 {
            source.append(Term(2), &[insert(n)]).expect("appended");
        }
        let at = source.reader().segment_start(source.end().lsn).expect("held");
        let mut bytes = Vec::new();
        while at.0 + (bytes.len() as u64) < source.end().lsn.0 {
            let next = Lsn(at.0 + bytes.len() as u64);
            bytes.extend_from_slice(&source.reader().read(next, 10_000).expect("read"));
        }

        let mut log = opened(&fs);
        log.append(Term(1), &[start("a"), insert(1), insert(2)]).expect("appended");
        log.syncer().sync().expect("synced");
        let staged = Path::new("/data/gen-2/log");
        fs.create_dir_all(Op::ListLog, staged).expect("made");
        let file = fs.create(Op::CreateSegment, &Segment::path(staged, at)).expect("made");
        file.write_all_at(Op::Append, &bytes, 0).expect("written");
        file.sync_data(Op::SyncLog).expect("synced");
        fs.sync_dir(Op::SyncDir, staged).expect("synced");

        fs.fail_after(Op::SyncDir, fail % 4);
        fs.fail_after(Op::RemoveSegment, fail % 3);
        if log.replace(staged).is_err() {
            assert!(matches!(log.append(Term(9), &[insert(1)]), Err(LogError::Failed { .. })));
            fs.heal();
            fs.lose_power();
            adopt_segment(&fs, staged, Path::new(DIR)).expect("finished");
            log = opened(&fs);
        }
        assert_eq!((log.end(), log.first()), (source.end(), at));
        assert_eq!(log.hash(), source.hash());
        fs.heal();
        log.append(Term(3), &[start("a"), insert(5)]).expect("appended");
    }
}

#[test]
fn a_log_that_was_founded_beyond_zero_begins_there() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut log = LogStore::found(dir.path(), 1024, Lsn(0x1000)).expect("founded");
    let spans = log.append(Term(1), &[start("a")]).expect("appended");
    log.syncer().sync().expect("synced");
    drop(log);
    let options = LogOptions { segment_bytes: 1024, floor: spans[0].end };
    let mut log = LogStore::open(dir.path(), options).expect("opens");
    assert_eq!((log.first(), log.end().lsn), (Lsn(0x1000), spans[0].end));
    assert_eq!(log.history().starts(), [(Term(1), Lsn(0x1000))]);
    // An empty log is not its beginning.
    let empty = TermHistory::default();
    assert_eq!(log.history().divergence(log.end().lsn, &empty, Lsn(0)), None);
    log.append(Term(2), &[start("b"), insert(1)]).expect("appended");
    assert_eq!(bare(entries(&log.reader())), [start("a"), start("b"), insert(1)]);
    let again = LogStore::found(dir.path(), 1024, Lsn(0x1000)).err().expect("refused");
    assert!(matches!(again, LogError::DoesNotContinue { .. }), "{again}");
}

#[test]
fn a_log_below_its_floor_is_too_short() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    log.append(Term(1), &[start("a")]).expect("appended");
    let end = log.end().lsn;
    assert!(open(&fs, 1024, end).is_ok());
    let too_short = open(&fs, 1024, Lsn(end.0 + 1)).err().expect("refused");
    assert!(matches!(too_short, LogError::TooShort { .. }), "{too_short}");
}

#[test]
fn an_entry_too_large_for_a_segment_gets_its_own() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    let large = Entry::Configuration(vec![7; 10_000]);
    let written = [start("a"), large.clone(), insert(1), large];
    log.append(Term(1), &written).expect("appended");
    assert_eq!(bare(entries(&log.reader())), written);
    drop(log);
    assert_eq!(bare(entries(&opened(&fs).reader())), written);
}

/// One damaged byte in a log that was closed in good order is found at once, or
/// when it is read, and named; or, at the very end, is cut and called doubtful.
#[test]
fn a_flipped_bit_anywhere_is_found() {
    let build = || {
        let fs = SimulatedFs::new(1);
        let mut log = open(&fs, 512, Lsn(0)).expect("opens");
        let spans = log.append(Term(1), &[start("a"), insert(1), insert(2), insert(3)]);
        log.syncer().sync().expect("synced");
        (fs, spans.expect("appended"))
    };
    let (fs, spans) = build();
    let last = spans[3];
    let files: Vec<(PathBuf, usize)> =
        segment_files(&fs).into_iter().map(|(path, bytes)| (path, bytes.len())).collect();
    for (path, length) in &files {
        for at in 0..*length {
            let (fs, _) = build();
            fs.flip(path, at, 0x20);
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
            let lsn = u64::from_str_radix(name, 16).expect("hexadecimal") + at as u64;
            match open(&fs, 512, Lsn(0)) {
                Ok(log) if lsn >= last.end.0 => {
                    assert_eq!((log.end().lsn, log.opened().doubtful), (last.end, false));
                }
                Ok(log) => {
                    assert!(lsn >= last.start.0, "not found at {lsn}");
                    assert_eq!(log.end().lsn, last.start);
                    assert!(log.opened().doubtful);
                }
                Err(LogError::Damaged { path: named, offset, .. }) => {
                    assert_eq!(&named, path);
                    assert!(offset <= at as u64);
                    assert!(lsn < last.start.0);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// The node must first record what a doubtful cut means; a kill in between leaves it
/// to be found again.
#[test]
fn a_doubtful_end_is_found_again_until_the_log_grows() {
    let fs = SimulatedFs::new(1);
    let mut log = opened(&fs);
    let spans = log.append(Term(1), &[start("a"), insert(1), insert(2)]).expect("appended");
    log.syncer().sync().expect("synced");
    drop(log);
    fs.flip(Path::new("/data/log/0000000000000000.seg"), spans[2].start.0 as usize + 41, 1);
    for _ in 0..3 {
        let log = opened(&fs);
        assert_eq!((log.end().lsn, log.opened().doubtful), (spans[1].end, true));
        drop(log);
        fs.lose_power();
    }
    let mut log = opened(&fs);
    log.append(Term(2), &[start("a")]).expect("appended");
    log.syncer().sync().expect("synced");
    drop(log);
    fs.lose_power();
    assert_eq!(opened(&fs).opened(), Opened::default());
}

#[test]
fn damage_under_a_reader_is_an_error_that_names_the_place() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = LogOptions { segment_bytes: 4096, floor: Lsn(0) };
    let mut log = LogStore::open(dir.path(), options.clone()).expect("opens");
    let spans = log.append(Term(1), &[start("a"), insert(1), insert(2)]).expect("appended");
    log.syncer().sync().expect("synced");
    drop(log);
    // Opened again, its bytes come from the file.
    let log = LogStore::open(dir.path(), options).expect("opens");
    let path = Segment::path(dir.path(), Lsn(0));
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[spans[1].start.0 as usize + 50] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
    let error = log.reader().read(Lsn(0), 4096).expect_err("damaged").to_string();
    assert!(error.contains("0000000000000000.seg: damaged at byte"), "{error}");
    assert!(error.contains("the checksum does not match"), "{error}");
}

#[test]
fn a_failed_write_or_sync_is_final() {
    for op in [Op::Append, Op::SyncLog] {
        let fs = SimulatedFs::new(3);
        let mut log = opened(&fs);
        log.append(Term(1), &[start("a")]).expect("appended");
        fs.fail_after(op, 0);
        let failed = log.append(Term(1), &[insert(1)]).and_then(|_| log.syncer().sync());
        assert!(matches!(failed, Err(LogError::Io { .. })), "{failed:?}");
        fs.heal();
        assert!(matches!(log.append(Term(1), &[insert(2)]), Err(LogError::Failed { .. })));
        assert!(matches!(log.syncer().sync(), Err(LogError::Failed { .. })));
    }
}

#[test]
fn no_space_for_a_segment_harms_nothing() {
    let fs = SimulatedFs::new(3);
    let mut log = opened(&fs);
    log.append(Term(1), &[start("a")]).expect("appended");
    let large = Entry::Configuration(vec![1; 2000]);
    fs.fail_after(Op::CreateSegment, 1);
    let failed = log.append(Term(1), &[insert(1), large.clone()]);
    assert!(matches!(failed, Err(LogError::Io { op: Op::CreateSegment, .. })));
    let (end, hash) = (log.end(), log.hash());
    fs.heal();
    let spans = log.append(Term(1), &[insert(1), insert(1), insert(1), large.clone()]);
    assert_eq!(spans.expect("appended")[0].start, end.lsn);
    assert_ne!(log.hash(), hash);
    let written = [start("a"), insert(1), insert(1), insert(1), large];
    assert_eq!(bare(entries(&log.reader())), written);
}

proptest! {
    /// Random lives: appends of a leader, syncs, failures, lost power. Whatever was
    /// synced is there in the next life; what is there was appended, in order.
    #[test]
    fn lost_power_keeps_what_was_synced(
        seed: u64,
        lives in proptest::collection::vec(
            (proptest::collection::vec((strategies::entry(), 0u8..6), 1..12), 0u64..30),
            1..5,
        ),
    ) {
        let fs = SimulatedFs::new(seed);
        // Debug texts: NaN parameters are unequal to themselves.
        let mut log_of_old: Vec<String> = Vec::new();
        let mut synced = 0;
        for (life, (appends, fail)) in lives.into_iter().enumerate() {
            let mut log = open(&fs, 700, Lsn(0))?;
            prop_assert!(!log.opened().doubtful);
            let found: Vec<String> =
                bare(entries(&log.reader())).iter().map(|entry| format!("{entry:?}")).collect();
            prop_assert!(found.len() >= synced, "{} of {synced}", found.len());
            prop_assert_eq!(&found[..], &log_of_old[..found.len()]);
            log_of_old = found;
            synced = log_of_old.len();
            let ops = [Op::Append, Op::SyncLog, Op::CreateSegment, Op::NoteDurable];
            fs.fail_after(ops[fail as usize % ops.len()], fail / 4);
            for (entry, sync) in appends {
                log_of_old.push(format!("{entry:?}"));
                if log.append(Term(life as u64 + 1), &[entry]).is_err() {
                    break;
                }
                if sync == 0 && log.syncer().sync().is_ok() {
                    synced = log_of_old.len();
                }
            }
            fs.heal();
            fs.lose_power();
        }
        let log = open(&fs, 700, Lsn(0))?;
        let found = entries(&log.reader());
        prop_assert!(found.len() >= synced);
    }
}

mod from_outside {
    use super::*;
    use crate::storage::log_store::inspect;

    /// A log of several segments in a real directory.
    fn build(dir: &Path) -> (LogStore, Vec<FrameSpan>) {
        let options = LogOptions { segment_bytes: 512, floor: Lsn(0) };
        let mut log = LogStore::open(dir, options).expect("opens");
        let mut spans = log.append(Term(1), &[start("a")]).expect("appended");
        for n in 0..20 {
            spans.extend(log.append(Term(1), &[insert(n)]).expect("appended"));
        }
        log.syncer().sync().expect("synced");
        (log, spans)
    }

    fn look(dir: &Path, from: Lsn) -> Result<(LogSeen, Vec<FrameSpan>), LogError> {
        let mut spans = Vec::new();
        let seen = inspect(dir, from, &mut |frame| {
            spans.push(frame.span);
            Ok(())
        })?;
        Ok((seen, spans))
    }

    #[test]
    fn a_log_in_use_is_seen_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, spans) = build(dir.path());
        let (seen, found) = look(dir.path(), Lsn(0)).expect("sound");
        assert_eq!(found, spans);
        assert_eq!((seen.end, seen.durable), (log.end().lsn, Some(log.durable())));
        assert_eq!(seen.segments.last().map(|s| s.hash), Some(log.hash()));
        assert_eq!(&seen.history, log.history());
        let sealed = seen.segments.iter().filter(|segment| segment.is_sealed()).count();
        assert!(sealed > 2 && sealed + 1 >= seen.segments.len());
        let (_, found) = look(dir.path(), spans[15].start).expect("sound");
        assert!(found.len() < spans.len() && found.ends_with(&spans[15..]));
    }

    #[test]
    fn every_flipped_bit_is_reported_by_file_and_offset() {
        let dir = tempfile::tempdir().expect("a directory");
        let (log, _) = build(dir.path());
        let end = log.end().lsn;
        drop(log);
        let (seen, _) = look(dir.path(), Lsn(0)).expect("sound");
        for segment in &seen.segments {
            let sound = std::fs::read(&segment.path).expect("readable");
            for at in (0..sound.len()).step_by(7) {
                let mut bad = sound.clone();
                bad[at] ^= 2;
                std::fs::write(&segment.path, &bad).expect("writable");
                let looked = look(dir.path(), Lsn(0));
                if segment.start.0 + at as u64 >= end.0 {
                    assert!(looked.expect("an unfinished frame").0.torn > 0);
                    continue;
                }
                let Err(LogError::Damaged { path, offset, .. }) = looked else {
                    panic!("byte {at} of {} is not missed", segment.path.display());
                };
                assert!(path == segment.path && offset <= at as u64, "{path:?} {offset} {at}");
            }
            std::fs::write(&segment.path, &sound).expect("writable");
        }
    }

    #[test]
    fn a_missing_segment_is_named() {
        let dir = tempfile::tempdir().expect("a directory");
        drop(build(dir.path()));
        let (seen, _) = look(dir.path(), Lsn(0)).expect("sound");
        std::fs::remove_file(&seen.segments[1].path).expect("removed");
        let error = look(dir.path(), Lsn(0)).expect_err("a gap").to_string();
        assert!(error.contains("a segment is missing"), "{error}");
    }
}
