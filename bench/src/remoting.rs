//! RocketMQ's remoting protocol, as far as the bench speaks it.

use std::io::{Read, Write};

use serde_json::{Value, json};

use crate::Result;

/// A request as it goes over the wire.
pub(crate) fn frame(code: i32, fields: &Value, body: &[u8]) -> Result<Vec<u8>> {
    let header = json!({"code": code, "extFields": fields, "flag": 0, "opaque": 1, "version": 409}).to_string();
    let mut frame = u32::try_from(4 + header.len() + body.len())?.to_be_bytes().to_vec();
    frame.extend(u32::try_from(header.len())?.to_be_bytes());
    frame.extend(header.bytes());
    frame.extend(body);
    Ok(frame)
}

/// Reads the next answer, past what the server tells of others; an error if it is a refusal.
pub(crate) fn answer(stream: &mut impl Read) -> Result<()> {
    loop {
        let mut number = [0; 4];
        stream.read_exact(&mut number)?;
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(number))?];
        stream.read_exact(&mut answer)?;
        let length = answer.get(..4).and_then(|length| length.try_into().ok()).map(u32::from_be_bytes);
        let end = 4 + usize::try_from(length.unwrap_or(u32::MAX))?;
        let header: Value = serde_json::from_slice(answer.get(4..end).ok_or("an answer that is cut off")?)?;
        match (header["flag"].as_i64(), header["code"].as_i64()) {
            (Some(1), Some(0)) => return Ok(()),
            (Some(1), _) => return Err(format!("a request is refused: {header}").into()),
            _ => {}
        }
    }
}

/// Sends a request and reads its answer.
pub(crate) fn ask(stream: &mut (impl Read + Write), code: i32, fields: &Value, body: &str) -> Result<()> {
    stream.write_all(&frame(code, fields, body.as_bytes())?)?;
    answer(stream).map_err(|error| format!("request {code}: {error}").into())
}
