//! The objects that say who owns a prefix of an object store: one for each epoch, put only if it is not there.

use serde::{Deserialize, Serialize};

use super::bucket::Bucket;
use crate::model::{Error, Result};

/// Holds an object for each epoch. A namespace's directory never has a dot in its name.
pub(super) const OWNERS: &str = "millstream.owners";

/// Put by an owner of an epoch that has found a higher one: it is alive, and may need what it had.
const OBJECTION: &str = ".contested";

/// Where releases without epochs kept the identity of the directory.
const WITHOUT_EPOCHS: &str = "millstream-owner";

/// What stands there now, so that those releases do not take the prefix for theirs.
const MOVED: &str = "see millstream.owners/";

/// What an epoch's object says. Fields may be added with a default, never renamed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    /// Identity of the data directory; copies of one share it.
    pub directory: String,
    /// Drawn for this opening.
    pub nonce: String,
    /// The machine, for whoever looks into it.
    pub host: String,
    pub opened_us: i64,
}

/// What the owners' objects say.
#[derive(Debug, Default)]
pub(super) struct Look {
    pub newest: u64,
    /// Epochs of owners that objected.
    pub objections: Vec<u64>,
}

impl Bucket {
    /// Keeps releases without epochs out, which delete what they do not know.
    pub(super) fn keep_out_releases_without_epochs(&self) -> Result<()> {
        match self.get(WITHOUT_EPOCHS)? {
            Some(found) if found == MOVED.as_bytes() => Ok(()),
            _ => self.put(WITHOUT_EPOCHS, MOVED.to_owned()),
        }
    }
}

pub(super) fn owner_path(epoch: u64) -> String {
    format!("{OWNERS}/{epoch:020}")
}

/// Where the owner of an epoch objects to the next one.
pub(super) fn objection_path(epoch: u64) -> String {
    format!("{}{OBJECTION}", owner_path(epoch))
}

pub(super) fn look(bucket: &Bucket) -> Result<Look> {
    let mut look = Look::default();
    for name in bucket.list(OWNERS)? {
        match name.strip_suffix(OBJECTION).map(str::parse) {
            Some(Ok(epoch)) => look.objections.push(epoch),
            Some(Err(_)) => {}
            None => look.newest = look.newest.max(name.parse().unwrap_or(0)),
        }
    }
    Ok(look)
}

/// The owner of an epoch. Of a prefix without epochs, one that has only a directory; `None` where there is nothing.
pub(super) fn before(bucket: &Bucket, epoch: u64) -> Result<Option<Owner>> {
    if epoch == 0 {
        let text = bucket.get(WITHOUT_EPOCHS)?.filter(|text| text != MOVED.as_bytes());
        let directory = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        let owner = |directory| Owner { directory, nonce: String::new(), host: String::new(), opened_us: 0 };
        return Ok(directory.map(owner));
    }
    let path = owner_path(epoch);
    let text = bucket.get(&path)?.unwrap_or_default();
    serde_json::from_slice(&text).map(Some).map_err(|error| Error::Corrupt {
        path: bucket.display(&path).into(),
        position: 0,
        message: error.to_string(),
    })
}

/// Whether the epoch is ours now.
pub(super) fn claim(bucket: &Bucket, epoch: u64, owner: &Owner) -> Result<bool> {
    let path = owner_path(epoch);
    // Strings and numbers always have a JSON form.
    let text = serde_json::to_string(owner).unwrap_or_default();
    if bucket.put_if_absent(&path, text.clone())? {
        if !bucket.put_if_absent(&path, text)? {
            return Ok(true);
        }
        return Err(Error::FailedPrecondition(format!(
            "{} overwrites objects though it is asked to put them only if they are not there (If-None-Match): it can't keep \
             two servers apart, and can't hold segments",
            bucket.url()
        )));
    }
    // A put that was sent again, because its answer was lost, finds itself.
    let found = bucket.get(&path)?;
    let found = found.and_then(|text| serde_json::from_slice::<Owner>(&text).ok());
    Ok(found.is_some_and(|found| found.nonce == owner.nonce))
}
