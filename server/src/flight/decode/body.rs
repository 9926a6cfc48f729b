//! Checks a record batch's counts and buffers against the body that came with it.

use std::io::Read;

use arrow_ipc::{CompressionType, RecordBatch};

use super::MAX_ROWS;
use crate::flight::error::{DoorError, Result};

/// LZ4 can't make more of a byte than this.
const LZ4_MAX_RATIO: u64 = 255;

/// Every node within the row limit, every buffer inside the body, and no more than `limit` bytes once decompressed.
pub(super) fn check(batch: &RecordBatch<'_>, body: &[u8], limit: u64) -> Result<()> {
    check_count("rows", batch.length())?;
    for node in batch.nodes().iter().flatten() {
        check_count("values", node.length())?;
        if !(0..=node.length()).contains(&node.null_count()) {
            return Err(DoorError::invalid("the record batch is malformed: it states more nulls than values"));
        }
    }
    let buffers = batch.buffers().map_or(0, |buffers| buffers.len()) as i64;
    let variadic = batch.variadicBufferCounts();
    if variadic.iter().flatten().any(|count| !(0..=buffers).contains(&count)) {
        return Err(DoorError::invalid("the record batch is malformed: it states more buffers than it has"));
    }
    let codec = batch.compression().map(|compression| compression.codec());
    if codec.is_some_and(|codec| !matches!(codec, CompressionType::LZ4_FRAME | CompressionType::ZSTD)) {
        return Err(DoorError::invalid("the record batch is compressed in a way that is not known"));
    }
    let mut total = 0u64;
    for buffer in batch.buffers().iter().flatten() {
        let bytes = slice(body, buffer.offset(), buffer.length())?;
        let size = match codec {
            Some(codec) => decompressed_size(bytes, codec, limit)?,
            None => bytes.len() as u64,
        };
        total = total.saturating_add(size);
        if total > limit {
            return Err(DoorError::new(
                millstream_engine::ErrorKind::ResourceExhausted,
                format!("the record batch takes more than {limit} bytes in memory; send fewer rows at a time"),
            ));
        }
    }
    Ok(())
}

fn check_count(what: &str, count: i64) -> Result<()> {
    if (0..=MAX_ROWS).contains(&count) {
        return Ok(());
    }
    Err(DoorError::invalid(format!("the record batch states {count} {what}; the limit is {MAX_ROWS}")))
}

fn slice(body: &[u8], offset: i64, length: i64) -> Result<&[u8]> {
    let range = usize::try_from(offset).ok().zip(usize::try_from(length).ok());
    range
        .and_then(|(offset, length)| body.get(offset..offset.checked_add(length)?))
        .ok_or_else(|| DoorError::invalid("the record batch is malformed: a buffer lies outside the body"))
}

/// The size after decompression. The stated one is what memory is taken for; LZ4's reader goes on past it, so where that
/// could matter the data is measured first.
fn decompressed_size(bytes: &[u8], codec: CompressionType, limit: u64) -> Result<u64> {
    let Some((prefix, data)) = bytes.split_first_chunk::<8>() else {
        return if bytes.is_empty() { Ok(0) } else { Err(stated_wrongly()) };
    };
    let stated = match i64::from_le_bytes(*prefix) {
        // Not compressed after all.
        -1 => return Ok(data.len() as u64),
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
    Ok(stated)
}

fn stated_wrongly() -> DoorError {
    DoorError::invalid("the record batch is malformed: a compressed buffer does not have the size it states")
}
