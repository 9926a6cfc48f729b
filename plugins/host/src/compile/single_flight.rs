//! Which modules are compiled now: each once, however many ask for it, and those of all namespaces in turn.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use millstream_engine::{Error, MAX_MODULE_BYTES, Result};
use parking_lot::{Condvar, Mutex};

use crate::modules::Digest;
use crate::tenants::{Tenant, Turns};

/// The compiler's memory grows with the module. Modules of so many bytes are compiled at once, the largest one alone.
const BYTES_AT_ONCE: usize = MAX_MODULE_BYTES;

/// What turns are weighed in.
const UNIT: usize = 1 << 20;

/// Each takes a core.
const MOST_AT_ONCE: usize = 4;

/// Compilations under way, of what they give.
#[derive(Debug)]
pub(crate) struct SingleFlight<T> {
    turns: Arc<Turns>,
    /// The least that a compilation weighs, so that no more run at once than there are cores for.
    least: usize,
    under_way: Mutex<HashMap<Digest, Arc<UnderWay<T>>>>,
}

#[derive(Debug)]
struct UnderWay<T> {
    /// What was compiled, or why it was not.
    outcome: Mutex<Option<Result<T>>>,
    done: Condvar,
}

impl<T: Clone> SingleFlight<T> {
    /// On a machine of so many cores.
    pub(crate) fn new(cores: usize) -> SingleFlight<T> {
        let units = BYTES_AT_ONCE / UNIT;
        let least = units / cores.clamp(2, MOST_AT_ONCE);
        SingleFlight { turns: Turns::new(units), least, under_way: Mutex::default() }
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// What a module of so many bytes is compiled to: by `known`, where it has been done meanwhile, by whoever does it already, or
    /// by `compile` on this thread, once it is the turn of the namespace. Waits no longer than `until`.
    pub(crate) fn once(
        &self,
        (module, bytes): (&Digest, usize),
        tenant: &Tenant,
        until: Instant,
        known: impl Fn() -> Option<T>,
        compile: impl FnOnce() -> Result<T>,
    ) -> Result<T> {
        let busy =
            || Error::Busy("other modules are compiled, and it is not the turn of this one; try again".to_owned());
        let find = || self.under_way.lock().get(module).cloned();
        if let Some(other) = find() {
            return other.wait(until).unwrap_or_else(|| Err(busy()));
        }
        let weight = bytes.div_ceil(UNIT).max(self.least);
        // Nobody else's wait for his turn is waited for: whoever has his first does it.
        let turn = self.turns.wait(&tenant.compiling, weight, until).map_err(|_| busy())?;
        let own = {
            let mut all = self.under_way.lock();
            if let Some(other) = all.get(module).cloned() {
                drop((all, turn));
                return other.wait(until).unwrap_or_else(|| Err(busy()));
            }
            let own = Arc::new(UnderWay { outcome: Mutex::new(None), done: Condvar::new() });
            all.insert(*module, own.clone());
            own
        };
        let begun = Begun { all: self, module: *module, own };
        // It may have been done between the look before and the turn.
        let compiled = known().map_or_else(compile, Ok);
        *begun.own.outcome.lock() = Some(compiled.clone());
        compiled
    }
}

impl<T: Clone> UnderWay<T> {
    fn wait(&self, until: Instant) -> Option<Result<T>> {
        let mut outcome = self.outcome.lock();
        while outcome.is_none() && !self.done.wait_until(&mut outcome, until).timed_out() {}
        outcome.clone()
    }
}

/// A compilation of ours, which ends whatever happens.
struct Begun<'a, T: Clone> {
    all: &'a SingleFlight<T>,
    module: Digest,
    own: Arc<UnderWay<T>>,
}

impl<T: Clone> Drop for Begun<'_, T> {
    fn drop(&mut self) {
        self.all.under_way.lock().remove(&self.module);
        self.own
            .outcome
            .lock()
            .get_or_insert_with(|| Err(Error::Internal("the module's compilation was broken off".to_owned())));
        self.own.done.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::sync_channel;
    use std::thread;
    use std::time::Duration;

    use super::*;
    use crate::tenants::Tenants;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn until(condition: impl Fn() -> bool) {
        let patience = soon();
        while !condition() {
            assert!(Instant::now() < patience, "what was waited for did not come");
            thread::yield_now();
        }
    }

    fn digest(n: u8) -> Digest {
        [n; 32]
    }

    #[test]
    fn a_module_that_many_ask_for_is_compiled_once() {
        let (all, tenants, compiled) = (SingleFlight::new(4), Tenants::new(), AtomicUsize::new(0));
        let (hold, held) = sync_channel::<()>(0);
        let held = Mutex::new(held);
        thread::scope(|scope| {
            let asked: Vec<_> = (0..8)
                .map(|n| {
                    let (all, tenants, compiled, held) = (&all, &tenants, &compiled, &held);
                    scope.spawn(move || {
                        let tenant = tenants.get(&format!("n{n}"));
                        all.once(
                            (&digest(1), 1),
                            &tenant,
                            soon(),
                            || None,
                            || {
                                compiled.fetch_add(1, Ordering::SeqCst);
                                held.lock().recv().expect("leave");
                                Ok(7)
                            },
                        )
                    })
                })
                .collect();
            // All others wait for the one.
            until(|| all.under_way.lock().get(&digest(1)).is_some_and(|one| Arc::strong_count(one) == 9));
            hold.send(()).expect("one compiles");
            assert!(asked.into_iter().all(|asked| asked.join().expect("no panic").is_ok_and(|found| found == 7)));
        });
        assert_eq!(compiled.into_inner(), 1);
        assert!(all.under_way.lock().is_empty());
    }

    #[test]
    fn a_namespace_compiles_while_another_has_much_to_compile() {
        let (all, tenants) = (SingleFlight::new(2), Tenants::new());
        let (noisy, quiet) = (tenants.get("noisy"), tenants.get("quiet"));
        let (hold, held) = sync_channel::<()>(0);
        let held = Mutex::new(held);
        thread::scope(|scope| {
            for n in 0..4 {
                let (all, noisy, held) = (&all, &noisy, &held);
                scope.spawn(move || {
                    let hold = || held.lock().recv().map(|()| n).map_err(|e| Error::Internal(e.to_string()));
                    all.once((&digest(n), BYTES_AT_ONCE / 3), noisy, soon(), || None, hold).expect("compiled");
                });
            }
            // One of them compiles, and the others wait.
            until(|| noisy.compiling.running() == 1 && noisy.compiling.waiting() == 3);
            let mine = all.once((&digest(9), 1), &quiet, soon(), || None, || Ok(9));
            assert_eq!(mine.ok(), Some(9));
            let late = all.once((&digest(8), 1), &noisy, Instant::now(), || None, || Ok(8));
            assert!(matches!(late, Err(Error::Busy(_))), "{late:?}");
            (0..4).for_each(|_| hold.send(()).expect("one compiles"));
        });
    }

    #[test]
    fn a_compilation_that_panics_or_fails_leaves_nobody_waiting() {
        let (all, tenants) = (SingleFlight::<u8>::new(2), Tenants::new());
        let tenant = tenants.get("a");
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = all.once((&digest(1), 1), &tenant, soon(), || None, || panic!("on purpose"));
        }));
        assert!(panicked.is_err() && all.under_way.lock().is_empty() && tenant.compiling.running() == 0);
        let failed = all.once((&digest(1), 1), &tenant, soon(), || None, || Err(Error::InvalidInput("no".to_owned())));
        assert!(matches!(failed, Err(Error::InvalidInput(why)) if why == "no"));
        let known = all.once((&digest(1), 1), &tenant, soon(), || Some(3), || panic!("it is known"));
        assert_eq!(known.ok(), Some(3));
    }
}
