//! Checks a record batch's counts and buffers against the body that came with it.

use std::io::Read;

use arrow_ipc::{CompressionType, RecordBatch};

use super::Limits;
use crate::{Error, Result};

/// LZ4 can't make more of a byte than this.
const LZ4_MAX_RATIO: u64 = 255;

/// What the values of a message take, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// All buffers, once decompressed.
    pub(super) total: u64,
    /// Memory of their own: those that have to be decompressed.
    pub(super) unpacked: u64,
    /// Whether the others lie in the message's body, which lives as long as they do.
    pub(super) in_body: bool,
}

impl Sizes {
    /// What is held as long as the values are.
    pub(super) fn held(&self, body: &[u8]) -> u64 {
        self.unpacked.saturating_add(if self.in_body { body.len() as u64 } else { 0 })
    }
}

/// Every node within the row limit, every buffer inside the body, and no more bytes than the limit once decompressed.
pub(super) fn measure(batch: &RecordBatch<'_>, body: &[u8], limits: &Limits) -> Result<Sizes> {
    let limit = limits.decoded;
    check_count("rows", batch.length(), limits.rows)?;
    for node in batch.nodes().iter().flatten() {
        check_count("values", node.length(), limits.rows)?;
        if !(0..=node.length()).contains(&node.null_count()) {
            return Err(Error::invalid("the record batch is malformed: it states more nulls than values"));
        }
    }
    let buffers = batch.buffers().map_or(0, |buffers| buffers.len()) as i64;
    let variadic = batch.variadicBufferCounts();
    if variadic.iter().flatten().any(|count| !(0..=buffers).contains(&count)) {
        return Err(Error::invalid("the record batch is malformed: it states more buffers than it has"));
    }
    let codec = batch.compression().map(|compression| compression.codec());
    if codec.is_some_and(|codec| !matches!(codec, CompressionType::LZ4_FRAME | CompressionType::ZSTD)) {
        return Err(Error::invalid("the record batch is compressed in a way that is not known"));
    }
    let mut sizes = Sizes { total: 0, unpacked: 0, in_body: false };
    for buffer in batch.buffers().iter().flatten() {
        let bytes = slice(body, buffer.offset(), buffer.length())?;
        let unpacked = codec.map_or(Ok(None), |codec| decompressed_size(bytes, codec, limit))?;
        sizes.in_body |= unpacked.is_none() && !bytes.is_empty();
        sizes.unpacked = sizes.unpacked.saturating_add(unpacked.unwrap_or(0));
        sizes.total = sizes.total.saturating_add(unpacked.unwrap_or(bytes.len() as u64));
        if sizes.total > limit {
            return Err(too_large(limit));
        }
    }
    Ok(sizes)
}

pub(super) fn too_large(limit: u64) -> Error {
    Error::TooLarge(format!("the record batch takes more than {limit} bytes in memory; send fewer rows at a time"))
}

/// The bytes that compressed buffers state for themselves, all together at most `limit`: what lies about it is refused before
/// it is unpacked.
pub(super) fn stated(batch: &RecordBatch<'_>, body: &[u8], limit: u64) -> usize {
    if batch.compression().is_none() {
        return 0;
    }
    let stated = batch.buffers().into_iter().flatten().filter_map(|buffer| {
        let bytes = slice(body, buffer.offset(), buffer.length()).ok()?;
        u64::try_from(i64::from_le_bytes(*bytes.first_chunk::<8>()?)).ok()
    });
    stated.fold(0, u64::saturating_add).min(limit) as usize
}

fn check_count(what: &str, count: i64, limit: i64) -> Result<()> {
    if (0..=limit).contains(&count) {
        return Ok(());
    }
    Err(Error::invalid(format!("the record batch states {count} {what}; the limit is {limit}")))
}

fn slice(body: &[u8], offset: i64, length: i64) -> Result<&[u8]> {
    let range = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
    range
        .and_then(|(offset, length)| body.get(offset..offset.checked_add(length)?))
        .ok_or_else(|| Error::invalid("the record batch is malformed: a buffer lies outside the body"))
}

/// The size after decompression; none where the bytes are not compressed after all. The stated one is what memory is taken for; LZ4's reader goes on past it, so where that
/// could matter the data is measured first.
fn decompressed_size(bytes: &[u8], codec: CompressionType, limit: u64) -> Result<Option<u64>> {
    let Some((prefix, data)) = bytes.split_first_chunk::<8>() else {
        return if bytes.is_empty() { Ok(None) } else { Err(stated_wrongly()) };
    };
    let stated = match i64::from_le_bytes(*prefix) {
        -1 => return Ok(None),
        stated => u64::try_from(stated).map_err(|_| stated_wrongly())?,
    };
    let may_exceed = (data.len() as u64).saturating_mul(LZ4_MAX_RATIO) > stated;
    if codec == CompressionType::LZ4_FRAME && stated > 0 && stated <= limit && may_exceed {
        let mut reader = lz4_flex::frame::FrameDecoder::new(data).take(stated.saturating_add(1));
        let read = std::io::copy(&mut reader, &mut std::io::sink()).map_err(|_| stated_wrongly())?;
        if read != stated {
            return Err(stated_wrongly());
        }
    }
    Ok(Some(stated))
}

fn stated_wrongly() -> Error {
    Error::invalid("the record batch is malformed: a compressed buffer does not have the size it states")
}
