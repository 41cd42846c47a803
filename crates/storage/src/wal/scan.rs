//! Reading the journal back: which frames are there, where it was torn, where it is damaged.
//!
//! Groups are written one after the other, each only when the one before it is durable. So the end of the
//! journal may be *torn* (the last group is partly there; nobody was told that it is durable), but whatever
//! precedes a valid group, a seal or the file of a later incarnation was complete once, and if it is not so now it is
//! *damaged*. A torn group loses the frames that are not intact; damage is reported with the number of frames
//! it cost, for recovery to judge which partitions are concerned.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use base::{PartitionIndex, TopicId};
use wire::record_batch::{BatchHeader, verify_crc};

use crate::io::{BLOCK, read_full_at};
use crate::lsn::Lsn;
use crate::wal::format::{
    FRAME_HEADER_LEN, FileHeader, GROUP_HEADER_LEN, GroupHeader, ParsedFrame, parse_frame,
};

const WINDOW: usize = 4 << 20;

/// Where a frame's payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLocation {
    /// Index into [`JournalScan::files`].
    pub file: u32,
    /// Byte position in the file.
    pub position: u64,
    /// Length in bytes.
    pub length: u32,
}

/// A frame that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScannedFrame {
    /// Its number.
    pub lsn: Lsn,
    /// The topic.
    pub topic_id: TopicId,
    /// The partition.
    pub partition: PartitionIndex,
    /// Whether it is a batch; otherwise a new log start offset.
    pub is_batch: bool,
    /// Base offset, or the new log start offset.
    pub offset: i64,
    /// The offset after the batch.
    pub next_offset: i64,
    /// The batch's CRC field.
    pub batch_crc: u32,
    /// The batch's bytes.
    pub location: FrameLocation,
    /// Part of a torn group: nobody was told that it is durable.
    pub tentative: bool,
}

/// One journal file.
#[derive(Clone, Debug)]
pub struct ScannedFile {
    /// Its path.
    pub path: PathBuf,
    /// The number in its name.
    pub slot: u32,
    /// Its length on disk.
    pub size: u64,
    /// Its header, or what its groups tell of it when the header is unreadable.
    pub header: Option<FileHeader>,
    /// Whether the header itself could be read.
    pub header_intact: bool,
    /// Groups read, without those that were trimmed.
    pub groups: u64,
    /// The highest LSN in it, for [`crate::wal::Wal::trim`].
    pub last_lsn: Lsn,
}

/// A place where the journal was complete once and is not now.
#[derive(Clone, Debug)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub position: u64,
    /// The missing frames are numbered from here ...
    pub first_lsn: Lsn,
    /// ... to here at most; a frame behind it proves that nothing of its partition before it is missing.
    pub last_lsn: Lsn,
    /// How many frames cannot be read; `None` when that is unknown. 0 when all could be read all the same.
    pub lost: Option<u64>,
    /// What was found.
    pub what: String,
}

/// All that is in the journal.
#[derive(Debug, Default)]
pub struct JournalScan {
    /// The files, by incarnation; those without a readable header or group come first.
    pub files: Vec<ScannedFile>,
    /// The frames that are not trimmed, by LSN.
    pub frames: Vec<ScannedFrame>,
    /// What the next frame is numbered.
    pub next_lsn: Lsn,
    /// What the next group is numbered.
    pub next_sequence: u64,
    /// What the next file is numbered.
    pub next_incarnation: u64,
    /// Where the last group is torn.
    pub torn: Option<(PathBuf, u64)>,
    /// What is damaged.
    pub damage: Vec<Damage>,
    handles: Vec<File>,
}

/// What the checkpoint knows of the journal.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScanStart {
    /// Frames up to here are in the segments; `None` without a checkpoint.
    pub trimmed: Option<Lsn>,
    /// A file of this incarnation, or a later one, must be there; 0 for none.
    pub incarnation: u64,
}

impl JournalScan {
    /// Reads a frame's batch and checks its CRC.
    ///
    /// # Errors
    /// I/O errors, and `InvalidData` when the bytes are not that batch.
    pub fn read_batch(&self, location: FrameLocation) -> io::Result<Vec<u8>> {
        let file = self
            .handles
            .get(location.file as usize)
            .ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; location.length as usize];
        file.read_exact_at(&mut bytes, location.position)?;
        match verify_crc(&bytes) {
            Ok(header) if header.size_in_bytes() == bytes.len() => Ok(bytes),
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "batch length mismatch",
            )),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }
}

/// Lists the journal's files in `dir`, in no order. A missing directory has none.
///
/// # Errors
/// When the directory cannot be read.
pub fn journal_files(dir: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        let slot = name
            .strip_prefix("journal-")
            .and_then(|rest| rest.strip_suffix(".wal"));
        if let Some(slot) = slot.and_then(|slot| slot.parse().ok()) {
            files.push((slot, path));
        }
    }
    Ok(files)
}

/// Reads the journal in `dir`.
///
/// # Errors
/// Only when a file cannot be read at all; everything else is part of the result.
pub fn scan(dir: &Path, start: ScanStart) -> io::Result<JournalScan> {
    let mut files = Vec::new();
    for (slot, path) in journal_files(dir)? {
        files.push(open_file(slot, path)?);
    }
    files.sort_by_key(|(file, _)| (file.header.map_or(0, |h| h.incarnation), file.slot));
    let (infos, handles) = files.into_iter().unzip();
    let mut scanner = Scanner {
        scan: JournalScan {
            files: infos,
            handles,
            ..JournalScan::default()
        },
        trimmed: start.trimmed.unwrap_or(Lsn::ZERO),
        strict: start.trimmed.is_some(),
        next_lsn: start.trimmed.map(|lsn| Lsn(lsn.0 + 1)),
        next_sequence: 1,
        last_group: None,
    };
    scanner.run(start)?;
    Ok(scanner.scan)
}

fn open_file(slot: u32, path: PathBuf) -> io::Result<(ScannedFile, File)> {
    let file = File::open(&path)?;
    let size = file.metadata()?.len();
    let mut block = vec![0; BLOCK];
    let read = read_full_at(&file, &mut block, 0)?;
    let parsed = block.get(..read).and_then(FileHeader::parse);
    let header = match parsed {
        Some(header) => Some(header),
        None => header_from_groups(&file, size)?,
    };
    let info = ScannedFile {
        path,
        slot,
        size,
        header,
        header_intact: parsed.is_some(),
        groups: 0,
        last_lsn: Lsn::ZERO,
    };
    Ok((info, file))
}

/// What the groups of a file whose header is unreadable say about it.
fn header_from_groups(file: &File, size: u64) -> io::Result<Option<FileHeader>> {
    let mut best: Option<GroupHeader> = None;
    let mut window = Window::new(file, size);
    let mut position = BLOCK as u64;
    while let Some(bytes) = window.get(position, GROUP_HEADER_LEN)? {
        if let Some(group) = GroupHeader::parse(bytes)
            && best.is_none_or(|best| group.incarnation > best.incarnation)
        {
            best = Some(group);
        }
        position += BLOCK as u64;
    }
    Ok(best.map(|group| FileHeader {
        opened: false,
        incarnation: group.incarnation,
        file_bytes: size,
        first_sequence: group.sequence,
        first_lsn: group.first_lsn,
    }))
}

/// A buffered view of a file that moves forward.
struct Window<'a> {
    file: &'a File,
    size: u64,
    start: u64,
    bytes: Vec<u8>,
}

impl<'a> Window<'a> {
    fn new(file: &'a File, size: u64) -> Window<'a> {
        Window {
            file,
            size,
            start: 0,
            bytes: Vec::new(),
        }
    }

    /// `length` bytes at `position`; `None` when the file ends before.
    fn get(&mut self, position: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if position.saturating_add(length as u64) > self.size {
            return Ok(None);
        }
        let covered = position >= self.start
            && position + length as u64 <= self.start + self.bytes.len() as u64;
        if !covered {
            let left = usize::try_from(self.size - position).unwrap_or(usize::MAX);
            self.bytes.resize(length.max(WINDOW).min(left), 0);
            let read = read_full_at(self.file, &mut self.bytes, position)?;
            self.bytes.truncate(read);
            self.start = position;
            self.read_ahead(position + read as u64);
        }
        let from = (position - self.start) as usize;
        Ok(self.bytes.get(from..from + length))
    }
}

impl Window<'_> {
    /// Has the kernel read what comes next while this window is looked at. A hint: when it is refused, the next read
    /// only waits longer.
    fn read_ahead(&self, position: u64) {
        let length = std::num::NonZeroU64::new(2 * WINDOW as u64);
        if let Err(errno) =
            rustix::fs::fadvise(self.file, position, length, rustix::fs::Advice::WillNeed)
        {
            tracing::trace!(%errno, "no read-ahead");
        }
    }
}

/// The group read last: not yet known whether anything follows it.
struct LastGroup {
    file: usize,
    position: u64,
    first_lsn: Lsn,
    last_lsn: Lsn,
    frames: Range<usize>,
    lost: u64,
}

struct Scanner {
    scan: JournalScan,
    trimmed: Lsn,
    strict: bool,
    next_lsn: Option<Lsn>,
    next_sequence: u64,
    last_group: Option<LastGroup>,
}

/// Where the groups of a file end.
struct GroupsEnd {
    position: u64,
    rotates: bool,
}

impl Scanner {
    fn run(&mut self, start: ScanStart) -> io::Result<()> {
        let headers: Vec<Option<FileHeader>> = self.scan.files.iter().map(|f| f.header).collect();
        let newest = headers
            .iter()
            .flatten()
            .map(|h| h.incarnation)
            .max()
            .unwrap_or(0);
        let mut end = GroupsEnd {
            position: 0,
            rotates: false,
        };
        for (index, header) in headers.iter().enumerate() {
            let Some(header) = *header else { continue };
            let following = headers.get(index + 1).copied().flatten();
            let all_trimmed =
                self.strict && following.is_some_and(|next| next.first_lsn.0 <= self.trimmed.0 + 1);
            if all_trimmed {
                let last = following.map_or(0, |next| next.first_lsn.0.saturating_sub(1));
                self.scan.files[index].last_lsn = Lsn(last);
                continue;
            }
            self.enter_file(index, header);
            end = self.read_groups(index, header)?;
            self.leave_file(index, header, following, &end)?;
        }
        if newest < start.incarnation || end.rotates {
            let path = self
                .scan
                .files
                .last()
                .map(|f| f.path.clone())
                .unwrap_or_default();
            let what = "the journal file that follows is missing".to_owned();
            self.damage(path, end.position, None, what);
        }
        self.finish_last_group(true)?;
        self.scan.next_lsn = self.next_lsn.unwrap_or(Lsn(1));
        self.scan.next_sequence = self.next_sequence;
        self.scan.next_incarnation = newest.max(start.incarnation) + 1;
        Ok(())
    }

    fn damage(&mut self, path: PathBuf, position: u64, lost: Option<u64>, what: String) {
        let first_lsn = self.next_lsn.unwrap_or(Lsn(1));
        let last_lsn = Lsn(lost.map_or(u64::MAX, |lost| first_lsn.0 + lost.saturating_sub(1)));
        self.scan.damage.push(Damage {
            path,
            position,
            first_lsn,
            last_lsn,
            lost,
            what,
        });
    }

    fn enter_file(&mut self, index: usize, header: FileHeader) {
        let path = self.scan.files[index].path.clone();
        if !self.scan.files[index].header_intact {
            self.damage(
                path.clone(),
                0,
                Some(0),
                "unreadable file header".to_owned(),
            );
        }
        // Without a checkpoint nothing says which of the older files were recycled.
        if let Some(expected) = self.next_lsn
            && self.strict
            && header.first_lsn > expected
        {
            let lost = header.first_lsn.0 - expected.0;
            let what = format!("{lost} frames before this file are missing");
            self.damage(path, 0, Some(lost), what);
        }
        self.next_lsn = Some(header.first_lsn);
        self.next_sequence = header.first_sequence;
    }

    fn read_groups(&mut self, index: usize, file_header: FileHeader) -> io::Result<GroupsEnd> {
        let handle = self.scan.handles[index].try_clone()?;
        let size = self.scan.files[index].size;
        let mut window = Window::new(&handle, size);
        let mut position = BLOCK as u64;
        loop {
            let group = match window.get(position, GROUP_HEADER_LEN)? {
                Some(bytes) => GroupHeader::parse(bytes),
                None => None,
            };
            let expected = group.filter(|group| {
                group.incarnation == file_header.incarnation
                    && group.sequence == self.next_sequence
                    && Some(group.first_lsn) == self.next_lsn
                    && position + group.size_on_disk() <= size
            });
            if let Some(group) = expected {
                self.finish_last_group(false)?;
                self.read_group(index, position, group, &mut window)?;
                position += group.size_on_disk();
                if group.rotates {
                    return Ok(GroupsEnd {
                        position,
                        rotates: true,
                    });
                }
                continue;
            }
            let incarnation = file_header.incarnation;
            match later_group(&mut window, position, incarnation, self.next_sequence)? {
                Some((found, group)) => {
                    self.finish_last_group(false)?;
                    self.skip_to(index, position, found, group, &mut window)?;
                    position = found;
                }
                None => {
                    return Ok(GroupsEnd {
                        position,
                        rotates: false,
                    });
                }
            }
        }
    }

    /// The group at `position` is unreadable, a later one is not: reads what frames can be read between.
    fn skip_to(
        &mut self,
        index: usize,
        position: u64,
        found: u64,
        group: GroupHeader,
        window: &mut Window<'_>,
    ) -> io::Result<()> {
        let first_lsn = self.next_lsn.unwrap_or(group.first_lsn);
        let lost = self.read_headerless(index, position, found, group.first_lsn, window)?;
        self.scan.damage.push(Damage {
            path: self.scan.files[index].path.clone(),
            position,
            first_lsn,
            last_lsn: Lsn(group.first_lsn.0.saturating_sub(1)),
            lost: Some(lost),
            what: "unreadable group header".to_owned(),
        });
        self.next_lsn = Some(group.first_lsn);
        self.next_sequence = group.sequence;
        Ok(())
    }

    fn read_group(
        &mut self,
        index: usize,
        position: u64,
        group: GroupHeader,
        window: &mut Window<'_>,
    ) -> io::Result<()> {
        let first = self.scan.frames.len();
        self.scan.files[index].groups += 1;
        self.scan.files[index].last_lsn = Lsn(group.next_lsn().0.saturating_sub(1));
        self.next_sequence = group.sequence + 1;
        self.next_lsn = Some(group.next_lsn());
        if group.frame_count > 0 && group.next_lsn().0 <= self.trimmed.0 + 1 {
            return Ok(());
        }
        let payload_at = position + GROUP_HEADER_LEN as u64;
        let payload = window
            .get(payload_at, group.payload_length as usize)?
            .unwrap_or_default();
        let limit = group.next_lsn();
        let mut read = FrameReader {
            index,
            incarnation: group.incarnation,
            lsn: group.first_lsn,
        };
        let lost = read.run(
            payload,
            payload_at,
            limit,
            self.trimmed,
            &mut self.scan.frames,
        );
        self.last_group = Some(LastGroup {
            file: index,
            position,
            first_lsn: group.first_lsn,
            last_lsn: Lsn(group.next_lsn().0.saturating_sub(1)),
            frames: first..self.scan.frames.len(),
            lost,
        });
        Ok(())
    }

    /// Reads frames behind an unreadable group header, as far as they are intact and below `limit`. Returns how many
    /// of those below a known limit are unreadable.
    fn read_headerless(
        &mut self,
        index: usize,
        position: u64,
        end: u64,
        limit: Lsn,
        window: &mut Window<'_>,
    ) -> io::Result<u64> {
        let lsn = self.next_lsn.unwrap_or(Lsn(1));
        let from = position + GROUP_HEADER_LEN as u64;
        let mut length = usize::try_from(end.saturating_sub(from)).unwrap_or(0);
        let unwritten = |first: &[u8]| first.iter().all(|byte| *byte == 0);
        if limit.0 == u64::MAX && window.get(from, FRAME_HEADER_LEN)?.is_none_or(unwritten) {
            length = 0;
        }
        let payload = window.get(from, length)?.unwrap_or_default();
        let incarnation = self.scan.files[index].header.map_or(0, |h| h.incarnation);
        let mut read = FrameReader {
            index,
            incarnation,
            lsn,
        };
        let lost = read.run(payload, from, limit, self.trimmed, &mut self.scan.frames);
        self.next_lsn = Some(read.lsn.max(lsn));
        Ok(lost)
    }

    fn leave_file(
        &mut self,
        index: usize,
        header: FileHeader,
        following: Option<FileHeader>,
        end: &GroupsEnd,
    ) -> io::Result<()> {
        let file = &self.scan.files[index];
        let (path, size) = (file.path.clone(), file.size);
        let reached = self.next_lsn.unwrap_or(header.first_lsn);
        let complete = end.rotates || following.is_some_and(|next| next.first_lsn <= reached);
        if complete {
            return Ok(());
        }
        if following.is_none() && size < header.file_bytes {
            let what = format!("the file has {size} of {} bytes", header.file_bytes);
            self.damage(path, size, None, what);
            return Ok(());
        }
        // Either the torn end of the journal, or a group that the next file proves was there.
        let handle = self.scan.handles[index].try_clone()?;
        let mut window = Window::new(&handle, size);
        let limit = following.map_or(Lsn(u64::MAX), |next| next.first_lsn);
        let before = self.scan.frames.len();
        let search_end = size.min(end.position + (64 << 20));
        if following.is_some() {
            self.finish_last_group(false)?;
        }
        let lost = self.read_headerless(index, end.position, search_end, limit, &mut window)?;
        if following.is_some() && self.strict {
            self.scan.damage.push(Damage {
                path: path.clone(),
                position: end.position,
                first_lsn: reached,
                last_lsn: Lsn(limit.0.saturating_sub(1)),
                lost: Some(lost),
                what: "groups before the next file are unreadable".to_owned(),
            });
        }
        if following.is_some() {
            self.next_lsn = Some(limit);
        }
        if following.is_none() && self.scan.frames.len() > before {
            self.finish_last_group(false)?;
            self.scan.torn = Some((path, end.position));
            self.keep_intact(before..self.scan.frames.len());
        }
        Ok(())
    }

    /// Judges the group read last. When something follows it, it was complete, and what is missing of it is
    /// damage; when nothing does, it may be torn.
    fn finish_last_group(&mut self, nothing_follows: bool) -> io::Result<()> {
        let Some(group) = self.last_group.take() else {
            return Ok(());
        };
        let path = self.scan.files[group.file].path.clone();
        if !nothing_follows {
            if group.lost > 0 {
                let what = format!("{} frames of a group are unreadable", group.lost);
                self.scan.damage.push(Damage {
                    path,
                    position: group.position,
                    first_lsn: group.first_lsn,
                    last_lsn: group.last_lsn,
                    lost: Some(group.lost),
                    what,
                });
            }
            return Ok(());
        }
        let kept = self.keep_intact(group.frames.clone());
        if group.lost > 0 || kept < group.frames.len() {
            self.scan.torn = Some((path, group.position));
        } else {
            for frame in &mut self.scan.frames[group.frames] {
                frame.tentative = false;
            }
        }
        Ok(())
    }

    /// Of the last frames, drops those whose batch does not match its CRC and marks the others tentative.
    fn keep_intact(&mut self, range: Range<usize>) -> usize {
        let tail = self.scan.frames.split_off(range.start);
        let before = self.scan.frames.len();
        for mut frame in tail {
            if !frame.is_batch || self.scan.read_batch(frame.location).is_ok() {
                frame.tentative = true;
                self.scan.frames.push(frame);
            }
        }
        self.scan.frames.len() - before
    }
}

/// Finds a group of this life of the file at or after `position`.
fn later_group(
    window: &mut Window<'_>,
    position: u64,
    incarnation: u64,
    sequence: u64,
) -> io::Result<Option<(u64, GroupHeader)>> {
    let mut at = position;
    while let Some(bytes) = window.get(at, GROUP_HEADER_LEN)? {
        if let Some(group) = GroupHeader::parse(bytes)
            && group.incarnation == incarnation
            && (group.sequence > sequence || (at > position && group.sequence == sequence))
        {
            return Ok(Some((at, group)));
        }
        at += BLOCK as u64;
    }
    Ok(None)
}

/// Walks the frames of one group.
struct FrameReader {
    index: usize,
    incarnation: u64,
    lsn: Lsn,
}

impl FrameReader {
    /// Collects frames up to `limit`; returns how many are unreadable.
    fn run(
        &mut self,
        payload: &[u8],
        payload_at: u64,
        limit: Lsn,
        trimmed: Lsn,
        out: &mut Vec<ScannedFrame>,
    ) -> u64 {
        let mut at = 0;
        let mut lost = 0;
        let bounded = limit.0 != u64::MAX;
        while self.lsn < limit {
            let rest = payload.get(at..).unwrap_or_default();
            let length = match parse_frame(rest, self.incarnation, self.lsn) {
                ParsedFrame::Valid(header) => {
                    let length = FRAME_HEADER_LEN + header.payload_length as usize;
                    let batch = rest.get(FRAME_HEADER_LEN..length).unwrap_or_default();
                    let parsed = header
                        .is_batch
                        .then(|| BatchHeader::parse(batch).ok())
                        .flatten();
                    if self.lsn > trimmed {
                        out.push(ScannedFrame {
                            lsn: self.lsn,
                            topic_id: header.topic_id,
                            partition: header.partition,
                            is_batch: header.is_batch,
                            offset: header.offset,
                            next_offset: parsed.map_or(header.offset, |h| h.next_offset()),
                            batch_crc: parsed.map_or(0, |h| h.crc),
                            location: FrameLocation {
                                file: self.index as u32,
                                position: payload_at + (at + FRAME_HEADER_LEN) as u64,
                                length: header.payload_length,
                            },
                            tentative: false,
                        });
                    }
                    length
                }
                // Without a group header nothing says how many frames there are.
                ParsedFrame::Damaged { .. } if !bounded => return lost,
                ParsedFrame::Damaged { length } => {
                    let next = at.saturating_add(length as usize);
                    let after = Lsn(self.lsn.0 + 1);
                    let resumes = (length as usize) >= FRAME_HEADER_LEN
                        && after < limit
                        && payload.get(next..).is_some_and(|rest| {
                            matches!(
                                parse_frame(rest, self.incarnation, after),
                                ParsedFrame::Valid(_)
                            )
                        });
                    if !resumes {
                        return lost + (limit.0 - self.lsn.0);
                    }
                    lost += 1;
                    length as usize
                }
            };
            at += length;
            self.lsn = Lsn(self.lsn.0 + 1);
        }
        lost
    }
}
