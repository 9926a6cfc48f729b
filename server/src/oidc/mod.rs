//! Tokens of an OpenID Connect provider (JWTs): who shows one is whom its claims name, with the roles that they name.
//!
//! The provider's keys are read from a file or its address, and read again by and by; a token that was signed by one that is not among
//! them has them asked for at once. What a token was found to say is remembered until the keys change, for RocketMQ's clients show it with
//! each request.

mod claims;
mod keys;
mod known;
mod ring_provider;
mod settings;
mod source;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::watch;

pub(crate) use claims::Identity;
use claims::Unverified;
use keys::Keys;
use known::Known;
pub use settings::OidcSettings;
use source::Source;

use crate::net::stop::Stop;

/// No token is longer.
const MAX_TOKEN_BYTES: usize = 16 << 10;
/// Keys are asked for no more often, whoever shows what.
const PAUSE: Duration = Duration::from_secs(10);
/// How long a caller waits for keys that may have changed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A provider as a server has it; shared by its doors.
#[derive(Debug)]
pub(crate) struct Oidc {
    settings: OidcSettings,
    source: Source,
    current: RwLock<Arc<Current>>,
    /// When keys were asked for last, and whether somebody wants them again.
    asked: Mutex<Option<Instant>>,
    wanted: tokio::sync::Notify,
    /// Counts the answers, good or bad.
    answers: watch::Sender<u64>,
}

/// Keys, and what was found by them: what is found by old ones while they change goes with them.
#[derive(Debug, Default)]
struct Current {
    keys: Keys,
    known: Known,
}

/// Whether a text may be such a token: no password or token of ours looks like it.
pub(crate) fn is_jwt(text: &str) -> bool {
    text.starts_with("eyJ") && text.bytes().filter(|byte| *byte == b'.').count() == 2
}

impl Oidc {
    /// `None` where no provider is set. The error says which setting is wrong.
    pub(crate) fn open(settings: &OidcSettings) -> Result<Option<Arc<Oidc>>, String> {
        if !settings.is_on() {
            return Ok(None);
        }
        settings.check()?;
        ring_provider::install();
        let source = Source::new(settings)?;
        Ok(Some(Arc::new(Oidc {
            settings: settings.clone(),
            source,
            current: RwLock::default(),
            asked: Mutex::default(),
            wanted: tokio::sync::Notify::new(),
            answers: watch::Sender::new(0),
        })))
    }

    /// Whom a token names, if it was signed by the provider, for us, and has not expired. The error says why not, and nothing of the
    /// token itself.
    pub(crate) fn verify(&self, token: &str) -> Result<Arc<Identity>, String> {
        self.checked(token).map_err(|unverified| {
            if matches!(unverified, Unverified::UnknownKey) {
                self.wanted.notify_one();
            }
            unverified.to_string()
        })
    }

    /// The same; keys that may have changed are waited for.
    pub(crate) async fn verify_patiently(&self, token: &str) -> Result<Arc<Identity>, String> {
        let mut answers = self.answers.subscribe();
        if matches!(self.checked(token), Err(Unverified::UnknownKey)) && self.may_ask() {
            self.wanted.notify_one();
            drop(tokio::time::timeout(PATIENCE, answers.changed()).await);
        }
        self.verify(token)
    }

    fn checked(&self, token: &str) -> Result<Arc<Identity>, Unverified> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(Unverified::Wrong(format!("it has more than {MAX_TOKEN_BYTES} bytes")));
        }
        let current = self.current();
        if let Some(identity) = current.known.get(token) {
            return Ok(identity);
        }
        let identity = Arc::new(claims::verify(token, &current.keys, &self.settings)?);
        current.known.put(token, &identity);
        Ok(identity)
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn may_ask(&self) -> bool {
        let asked = *self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.is_none_or(|asked| asked.elapsed() >= PAUSE)
    }

    /// Keeps the keys until the server stops. `tell` hears of a source that fails or changes, once each.
    pub(crate) async fn keep(self: Arc<Self>, stop: Stop, tell: impl Fn(&'static str, String)) {
        let mut failing = false;
        loop {
            *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
            let read = tokio::select! {
                () = stop.stopped() => return,
                read = self.source.read() => read,
            };
            let period = match read.and_then(|bytes| Keys::read(&bytes)) {
                Ok(keys) => {
                    failing = false;
                    if let Some(told) = self.take(keys) {
                        tell("oidc_keys_changed", told);
                    }
                    self.source.period()
                }
                Err(why) => {
                    if !std::mem::replace(&mut failing, true) {
                        let count = self.current().keys.len();
                        let message =
                            format!("the keys of {} can't be read, and {count} go on: {why}", self.settings.issuer);
                        tracing::warn!("{message}");
                        tell("oidc_keys_refused", message);
                    }
                    PAUSE
                }
            };
            self.answers.send_modify(|answers| *answers = answers.wrapping_add(1));
            let pause = async {
                tokio::time::sleep(PAUSE.min(period)).await;
                drop(tokio::time::timeout(period.saturating_sub(PAUSE), self.wanted.notified()).await);
            };
            tokio::select! {
                () = stop.stopped() => return,
                () = pause => {}
            }
        }
    }

    /// Takes keys that differ from those that are there; says which.
    fn take(&self, keys: Keys) -> Option<String> {
        if self.current().keys == keys {
            return None;
        }
        let told = format!("{} has these keys now: {keys}", self.settings.issuer);
        let current = Current { keys, known: Known::default() };
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(current);
        Some(told)
    }
}
