//! What is kept of much.

use std::net::IpAddr;

use super::*;
use crate::identities::{Identities, IdentityChange, UserInfo, UserOptions};
use crate::model::Lsn;
use crate::platform::ManualClock;

fn audit(reads: bool) -> (Audit, Access, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new(1_000_000));
    let audit = Audit::new(AuditOptions { reads, ..AuditOptions::default() }, clock.clone());
    audit.is_on.store(true, Ordering::Release);
    let access = Access::new(clock.clone(), Identities::default());
    let user = UserInfo {
        name: Arc::from("ann"),
        options: UserOptions::default(),
        password: None,
        password_set: Lsn(0),
        created_us: 0,
        created: Lsn(1),
    };
    access.apply([&IdentityChange::UserCreated { user, grants: Vec::new() }]);
    (audit, access, clock)
}

fn told(audit: &Audit) -> Vec<AuditLine> {
    audit.waiting.take().0
}

fn attempt(audit: &Audit, access: &Access, user: &str, number: u32) {
    let from = CallerAddress { ip: Some(IpAddr::V4(number.into())), door: "http" };
    let shown = Credentials::Password { user, password: "a secret" };
    audit.logged_in(access, Some(shown), from, &Err(Error::Unauthenticated("wrong".to_owned())));
}

#[test]
fn attempts_without_end_are_counted_and_fill_nothing() {
    let (audit, access, clock) = audit(false);
    for number in 0..50_000 {
        attempt(&audit, &access, &format!("invented {number}"), 7);
        attempt(&audit, &access, "ann", number);
    }
    let lines = told(&audit);
    assert_eq!(lines.len(), 256 + 1, "so many kinds of them a minute, and how many more there were");
    assert_eq!((lines[0].principal.as_deref(), lines[1].principal.as_deref()), (None, Some("ann")));
    let last = lines.last().unwrap();
    assert_eq!((last.deed.action, last.deed.detail.as_str()), ("lost", "49745 lines were too many and are not kept"));
    assert_eq!(audit.lost(), 49_745);
    clock.advance(std::time::Duration::from_secs(60));
    let lines = told(&audit);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0].deed.detail, "wrong; and 49999 more like it within a minute");
    assert!(lines.iter().all(|line| !format!("{line:?}").contains("a secret")));
}

#[test]
fn lines_alike_are_one_a_minute() {
    let (audit, access, clock) = audit(true);
    let ann = Principal::named("ann");
    let refused = || Err(Error::PermissionDenied("no".to_owned()));
    let of = |name| Object::unowned(crate::access::ObjectKind::Table, "n", name);
    for _ in 0..3 {
        audit.checked(&access, &ann, Action::Produce, &of("t"), &refused());
        audit.checked(&access, &ann, Action::Produce, &of("u"), &refused());
        audit.checked(&access, &ann, Action::See, &of("t"), &refused());
        audit.checked(&access, &ann, Action::Read, &of("t"), &Ok(()));
        audit.checked(&access, &ann, Action::Produce, &of("t"), &Ok(()));
    }
    let shown = |lines: Vec<AuditLine>| -> Vec<String> {
        let line = |line: AuditLine| {
            format!("{} {} {:?} {}", line.deed.action, line.deed.name, line.outcome, line.deed.detail)
        };
        lines.into_iter().map(line).collect()
    };
    assert_eq!(
        shown(told(&audit)),
        [
            "produce t Refused it needs PRODUCE on TABLE n.t",
            "produce u Refused it needs PRODUCE on TABLE n.u",
            "read t Done ",
        ]
    );
    clock.advance(std::time::Duration::from_secs(61));
    let mut later = shown(told(&audit));
    later.sort_unstable();
    assert_eq!(
        later,
        [
            "produce t Refused it needs PRODUCE on TABLE n.t; and 2 more like it within a minute",
            "produce u Refused it needs PRODUCE on TABLE n.u; and 2 more like it within a minute",
        ]
    );
}
