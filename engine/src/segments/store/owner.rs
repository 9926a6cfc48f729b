//! Who owns a prefix of an object store. Every opening puts `millstream.owners/<epoch>` with the next epoch, and only if
//! it is not there: the highest epoch is the owner. `docs/segments.md` says what follows for copies of a directory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::bucket::Bucket;
use super::directory::{Directory, Standing, draw};
use super::epochs::{Look, OWNERS, Owner, before, claim, look, objection_path, owner_path};
use crate::model::{Error, Result};
use crate::platform::Events;
use crate::platform::{Clock, EngineOptions};

/// How often somebody may come between a look and a put.
const ATTEMPTS: usize = 8;

/// How often an owner that has nothing else to do looks whether it still is.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// One opening's claim to a prefix.
#[derive(Debug)]
pub(crate) struct Ownership {
    bucket: Bucket,
    directory: Directory,
    events: Arc<Events>,
    clock: Arc<dyn Clock>,
    grace_ms: u64,
    released_below: u64,
    epoch: u64,
    contested: bool,
    standing: Mutex<Standing>,
    /// The epoch that came after; 0 while there is none.
    fenced_by: AtomicU64,
    objected: AtomicBool,
    looked: Mutex<Duration>,
}

impl Ownership {
    /// Takes the prefix over, whoever had it before, if that was this directory or a copy of it. `FailedPrecondition` if it
    /// belongs to another directory, or if the store can't decide who owns it.
    pub(super) fn take(bucket: Bucket, options: &EngineOptions, events: Arc<Events>) -> Result<Ownership> {
        let directory = Directory::open(&options.dir)?;
        let known = directory.standing()?;
        for _ in 0..ATTEMPTS {
            let look = look(&bucket)?;
            let before = before(&bucket, look.newest)?;
            check_directory(&bucket, &directory, before.as_ref(), known.as_ref())?;
            let (standing, contest) = stand(&directory, known.as_ref(), &look, before.as_ref())?;
            let nonce = standing.nonces.last().cloned().unwrap_or_default();
            directory.note(&standing)?;
            let owner = Owner {
                directory: directory.identity.clone(),
                nonce,
                host: host(),
                opened_us: options.clock.wall_us(),
            };
            let epoch = look.newest + 1;
            if !claim(&bucket, epoch, &owner)? {
                continue;
            }
            bucket.keep_out_releases_without_epochs()?;
            let ownership = Ownership {
                bucket,
                directory,
                events,
                clock: options.clock.clone(),
                grace_ms: options.segment_grace_ms,
                released_below: options.segment_release_epoch,
                epoch,
                contested: contest.is_some(),
                standing: Mutex::new(standing),
                fenced_by: AtomicU64::new(0),
                objected: AtomicBool::new(false),
                looked: Mutex::new(options.clock.monotonic()),
            };
            if let Some(why) = contest {
                ownership.tell_kept(&why);
            }
            return Ok(ownership);
        }
        Err(Error::Busy(format!("{} is being opened by others at the same time", bucket.url())))
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether others may have opened the store since this directory did last.
    pub(crate) fn is_contested(&self) -> bool {
        self.contested
    }

    /// How long a file is kept after nothing names it any more.
    pub(crate) fn grace_ms(&self) -> u64 {
        self.grace_ms
    }

    /// Objects of epochs below this are not deleted: other directories may need them. 0 where there are none.
    pub(crate) fn kept_below(&self) -> u64 {
        let kept_below = self.standing.lock().kept_below;
        if kept_below > self.released_below { kept_below } else { 0 }
    }

    /// The epoch that took the store over from this opening.
    pub(crate) fn fenced_by(&self) -> Option<u64> {
        Some(self.fenced_by.load(Ordering::Acquire)).filter(|epoch| *epoch > 0)
    }

    /// `Fenced` if another opening has taken the store over. Whoever does puts exactly the next epoch.
    pub(crate) fn check(&self) -> Result<()> {
        if self.fenced_by().is_none() && !self.bucket.exists(&owner_path(self.epoch + 1))? {
            return Ok(());
        }
        Err(self.fence())
    }

    /// As [`Self::check`], now and then; a store that does not answer is asked again.
    pub(crate) fn look(&self) {
        let now = self.clock.monotonic();
        {
            let mut looked = self.looked.lock();
            if now.saturating_sub(*looked) < LOOK_EVERY {
                return;
            }
            *looked = now;
        }
        // Whoever needs the store next hears of it.
        let _ = self.check();
    }

    /// Before objects are deleted: `Fenced` as [`Self::check`], and owners of earlier epochs that are still alive are taken
    /// note of, for [`Self::kept_below`].
    pub(crate) fn check_alone(&self) -> Result<()> {
        let look = look(&self.bucket)?;
        if look.newest > self.epoch || self.fenced_by().is_some() {
            return Err(self.fence());
        }
        let highest = look.objections.iter().filter(|epoch| **epoch < self.epoch).max();
        let Some(kept_below) = highest.map(|epoch| epoch + 1) else { return Ok(()) };
        let mut standing = self.standing.lock();
        if kept_below <= standing.kept_below || kept_below <= self.released_below {
            return Ok(());
        }
        standing.kept_below = kept_below;
        self.directory.note(&standing)?;
        drop(standing);
        self.tell_kept(&format!("its opening of epoch {} was still running when this one began", kept_below - 1));
        Ok(())
    }

    /// Tells once, in events and in the store, that another epoch has come.
    fn fence(&self) -> Error {
        let by = self.epoch + 1;
        let message = format!(
            "{} was taken over by another opening of a copy of this data directory (epoch {by}, after {} of this one): \
             segments are no longer written or deleted, and the log is no longer trimmed. End one of the two; to go on with \
             this directory, restart it",
            self.bucket.url(),
            self.epoch
        );
        if self.fenced_by.swap(by, Ordering::AcqRel) == 0 {
            self.events.push("segment_store_fenced", message.clone());
        }
        if !self.objected.load(Ordering::Acquire) {
            match self.bucket.put(&objection_path(self.epoch), self.directory.identity.clone()) {
                Ok(()) => self.objected.store(true, Ordering::Release),
                Err(error) => tracing::warn!(%error, "the next owner of the segment store could not be told"),
            }
        }
        Error::Fenced(message)
    }

    fn tell_kept(&self, why: &str) {
        let kept_below = self.kept_below();
        if kept_below == 0 {
            return;
        }
        let url = self.bucket.url();
        self.events.push(
            "segment_store_contested",
            format!(
                "another copy of this data directory may use {url}: {why}. Its segments are safe: objects of epochs below \
                 {kept_below} stay there though nothing here needs them. Once no other copy is in use, set \
                 segment_release_epoch to {kept_below}"
            ),
        );
    }
}

/// The machine's name, as far as it tells; only for people.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

fn check_directory(
    bucket: &Bucket,
    directory: &Directory,
    before: Option<&Owner>,
    known: Option<&Standing>,
) -> Result<()> {
    let url = bucket.url();
    match (before, known) {
        (Some(owner), _) if owner.directory != directory.identity => Err(Error::FailedPrecondition(format!(
            "{url} holds the segments of another data directory; choose a prefix of its own for each"
        ))),
        (None, Some(known)) if known.epoch > 0 => Err(Error::FailedPrecondition(format!(
            "{url} does not hold the segments of this data directory, which has written to such a store before: check \
             bucket and prefix, or restore what was in {OWNERS}/ and beside it"
        ))),
        _ => Ok(()),
    }
}

/// How the directory stands at this opening, with the nonce for it; and why others may need what it finds, if so.
fn stand(
    directory: &Directory,
    known: Option<&Standing>,
    look: &Look,
    before: Option<&Owner>,
) -> Result<(Standing, Option<String>)> {
    let none = Standing::default();
    let known = known.unwrap_or(&none);
    let owner = before.filter(|_| look.newest > 0);
    let is_ours = owner.is_none_or(|owner| known.nonces.contains(&owner.nonce));
    let was_copied = !known.made.is_empty() && known.made != directory.made;
    let why = if let Some(owner) = owner.filter(|_| !is_ours) {
        Some(format!("it was opened last on {:?} as epoch {}, and not from here", owner.host, look.newest))
    } else if was_copied {
        Some("this directory is a copy, or was moved or restored, since it was last opened".to_owned())
    } else {
        None
    };
    let mut nonces: Vec<String> = owner.filter(|_| is_ours).map(|owner| owner.nonce.clone()).into_iter().collect();
    nonces.push(draw()?);
    let standing = Standing {
        epoch: if is_ours { look.newest } else { known.epoch },
        nonces,
        kept_below: if why.is_some() { look.newest + 1 } else { known.kept_below },
        made: directory.made.clone(),
    };
    Ok((standing, why))
}
