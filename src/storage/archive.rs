//! The archive: what is needed to have the databases as they were at any moment, in an
//! object store (a directory, or S3 and its kin).
//!
//! `docs/format.md` has the objects' names. A segment's has its LSNs and the log's running
//! hash before and behind it, so a listing tells which segments continue which: two
//! histories that a failover parted lie side by side, none overwrites the other, and a
//! gap shows.
//!
//! Objects are only created, never replaced; tails alone are removed, once their
//! segment is there.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{
    ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload, WriteMultipart,
};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::log::chain::Chain;
use crate::log::frame::FrameError;
use crate::log::{LogEnd, Lsn, Term};

/// Read and written at once, bytes.
const PIECE: usize = 8 << 20;
/// Parts of an upload at most: S3 takes 10,000.
const PARTS_MAX: u64 = 9_000;
/// Pieces on their way at most.
const PIECES_MAX: usize = 4;
/// A manifest is no longer than this, bytes.
const MANIFEST_MAX: u64 = 64 << 10;
const FORMAT: u32 = 1;

/// The archive can't be used, or does not hold what is wanted.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("{0:?} is no archive: expected file:///DIRECTORY or s3://BUCKET/PREFIX")]
    Url(String),
    #[error("the archive: {0}")]
    Store(#[from] object_store::Error),
    #[error("the archive's {object} is damaged: {cause}")]
    Damaged { object: String, cause: String },
    #[error("{path}: {source}")]
    File { path: std::path::PathBuf, source: std::io::Error },
}

/// An opened archive. Cheap to clone.
#[derive(Clone)]
pub struct Archive {
    store: Arc<dyn ObjectStore>,
    root: Path,
}

/// A segment, or the front of one, as its name tells.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Piece {
    pub start: Lsn,
    pub end: Lsn,
    /// The log's running hash up to `start`, and up to `end`.
    pub before: u64,
    pub hash: u64,
}

/// What a snapshot's manifest says.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: u32,
    pub cluster: String,
    /// What the database holds.
    pub lsn: Lsn,
    pub term: Term,
    /// Start of the segment that `lsn` lies in.
    pub segment: Lsn,
    /// Running hashes of the log at `segment` and at `lsn`.
    pub before: u64,
    pub hash: u64,
    pub database_bytes: u64,
    pub database_hash: u64,
    /// When it was made: wall clock, microseconds since 1970-01-01 UTC.
    pub time_us: i64,
}

impl Archive {
    /// Opens the archive of one cluster. S3 takes keys, region and endpoint from the
    /// environment, as `AWS_ACCESS_KEY_ID` and so on.
    pub fn open(url: &str, cluster: &str) -> Result<Self, ArchiveError> {
        let foreign = || ArchiveError::Url(url.to_owned());
        let (store, prefix): (Arc<dyn ObjectStore>, &str) = match url.split_once("://") {
            Some(("file", dir)) if dir.starts_with('/') => {
                let io = |source| ArchiveError::File { path: dir.into(), source };
                std::fs::create_dir_all(dir).map_err(io)?;
                let store = object_store::local::LocalFileSystem::new_with_prefix(dir)?;
                (Arc::new(store.with_fsync(true)), "")
            }
            Some(("s3", rest)) if !rest.is_empty() => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let builder = object_store::aws::AmazonS3Builder::from_env();
                (Arc::new(builder.with_bucket_name(bucket).build()?), prefix)
            }
            _ => return Err(foreign()),
        };
        let parts = prefix.split('/').filter(|part| !part.is_empty());
        let root = Path::from_iter(parts.chain([cluster]));
        Ok(Self { store, root })
    }

    /// The sealed segments, in order.
    pub async fn segments(&self) -> Result<Vec<Piece>, ArchiveError> {
        self.pieces("segments").await
    }

    /// The fronts of segments that go on, in order.
    pub async fn tails(&self) -> Result<Vec<Piece>, ArchiveError> {
        self.pieces("tails").await
    }

    async fn pieces(&self, kind: &str) -> Result<Vec<Piece>, ArchiveError> {
        let dir = self.root.clone().join(kind);
        let listed = self.store.list_with_delimiter(Some(&dir)).await?;
        let names = listed.objects.iter().filter_map(|object| object.location.filename());
        let mut pieces: Vec<Piece> = names.filter_map(Piece::from_name).collect();
        pieces.sort_unstable();
        Ok(pieces)
    }

    /// Adds a sealed segment, and removes the tails that it makes needless.
    pub async fn put_segment(&self, piece: Piece, bytes: Bytes) -> Result<(), ArchiveError> {
        self.create(&self.piece_path("segments", piece), bytes).await?;
        for tail in self.tails().await?.into_iter().filter(|tail| tail.start == piece.start) {
            if tail.before == piece.before {
                self.store.delete(&self.piece_path("tails", tail)).await?;
            }
        }
        Ok(())
    }

    /// Adds the front of a segment, and removes shorter fronts of the same.
    pub async fn put_tail(
        &self,
        piece: Piece,
        bytes: Bytes,
        replaced: Option<Piece>,
    ) -> Result<(), ArchiveError> {
        self.create(&self.piece_path("tails", piece), bytes).await?;
        if let Some(old) = replaced.filter(|old| *old != piece) {
            self.store.delete(&self.piece_path("tails", old)).await?;
        }
        Ok(())
    }

    /// The bytes of a segment or tail, every frame checked.
    pub async fn piece(&self, piece: Piece, sealed: bool) -> Result<Bytes, ArchiveError> {
        let path = self.piece_path(if sealed { "segments" } else { "tails" }, piece);
        let bytes = self.store.get(&path).await?.bytes().await?;
        piece.check(&bytes).map_err(|error| damaged(&path, error))?;
        Ok(bytes)
    }

    /// The whole snapshots, in order.
    pub async fn snapshots(&self) -> Result<Vec<Manifest>, ArchiveError> {
        let dir = self.root.clone().join("snapshots");
        let listed = self.store.list_with_delimiter(Some(&dir)).await?;
        let mut manifests = Vec::new();
        for dir in listed.common_prefixes {
            let path = dir.join("manifest.json");
            let found = match self.store.get(&path).await {
                // Begun and not finished.
                Err(object_store::Error::NotFound { .. }) => continue,
                found => found?,
            };
            if found.meta.size > MANIFEST_MAX {
                return Err(damaged(&path, "too large"));
            }
            let bytes = found.bytes().await?;
            let manifest: Manifest =
                serde_json::from_slice(&bytes).map_err(|error| damaged(&path, error))?;
            if manifest.format != FORMAT {
                return Err(damaged(&path, format!("format {} is unknown", manifest.format)));
            }
            manifests.push(manifest);
        }
        manifests.sort_by_key(|manifest| (manifest.lsn, manifest.term));
        Ok(manifests)
    }

    /// Adds a snapshot: a database file and the log's segment up to its LSN.
    pub async fn put_snapshot(
        &self,
        cluster: &str,
        at: LogEnd,
        piece: Piece,
        segment: Bytes,
        database: &std::path::Path,
        time_us: i64,
    ) -> Result<Manifest, ArchiveError> {
        let dir = self.snapshot_dir(at.lsn, piece.hash);
        let (database_bytes, database_hash) =
            self.upload(database, &dir.clone().join("database")).await?;
        let path = dir.clone().join("segment");
        self.store.put(&path, PutPayload::from_bytes(segment)).await?;
        let manifest = Manifest {
            format: FORMAT,
            cluster: cluster.to_owned(),
            lsn: at.lsn,
            term: at.term,
            segment: piece.start,
            before: piece.before,
            hash: piece.hash,
            database_bytes,
            database_hash,
            time_us,
        };
        let text = serde_json::to_vec_pretty(&manifest).expect("plain data");
        self.create(&dir.join("manifest.json"), text.into()).await?;
        Ok(manifest)
    }

    async fn upload(&self, from: &std::path::Path, to: &Path) -> Result<(u64, u64), ArchiveError> {
        use tokio::io::AsyncReadExt as _;
        let io = |source| ArchiveError::File { path: from.to_owned(), source };
        let mut file = tokio::fs::File::open(from).await.map_err(io)?;
        let piece = part_bytes(file.metadata().await.map_err(io)?.len());
        let mut writer =
            WriteMultipart::new_with_chunk_size(self.store.put_multipart(to).await?, piece);
        let (mut hash, mut length) = (Xxh3::new(), 0);
        let mut bytes = vec![0; PIECE];
        loop {
            let read = file.read(&mut bytes).await.map_err(io)?;
            if read == 0 {
                break;
            }
            hash.update(&bytes[..read]);
            length += read as u64;
            writer.wait_for_capacity(PIECES_MAX).await?;
            writer.write(&bytes[..read]);
        }
        writer.finish().await?;
        Ok((length, hash.digest()))
    }

    /// Fetches a snapshot's database into a new file, durably, and checks its hash.
    pub async fn fetch_database(
        &self,
        manifest: &Manifest,
        to: &std::path::Path,
    ) -> Result<(), ArchiveError> {
        use tokio::io::AsyncWriteExt as _;
        let path = self.snapshot_dir(manifest.lsn, manifest.hash).join("database");
        let io = |source| ArchiveError::File { path: to.to_owned(), source };
        let mut file = tokio::fs::File::create(to).await.map_err(io)?;
        let (mut hash, mut at) = (Xxh3::new(), 0);
        while at < manifest.database_bytes {
            let end = manifest.database_bytes.min(at + PIECE as u64);
            let bytes = self.store.get_range(&path, at..end).await?;
            hash.update(&bytes);
            file.write_all(&bytes).await.map_err(io)?;
            at = end;
        }
        file.sync_all().await.map_err(io)?;
        if hash.digest() != manifest.database_hash {
            return Err(damaged(&path, "another hash than the manifest says"));
        }
        Ok(())
    }

    /// The log's segment up to a snapshot's LSN, checked.
    pub async fn fetch_segment(&self, manifest: &Manifest) -> Result<Bytes, ArchiveError> {
        let path = self.snapshot_dir(manifest.lsn, manifest.hash).join("segment");
        let bytes = self.store.get(&path).await?.bytes().await?;
        manifest.piece().check(&bytes).map_err(|error| damaged(&path, error))?;
        Ok(bytes)
    }

    fn snapshot_dir(&self, lsn: Lsn, hash: u64) -> Path {
        self.root.clone().join("snapshots").join(format!("{:016x}-{hash:016x}", lsn.0))
    }

    fn piece_path(&self, kind: &str, piece: Piece) -> Path {
        self.root.clone().join(kind).join(piece.to_string())
    }

    /// Creates an object; one that is there already has the same name and so, but for
    /// damage, the same content.
    async fn create(&self, path: &Path, bytes: Bytes) -> Result<(), ArchiveError> {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(path, PutPayload::from_bytes(bytes), options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn damaged(path: &Path, cause: impl fmt::Display) -> ArchiveError {
    ArchiveError::Damaged { object: path.to_string(), cause: cause.to_string() }
}

impl Manifest {
    /// The log's segment up to the snapshot.
    pub fn piece(&self) -> Piece {
        let Self { segment, lsn, before, hash, .. } = *self;
        Piece { start: segment, end: lsn, before, hash }
    }
}

impl Piece {
    /// Checks that `bytes` are this piece: every frame, from the hash before it to the
    /// hash behind it.
    pub fn check(&self, bytes: &[u8]) -> Result<Chain, FrameError> {
        let mut chain = Chain::before_segment(bytes)?;
        if chain.lsn != self.start {
            return Err(FrameError::Place { said: chain.lsn, expected: self.start });
        }
        if chain.hash != self.before {
            return Err(FrameError::Hash);
        }
        while chain.lsn < self.end {
            chain.accept(&bytes[(chain.lsn.0 - self.start.0) as usize..])?;
        }
        if chain.lsn != self.end {
            return Err(FrameError::Place { said: chain.lsn, expected: self.end });
        }
        match chain.hash == self.hash {
            true => Ok(chain),
            false => Err(FrameError::Hash),
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let parts: Vec<_> = name.strip_suffix(".seg")?.split('-').collect();
        let number =
            |part: &&str| (part.len() == 16).then(|| u64::from_str_radix(part, 16).ok()).flatten();
        let numbers: Vec<u64> = parts.iter().map(number).collect::<Option<_>>()?;
        let [start, end, before, hash] = numbers[..] else { return None };
        let piece = Self { start: Lsn(start), end: Lsn(end), before, hash };
        // A piece has one name: signs and capitals are somebody else's.
        (start < end && piece.to_string() == name).then_some(piece)
    }
}

impl fmt::Display for Piece {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, end, before, hash } = self;
        write!(f, "{:016x}-{:016x}-{before:016x}-{hash:016x}.seg", start.0, end.0)
    }
}

/// Bytes of each part of an upload.
fn part_bytes(length: u64) -> usize {
    let least = usize::try_from(length.div_ceil(PARTS_MAX)).unwrap_or(usize::MAX);
    least.next_multiple_of(1 << 20).max(PIECE)
}

/// The longest way on from `from` (a snapshot's piece): the pieces that continue it,
/// in order, each with whether it is sealed; the first is the segment that `from` is
/// the front of. Where histories part, the one that goes furthest.
pub fn way_on(from: &Piece, segments: &[Piece], tails: &[Piece]) -> Vec<(Piece, bool)> {
    let whole = segments.iter().map(|piece| (*piece, true));
    let mut pieces: Vec<_> = whole.chain(tails.iter().map(|piece| (*piece, false))).collect();
    // From the end: how far each place leads, and by which piece.
    pieces.sort_unstable_by_key(|(piece, _)| std::cmp::Reverse(piece.start));
    let mut onward: BTreeMap<(Lsn, u64), (Lsn, Piece, bool)> = BTreeMap::new();
    for (piece, sealed) in pieces {
        if piece.start == from.start && piece.end < from.end {
            continue;
        }
        let behind = onward.get(&(piece.end, piece.hash)).filter(|_| sealed);
        let reach = behind.map_or(piece.end, |(reach, ..)| *reach);
        let place = (piece.start, piece.before);
        if onward.get(&place).is_none_or(|(known, ..)| reach > *known) {
            onward.insert(place, (reach, piece, sealed));
        }
    }
    let mut way = Vec::new();
    let mut place = (from.start, from.before);
    while let Some(&(_, piece, sealed)) = onward.get(&place) {
        way.push((piece, sealed));
        if !sealed {
            break;
        }
        place = (piece.end, piece.hash);
    }
    way
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::format_page::Known::Number;
    use crate::log::format_page::{assert_limit, assert_object, assert_table};

    fn piece(start: u64, end: u64, before: u64, hash: u64) -> Piece {
        Piece { start: Lsn(start), end: Lsn(end), before, hash }
    }

    #[test]
    fn an_upload_has_no_more_parts_than_s3_takes() {
        assert_eq!(part_bytes(0), PIECE);
        assert_eq!(part_bytes(60 << 30), PIECE);
        for length in [80 << 30, 1 << 40, (5 << 40) + 1] {
            let part = part_bytes(length) as u64;
            assert!(length.div_ceil(part) <= 10_000 && part <= 5 << 30, "{length}: {part}");
        }
    }

    #[test]
    fn a_name_says_all_of_a_piece() {
        let one = piece(0x1000, 0x2000, 7, u64::MAX);
        assert_eq!(Piece::from_name(&one.to_string()), Some(one));
        for bad in ["", "x.seg", "1-2-3-4.seg", &one.to_string().replace(".seg", "")] {
            assert_eq!(Piece::from_name(bad), None, "{bad}");
        }
        assert_eq!(Piece::from_name(&piece(5, 5, 0, 0).to_string()), None);
        let signed = piece(0x10, 0x20, 7, 8).to_string().replacen("00", "+0", 1);
        assert_eq!(Piece::from_name(&signed), None, "{signed}");
    }

    #[test]
    fn the_way_on_follows_one_history_and_stops_at_a_gap() {
        let segments = [
            piece(0, 10, 0, 1),
            piece(10, 20, 1, 2),
            // Another history, which a failover cut off.
            piece(10, 20, 1, 99),
            piece(20, 30, 2, 3),
            // Behind a gap.
            piece(40, 50, 4, 5),
        ];
        let tails = [piece(20, 25, 99, 98), piece(30, 33, 3, 33)];
        let ends = |way: Vec<(Piece, bool)>| way.iter().map(|(p, _)| p.end.0).collect::<Vec<_>>();
        let way = way_on(&piece(10, 15, 1, 77), &segments, &tails);
        assert_eq!(ends(way), [20, 30, 33]);
        assert_eq!(ends(way_on(&piece(40, 45, 4, 77), &segments, &tails)), [50]);
        assert!(way_on(&piece(60, 65, 4, 77), &segments, &tails).is_empty());
    }

    #[tokio::test]
    async fn what_is_there_is_never_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let url = format!("file://{}", dir.path().display());
        let archive = Archive::open(&url, "c").expect("opens");
        let one = piece(0, 10, 0, 1);
        archive.put_segment(one, Bytes::from_static(b"first")).await.expect("put");
        archive.put_segment(one, Bytes::from_static(b"second")).await.expect("already there");
        assert_eq!(archive.segments().await.expect("listed"), [one]);
        let path = dir.path().join("c/segments").join(one.to_string());
        assert_eq!(std::fs::read(path).expect("readable"), b"first");
        // And what is not the segment that its name says is damaged.
        let error = archive.piece(one, true).await.expect_err("no segment").to_string();
        assert!(error.contains("segments/") && error.contains("damaged"), "{error}");
    }

    #[test]
    fn an_archive_is_named_by_a_url() {
        for bad in ["", "/tmp/x", "file://relative", "ftp://x/y", "s3://"] {
            assert!(Archive::open(bad, "c").is_err(), "{bad}");
        }
    }

    #[test]
    fn names_and_manifests_are_as_the_page_says() {
        let fields =
            [("start", Number(1)), ("end", Number(2)), ("before", Number(3)), ("hash", Number(4))];
        assert_table("Archive object name", piece(1, 2, 3, 4).to_string().as_bytes(), &fields);
        let manifest = Manifest {
            format: FORMAT,
            cluster: "c".to_owned(),
            lsn: Lsn(0x1_0000_00ff),
            term: Term(1),
            segment: Lsn(0),
            before: 0,
            hash: 1,
            database_bytes: 2,
            database_hash: 3,
            time_us: 4,
        };
        assert_object("Archive manifest", &manifest);
        let json = serde_json::to_value(&manifest).expect("it is JSON");
        assert_eq!((&json["format"], &json["lsn"]), (&1.into(), &"1/FF".into()));
        assert_limit("archive manifest", MANIFEST_MAX);
    }
}
