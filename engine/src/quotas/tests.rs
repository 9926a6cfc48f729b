use std::sync::Arc;
use std::time::Duration;

use super::{ConnectionPlaces, IN, Quota, Quotas, REQUESTS};
use crate::model::{Error, ErrorKind, NamespaceLimit, NamespaceLimits, Principal};
use crate::platform::ManualClock;

fn limits(of: &[(NamespaceLimit, u64)]) -> NamespaceLimits {
    let mut limits = NamespaceLimits::default();
    of.iter().for_each(|(limit, value)| limits.set(*limit, Some(*value)));
    limits
}

fn of(set: &[(NamespaceLimit, u64)]) -> (Arc<ManualClock>, Quotas, [Option<Arc<Quota>>; 1]) {
    let clock = Arc::new(ManualClock::default());
    let quotas = Quotas::new(clock.clone());
    quotas.set_namespace("n", Some(&limits(set)));
    let quota = [quotas.namespace("n")];
    (clock, quotas, quota)
}

/// Takes whenever that is allowed, until the time is over; gives what was taken.
fn taken(clock: &ManualClock, quotas: &Quotas, quota: &[Option<Arc<Quota>>], amount: u64, time: Duration) -> u64 {
    let (mut left, mut taken) = (time, 0);
    loop {
        match quotas.pause(quota, &IN) {
            None => {
                quotas.take(quota, &[(NamespaceLimit::BytesInPerSecond, amount)]);
                taken += amount;
            }
            Some(pause) if pause > left => return taken,
            Some(pause) => {
                // The clock of the tests knows no less than a microsecond.
                let pause = pause.max(Duration::from_micros(1));
                left -= pause.min(left);
                clock.advance(pause);
            }
        }
    }
}

#[test]
fn over_time_no_more_passes_than_the_rate_and_no_less() {
    for amount in [11, 1_000, 30_000] {
        let (clock, quotas, quota) = of(&[(NamespaceLimit::BytesInPerSecond, 1_000)]);
        let taken = taken(&clock, &quotas, &quota, amount, Duration::from_secs(600));
        assert!((570_000..=630_000 + amount).contains(&taken), "{taken} bytes in pieces of {amount} in 600 s");
        assert!(quotas.throttled()[0] > 0);
    }
}

#[test]
fn what_is_larger_than_a_second_goes_and_is_paid_afterwards() {
    let (clock, quotas, quota) = of(&[(NamespaceLimit::BytesInPerSecond, 1_000)]);
    quotas.take(&quota, &[(NamespaceLimit::BytesInPerSecond, 11_000)]);
    assert_eq!(quotas.pause(&quota, &IN), Some(Duration::from_secs(10)));
    let error = quotas.check(&quota, &IN).unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Throttled, Some(Duration::from_secs(10))));
    assert!(error.to_string().starts_with("namespace \"n\" is over its bytes_in_per_second"), "{error}");
    assert_eq!(quotas.pause(&quota, &REQUESTS), None, "that is another limit");
    clock.advance(Duration::from_secs(10));
    assert_eq!(quotas.pause(&quota, &IN), None);
}

#[test]
fn a_limit_that_is_changed_or_taken_away_is_found_by_who_waits() {
    let (clock, quotas, quota) = of(&[(NamespaceLimit::BytesInPerSecond, 1_000)]);
    quotas.take(&quota, &[(NamespaceLimit::BytesInPerSecond, 101_000)]);
    clock.advance(Duration::from_secs(50));
    assert_eq!(quotas.pause(&quota, &IN), Some(Duration::from_secs(50)));
    quotas.set_namespace("n", Some(&limits(&[(NamespaceLimit::BytesInPerSecond, 50_000)])));
    assert_eq!(quotas.pause(&quota, &IN), Some(Duration::from_secs(1)), "what was taken is still owed");
    // Who holds the limits of before sees that there are none; who asks anew finds nothing.
    quotas.set_namespace("n", Some(&limits(&[(NamespaceLimit::Topics, 1)])));
    assert_eq!(quotas.pause(&quota, &IN), None);
    quotas.set_namespace("n", None);
    assert!(quotas.namespace("n").is_none());
}

#[test]
fn both_of_a_namespace_and_a_user_hold_and_the_longest_is_told() {
    let (_, quotas, quota) = of(&[(NamespaceLimit::BytesInPerSecond, 1_000)]);
    quotas.set_user("ann", Some(&limits(&[(NamespaceLimit::RowsInPerSecond, 1)])));
    let both = [quota[0].clone(), quotas.user(&Principal::named("ann"))];
    quotas.take(&both, &[(NamespaceLimit::BytesInPerSecond, 3_000), (NamespaceLimit::RowsInPerSecond, 10)]);
    match quotas.check(&both, &IN) {
        Err(Error::OverQuota { whose, limit, left }) => {
            assert_eq!((whose.as_str(), limit), ("user \"ann\"", NamespaceLimit::RowsInPerSecond));
            assert_eq!(left, Some(Duration::from_secs(9)));
        }
        other => panic!("{other:?}"),
    }
    assert!(quotas.user(&Principal::system()).is_none());
}

#[test]
fn the_last_full_second_is_what_is_in_use() {
    let (clock, quotas, quota) = of(&[(NamespaceLimit::RowsInPerSecond, 10)]);
    let used = || quotas.infos(quota[0].as_ref().unwrap(), |_| None)[0].used;
    quotas.take(&quota, &[(NamespaceLimit::RowsInPerSecond, 4)]);
    assert_eq!(used(), Some(0));
    clock.advance(Duration::from_secs(1));
    assert_eq!(used(), Some(4));
    clock.advance(Duration::from_secs(1));
    assert_eq!(used(), Some(0));
}

#[test]
fn nothing_is_kept_of_those_without_limits() {
    let quotas = Quotas::new(Arc::new(ManualClock::default()));
    let none = limits(&[(NamespaceLimit::PluginCount, 1), (NamespaceLimit::Topics, NamespaceLimits::UNLIMITED)]);
    for n in 0..10_000 {
        quotas.set_user(&format!("u{n}"), Some(&none));
        quotas.set_namespace(&format!("n{n}"), Some(&none));
    }
    assert_eq!(quotas.known(), 0);
    for n in 0..100 {
        quotas.set_user(&format!("u{n}"), Some(&limits(&[(NamespaceLimit::Connections, 1)])));
    }
    assert_eq!(quotas.known(), 100);
    (0..100).for_each(|n| quotas.set_user(&format!("u{n}"), None));
    assert_eq!(quotas.known(), 0);
}

#[test]
fn a_connection_counts_once_until_it_ends() {
    let quotas = Quotas::new(Arc::new(ManualClock::default()));
    let one = limits(&[(NamespaceLimit::Connections, 1)]);
    quotas.set_user("ann", Some(&one));
    let (ann, bob) = (Principal::named("ann"), Principal::named("bob"));
    let (first, second) = (ConnectionPlaces::default(), ConnectionPlaces::default());
    for _ in 0..3 {
        quotas.connect(&ann, &first).unwrap();
        quotas.connect(&bob, &second).unwrap();
    }
    let refused = quotas.connect(&ann, &second).unwrap_err();
    assert_eq!((refused.kind(), refused.retry_after()), (ErrorKind::Throttled, None), "{refused}");
    drop(first);
    quotas.connect(&ann, &second).unwrap();
    // Limits that were gone for a while count those anew that are there.
    quotas.set_user("ann", None);
    quotas.set_user("ann", Some(&one));
    quotas.connect(&ann, &second).unwrap();
    assert!(quotas.connect(&ann, &ConnectionPlaces::default()).is_err());
    drop(second);
    quotas.connect(&ann, &ConnectionPlaces::default()).unwrap();
}

#[test]
fn what_tables_hold_is_asked_for_once_a_second_and_counted_between() {
    let (clock, quotas, quota) = of(&[(NamespaceLimit::RetainedBytes, 100)]);
    let quota = quota[0].as_ref().unwrap();
    quotas.check_retained(quota, || 60).unwrap();
    quotas.appended(quota, 50);
    let full = quotas.check_retained(quota, || unreachable!("it is known")).unwrap_err();
    assert!(matches!(full, Error::NamespaceFull { held: 110, limit: 100, .. }), "{full}");
    assert_eq!(full.kind(), ErrorKind::ResourceExhausted);
    clock.advance(Duration::from_secs(1));
    quotas.check_retained(quota, || 99).unwrap();
}
