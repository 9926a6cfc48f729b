//! The first 64 bytes of a log file.

use crate::log::journal::format::{LogId, Malformed, VERSION, checked, known, read, sealed};
use crate::model::Lsn;

pub(in crate::log) const FILE_HEADER_LEN: usize = 64;
const FILE_MAGIC: [u8; 4] = *b"MSLF";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::log) struct FileHeader {
    pub log_id: LogId,
    /// The LSN of the first record; the file's name too.
    pub first_lsn: Lsn,
    pub epoch: u64,
    /// Append time of the last commit before this file; no commit in it is older.
    pub append_us: i64,
}

impl FileHeader {
    pub(in crate::log) fn encode(&self) -> [u8; FILE_HEADER_LEN] {
        let mut out = Vec::with_capacity(FILE_HEADER_LEN);
        out.extend_from_slice(&FILE_MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(&self.log_id.0.to_le_bytes());
        out.extend_from_slice(&self.first_lsn.0.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
        out.extend_from_slice(&self.append_us.to_le_bytes());
        out.resize(FILE_HEADER_LEN - 4, 0);
        sealed(out, crc32c::crc32c)
    }

    pub(in crate::log) fn decode(bytes: &[u8; FILE_HEADER_LEN]) -> Result<FileHeader, Malformed> {
        let mut fields = checked(bytes, FILE_MAGIC, crc32c::crc32c, "file header")?;
        known(fields.u32() == Some(u32::from(VERSION)), "version of the log file")?;
        read(|| {
            Some(FileHeader {
                log_id: LogId(fields.u64()?),
                first_lsn: Lsn(fields.u64()?),
                epoch: fields.u64()?,
                append_us: fields.i64()?,
            })
        })
    }
}
