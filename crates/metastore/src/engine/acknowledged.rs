//! The last acknowledged revision, beside the metadata file.
//!
//! redb keeps two roots and one bit that says which is current. Damage to that bit in the file of a process that
//! was killed looks like a commit that was cut off, and redb takes the older root: the last transaction would be
//! gone without a word. So the revision of each acknowledged transaction is also written here, and a file that
//! holds less is refused.
//!
//! ```text
//! offset  bytes  what
//!      0      4  "AFMR"
//!      4      8  an acknowledged revision, little-endian
//!     12      4  CRC-32C of bytes 0 to 11, little-endian
//!    512     16  the same for the acknowledgement before or after it
//! ```
//!
//! The two records lie in sectors of their own and are written in turn, so a torn write leaves the other. The
//! record is written after the transaction and before its acknowledgement: it may be behind, never ahead.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::store::Revision;

const MAGIC: &[u8; 4] = b"AFMR";
const RECORD: usize = 16;
const SECOND: u64 = 512;

/// The open file.
#[derive(Debug)]
pub(super) struct Acknowledged(File);

/// The file that belongs to the metadata file `path`.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".acknowledged");
    PathBuf::from(name)
}

impl Acknowledged {
    /// Opens the file beside `path` and reads the last revision in it; [`Revision::ZERO`] from a new one.
    ///
    /// None for the revision when neither record can be read.
    pub(super) fn open(path: &Path) -> io::Result<(Acknowledged, Option<Revision>)> {
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(beside(path))?;
        if file.metadata()?.len() == 0 {
            let fresh = Acknowledged(file);
            fresh.write_at(Revision::ZERO, SECOND)?;
            fresh.write_at(Revision::ZERO, 0)?;
            fresh.0.sync_all()?;
            return Ok((fresh, Some(Revision::ZERO)));
        }
        let mut last = None;
        for offset in [0, SECOND] {
            let mut record = [0; RECORD];
            match file.read_exact_at(&mut record, offset) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {}
                Err(error) => return Err(error),
                Ok(()) => last = last.max(decode(record)),
            }
        }
        Ok((Acknowledged(file), last))
    }

    /// Notes that `revision` is about to be acknowledged. Durable when it returns.
    pub(super) fn note(&self, revision: Revision) -> io::Result<()> {
        self.write_at(
            revision,
            if revision.0.is_multiple_of(2) {
                0
            } else {
                SECOND
            },
        )?;
        self.0.sync_data()
    }

    fn write_at(&self, revision: Revision, offset: u64) -> io::Result<()> {
        let mut record = Vec::with_capacity(RECORD);
        record.extend(MAGIC);
        record.extend(revision.0.to_le_bytes());
        let sum = crc32c::crc32c(&record);
        record.extend(sum.to_le_bytes());
        self.0.write_all_at(&record, offset)
    }
}

fn decode(record: [u8; RECORD]) -> Option<Revision> {
    let (head, sum) = record.split_at(RECORD - 4);
    let (magic, number) = head.split_at(MAGIC.len());
    if magic != MAGIC || sum != crc32c::crc32c(head).to_le_bytes() {
        return None;
    }
    number
        .try_into()
        .ok()
        .map(|number| Revision(u64::from_le_bytes(number)))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn the_last_revision_is_kept_through_damage_to_one_record() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("metadata");
        let reopen = || Acknowledged::open(&path).unwrap().1;
        assert_eq!(reopen(), Some(Revision(0)));
        for revision in 1..=5 {
            Acknowledged::open(&path)
                .unwrap()
                .0
                .note(Revision(revision))
                .unwrap();
            assert_eq!(reopen(), Some(Revision(revision)));
        }
        let sound = fs::read(beside(&path)).unwrap();
        for place in 0..RECORD {
            let mut damaged = sound.clone();
            damaged[512 + place] ^= 1;
            fs::write(beside(&path), &damaged).unwrap();
            assert_eq!(reopen(), Some(Revision(4)));
            damaged[place] ^= 1;
            fs::write(beside(&path), &damaged).unwrap();
            assert_eq!(reopen(), None);
        }
        fs::write(beside(&path), &sound[..20]).unwrap();
        assert_eq!(reopen(), Some(Revision(4)));
    }
}
