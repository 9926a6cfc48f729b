//! Bodies that a client has compressed. They are stored as they were before: filters, SQL and other doors read them.

use std::io::Read;

use bytes::Bytes;

use super::reader::Malformed;

/// Of a message's system flag.
const COMPRESSED: i32 = 0x1;
const KIND_SHIFT: i32 = 8;
const KIND_MASK: i32 = 0x7;
const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];

/// Whether a message's system flag says that its body is compressed.
pub(crate) fn is_packed(system_flag: i32) -> bool {
    system_flag & COMPRESSED != 0
}

/// The body as it was before it was compressed; at most `limit` bytes.
pub(crate) fn unpack(body: &Bytes, system_flag: i32, limit: usize) -> Result<Bytes, Malformed> {
    let whole = |reader: &mut dyn Read, name: &str| whole(reader, name, limit);
    match system_flag >> KIND_SHIFT & KIND_MASK {
        1 => whole(&mut lz4_flex::frame::FrameDecoder::new(&body[..]), "LZ4"),
        2 => {
            let decoder = zstd::stream::read::Decoder::with_buffer(&body[..]);
            whole(&mut decoder.map_err(|error| Malformed(format!("no Zstandard: {error}")))?, "Zstandard")
        }
        // Releases before 4.9 know one kind, and do not name it.
        0 | 3 => whole(&mut flate2::read::ZlibDecoder::new(&body[..]), "zlib"),
        other => Err(Malformed(format!("the message says that its body is compressed in way {other}, which is none"))),
    }
}

/// The body as it was before it was packed as gzip or zlib, which begin differently; at most `limit` bytes.
pub(crate) fn unpack_deflated(body: &Bytes, limit: usize) -> Result<Bytes, Malformed> {
    match body.starts_with(GZIP_MAGIC) {
        true => whole(&mut flate2::read::MultiGzDecoder::new(&body[..]), "gzip", limit),
        false => whole(&mut flate2::read::ZlibDecoder::new(&body[..]), "zlib", limit),
    }
}

fn whole(reader: &mut dyn Read, name: &str, limit: usize) -> Result<Bytes, Malformed> {
    let mut bytes = Vec::new();
    let most = u64::try_from(limit).unwrap_or(u64::MAX).saturating_add(1);
    let read = reader.take(most).read_to_end(&mut bytes);
    read.map_err(|error| Malformed(format!("the body is not the {name} that the message says: {error}")))?;
    match bytes.len() > limit {
        true => Err(Malformed(format!("the body has more than {limit} bytes when it is unpacked"))),
        false => Ok(Bytes::from(bytes)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn bodies_of_each_kind_are_unpacked_within_a_limit() {
        let plain = b"hello, hello, hello".repeat(100);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
        zlib.write_all(&plain).unwrap();
        let zlib = zlib.finish().unwrap();
        let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
        lz4.write_all(&plain).unwrap();
        let lz4 = lz4.finish().unwrap();
        let zstd = zstd::encode_all(&plain[..], 0).unwrap();
        for (flag, packed) in [(0x1, &zlib), (0x301, &zlib), (0x101, &lz4), (0x201, &zstd)] {
            let packed = Bytes::from(packed.clone());
            assert!(is_packed(flag));
            assert_eq!(unpack(&packed, flag, plain.len()).unwrap(), plain, "{flag:x}");
            assert!(unpack(&packed, flag, plain.len() - 1).unwrap_err().to_string().contains("more than"));
            for cut in [1, packed.len() / 2] {
                assert!(unpack(&packed.slice(..cut), flag, plain.len()).is_err(), "{flag:x} cut at {cut}");
            }
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(&plain).unwrap();
        for packed in [gzip.finish().unwrap(), zlib.clone()].map(Bytes::from) {
            assert_eq!(unpack_deflated(&packed, plain.len()).unwrap(), plain);
            assert!(unpack_deflated(&packed, plain.len() - 1).is_err());
            assert!((0..packed.len()).all(|cut| unpack_deflated(&packed.slice(..cut), plain.len()).is_err()));
        }
        assert!(unpack(&Bytes::from(zlib), 0x701, 10).is_err());
        assert!(!is_packed(0x300));
    }
}
