//! Checksums of a segment file. Parquet's own page checksums are optional and the `parquet` crate does not write them, so
//! the footer carries a CRC32C for every 64 KiB block of what lies before it, and the manifest the CRC32C of the rest (page
//! index and footer). Every byte that is read is checked before it is decoded.

use std::io::{self, Write};

use crate::segments::store::Upload;

/// The unit of checksums and so of reads.
pub(super) const BLOCK_BYTES: u64 = 64 << 10;

/// The footer's key: lower-case hexadecimal, eight digits a block.
pub(super) const CHECKSUMS_KEY: &str = "millstream.crc32c-64k";

/// The checksums of a file's body.
#[derive(Debug)]
pub(super) struct Checksums {
    body_bytes: u64,
    blocks: Vec<u32>,
}

impl Checksums {
    /// `None` if the text is not a checksum for every block of `body_bytes`.
    pub(super) fn parse(text: &str, body_bytes: u64) -> Option<Checksums> {
        let digits = text.as_bytes().chunks(8);
        let blocks: Option<Vec<u32>> =
            digits.map(|eight| u32::from_str_radix(std::str::from_utf8(eight).ok()?, 16).ok()).collect();
        let blocks = blocks?;
        (blocks.len() as u64 == body_bytes.div_ceil(BLOCK_BYTES)).then_some(Checksums { body_bytes, blocks })
    }

    pub(super) fn body_bytes(&self) -> u64 {
        self.body_bytes
    }

    /// Checks bytes read from `start`, which must begin at a block and end at one or at the body's end. `Err` gives the
    /// position of the first damaged block.
    pub(super) fn verify(&self, start: u64, bytes: &[u8]) -> Result<(), u64> {
        let first = start / BLOCK_BYTES;
        for (block, data) in (first..).zip(bytes.chunks(BLOCK_BYTES as usize)) {
            let stated = usize::try_from(block).ok().and_then(|block| self.blocks.get(block));
            if stated != Some(&crc32c::crc32c(data)) {
                return Err(block * BLOCK_BYTES);
            }
        }
        Ok(())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.blocks.len() * size_of::<u32>()
    }
}

/// Computes checksums of what passes through to an upload.
pub(super) struct ChecksummedWriter {
    upload: Upload,
    written: u64,
    /// CRC32C of the block begun, or of the tail once the body is sealed.
    crc: u32,
    blocks: Vec<u32>,
    body_bytes: Option<u64>,
}

impl ChecksummedWriter {
    pub(super) fn new(upload: Upload) -> ChecksummedWriter {
        ChecksummedWriter { upload, written: 0, crc: 0, blocks: Vec::new(), body_bytes: None }
    }

    /// Ends the body: gives the text for [`CHECKSUMS_KEY`]. What is written afterwards is the tail.
    pub(super) fn seal_body(&mut self) -> String {
        use std::fmt::Write;

        if !self.written.is_multiple_of(BLOCK_BYTES) {
            self.blocks.push(self.crc);
        }
        self.crc = 0;
        self.body_bytes = Some(self.written);
        self.blocks.iter().fold(String::with_capacity(self.blocks.len() * 8), |mut text, crc| {
            // Writing to a String can't fail.
            let _ = write!(text, "{crc:08x}");
            text
        })
    }

    /// The upload, to be finished, and (file bytes, body bytes, CRC32C of the tail).
    pub(super) fn into_parts(self) -> (Upload, u64, u64, u32) {
        (self.upload, self.written, self.body_bytes.unwrap_or(self.written), self.crc)
    }

    fn note(&mut self, mut bytes: &[u8]) {
        if self.body_bytes.is_some() {
            self.crc = crc32c::crc32c_append(self.crc, bytes);
            self.written += bytes.len() as u64;
            return;
        }
        while !bytes.is_empty() {
            let room = BLOCK_BYTES - self.written % BLOCK_BYTES;
            let (now, rest) = bytes.split_at(bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
            self.crc = crc32c::crc32c_append(self.crc, now);
            self.written += now.len() as u64;
            if self.written.is_multiple_of(BLOCK_BYTES) {
                self.blocks.push(self.crc);
                self.crc = 0;
            }
            bytes = rest;
        }
    }
}

impl Write for ChecksummedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.upload.write_all(bytes)?;
        self.note(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
