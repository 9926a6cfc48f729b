//! New certificates, while the server runs. Connections that are there keep what they began with.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Tls;
use super::files::Stamps;
use super::loaded::Loaded;
use crate::net::stop::Stop;

/// How often the files are looked at.
const TICK: Duration = Duration::from_secs(1);
/// For how long before its end a certificate is worth a word.
const ENDS_SOON_S: u64 = 14 * 24 * 60 * 60;

/// What was seen of the files.
#[derive(Debug)]
pub(super) struct Seen {
    /// When they were read last, whatever came of it.
    read: Stamps,
    /// At the last look.
    last: Stamps,
    /// It was said that the certificate ends.
    told_end: bool,
}

impl Seen {
    pub(super) fn new(stamps: Stamps) -> Seen {
        Seen { read: stamps, last: stamps, told_end: false }
    }
}

/// What an operator is told.
pub(super) type Told = (&'static str, String);

impl Tls {
    /// Looks after the files until the server stops. `now_s` gives the seconds since 1970.
    pub(crate) async fn watch(
        self: Arc<Self>,
        stop: Stop,
        now_s: impl Fn() -> u64,
        tell: impl Fn(&'static str, String),
    ) {
        loop {
            let (this, now_s) = (Arc::clone(&self), now_s());
            // It reads files, which may lie far away.
            let told = tokio::task::spawn_blocking(move || this.look(now_s)).await;
            told.unwrap_or_default().into_iter().for_each(|(kind, message)| tell(kind, message));
            tokio::select! {
                () = stop.stopped() => return,
                () = tokio::time::sleep(TICK) => {}
            }
        }
    }

    /// Reads the files if they have changed, and not since the last look: certificate and key are two files, and the second one may
    /// still be on its way.
    pub(super) fn look(&self, now_s: u64) -> Vec<Told> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut told = Vec::new();
        let stamps = self.files.stamp();
        let is_settled = seen.last == stamps;
        seen.last = stamps;
        if stamps != seen.read && is_settled {
            seen.read = stamps;
            told.push(match Loaded::read(&self.files, &self.settings) {
                Ok(loaded) => {
                    let message = format!("a new certificate is shown from now on: {}", loaded.fingerprint);
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(loaded);
                    seen.told_end = false;
                    ("tls_certificate_changed", message)
                }
                Err(error) => {
                    let old = self.fingerprint();
                    let message = format!("the new TLS files can't be used, and {old} is shown on: {error}");
                    ("tls_certificate_refused", message)
                }
            });
        }
        if let Some(left) = self.current().holds_until.map(|until| until.saturating_sub(now_s))
            && left < ENDS_SOON_S
            && !seen.told_end
        {
            seen.told_end = true;
            let message = match left {
                0 => format!("the certificate {} holds no longer: clients refuse it", self.fingerprint()),
                left => format!("the certificate {} ends in {} hours", self.fingerprint(), left / 3_600),
            };
            told.push(("tls_certificate_ends", message));
        }
        told
    }
}
