//! Keys and values of the state store; `docs/state-store.md` draws them. A key is a tag and the parts of the name, ids
//! big-endian so that entries of one table lie together. A value is a version byte and JSON (definitions) or postcard
//! (the rest).

use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::model::{Error, Result};
use crate::state::group_key::GroupKey;

/// First byte of every value.
pub(in crate::state) const VERSION: u8 = 1;

/// A key in the making.
#[derive(Debug)]
pub(in crate::state) struct KeyBytes(Vec<u8>);

impl KeyBytes {
    pub(in crate::state) fn new(tag: u8) -> KeyBytes {
        let mut bytes = Vec::with_capacity(32);
        bytes.push(tag);
        KeyBytes(bytes)
    }

    pub(in crate::state) fn u64(mut self, number: u64) -> KeyBytes {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(in crate::state) fn u32(mut self, number: u32) -> KeyBytes {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(in crate::state) fn u128(mut self, number: u128) -> KeyBytes {
        self.0.extend(number.to_be_bytes());
        self
    }

    /// Names are at most 255 bytes; a longer one would still be told apart by its cut length.
    pub(in crate::state) fn text(mut self, text: &str) -> KeyBytes {
        self.0.extend(u16::try_from(text.len()).unwrap_or(u16::MAX).to_be_bytes());
        self.0.extend(text.as_bytes());
        self
    }

    /// A group's name, and that of a client if there is one.
    pub(in crate::state) fn group(self, group: &GroupKey) -> KeyBytes {
        let mut bytes = self.text(&group.namespace).text(&group.group);
        bytes.0.push(u8::from(group.client.is_some()));
        bytes.text(group.client.as_deref().unwrap_or_default())
    }

    pub(in crate::state) fn rest(mut self, bytes: &[u8]) -> KeyBytes {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(in crate::state) fn done(self) -> Vec<u8> {
        self.0
    }
}

/// The parts of a key behind its tag.
#[derive(Debug)]
pub(in crate::state) struct KeyParts<'a>(&'a [u8]);

impl<'a> KeyParts<'a> {
    pub(in crate::state) fn of(key: &'a [u8]) -> KeyParts<'a> {
        KeyParts(key.get(1..).unwrap_or_default())
    }

    pub(in crate::state) fn u8(&mut self) -> Result<u8, String> {
        self.take::<1>().map(|[byte]| *byte)
    }

    pub(in crate::state) fn u64(&mut self) -> Result<u64, String> {
        self.take().map(|bytes| u64::from_be_bytes(*bytes))
    }

    pub(in crate::state) fn u32(&mut self) -> Result<u32, String> {
        self.take().map(|bytes| u32::from_be_bytes(*bytes))
    }

    pub(in crate::state) fn u128(&mut self) -> Result<u128, String> {
        self.take().map(|bytes| u128::from_be_bytes(*bytes))
    }

    pub(in crate::state) fn text(&mut self) -> Result<Arc<str>, String> {
        let length = u16::from_be_bytes(*self.take()?);
        let (text, rest) = self.0.split_at_checked(usize::from(length)).ok_or_else(too_short)?;
        self.0 = rest;
        std::str::from_utf8(text).map(Arc::from).map_err(|error| format!("its key: {error}"))
    }

    pub(in crate::state) fn group(&mut self) -> Result<GroupKey, String> {
        let (namespace, group) = (self.text()?, self.text()?);
        let (named, client) = (self.take::<1>()? == &[1], self.text()?);
        Ok(GroupKey { namespace, group, client: named.then_some(client) })
    }

    pub(in crate::state) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// An error if there is more.
    pub(in crate::state) fn end(&self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(format!("its key has {} bytes too many", self.0.len())) }
    }

    fn take<const N: usize>(&mut self) -> Result<&'a [u8; N], String> {
        let (part, rest) = self.0.split_first_chunk::<N>().ok_or_else(too_short)?;
        self.0 = rest;
        Ok(part)
    }
}

fn too_short() -> String {
    "its key is too short".to_owned()
}

pub(in crate::state) fn json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    let mut bytes = vec![VERSION];
    serde_json::to_writer(&mut bytes, value).map_err(not_encoded)?;
    Ok(bytes)
}

pub(in crate::state) fn postcard<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>> {
    postcard_as(VERSION, value)
}

/// As [`postcard`], in another version.
pub(in crate::state) fn postcard_as<T: Serialize + ?Sized>(version: u8, value: &T) -> Result<Vec<u8>> {
    postcard::to_extend(value, vec![version]).map_err(not_encoded)
}

/// Bytes as they are.
pub(in crate::state) fn bytes(value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 1);
    bytes.push(VERSION);
    bytes.extend_from_slice(value);
    bytes
}

pub(in crate::state) fn from_json<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    serde_json::from_slice(from_bytes(value)?).map_err(|error| error.to_string())
}

pub(in crate::state) fn from_postcard<T: DeserializeOwned>(value: &[u8]) -> Result<T, String> {
    whole_postcard(from_bytes(value)?)
}

/// As [`from_postcard`], without the version byte.
pub(in crate::state) fn whole_postcard<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    let (decoded, rest) = postcard::take_from_bytes(bytes).map_err(|error| error.to_string())?;
    if rest.is_empty() { Ok(decoded) } else { Err(format!("{} bytes too many", rest.len())) }
}

pub(in crate::state) fn from_bytes(value: &[u8]) -> Result<&[u8], String> {
    match value.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        Some((version, _)) => Err(format!("version {version} is not known to this release")),
        None => Err("empty value".to_owned()),
    }
}

/// A record of the log, compactly.
pub(in crate::state) fn record_postcard<T: Serialize>(record: &T) -> Result<Vec<u8>> {
    postcard::to_stdvec(record).map_err(record_not_encoded)
}

pub(in crate::state) fn record_from_postcard<T: DeserializeOwned>(payload: &[u8]) -> Result<T, String> {
    postcard::from_bytes(payload).map_err(|error| error.to_string())
}

pub(in crate::state) fn record_not_encoded(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("a record could not be encoded: {error}"))
}

fn not_encoded(error: impl std::fmt::Display) -> Error {
    Error::Internal(format!("state store: {error}"))
}
