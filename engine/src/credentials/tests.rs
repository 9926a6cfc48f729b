//! Who is let in.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::identities::{AccessKeyInfo, Identities, IdentityChange, Rights, Scope, TokenInfo, UserInfo, UserOptions};
use crate::model::Lsn;
use crate::platform::ManualClock;
use crate::platform::disk::SimDisk;

pub(super) struct Gate {
    pub(super) access: Access,
    pub(super) authenticator: Authenticator,
    clock: Arc<ManualClock>,
    disk: Arc<dyn Disk>,
}

const FROM: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)));

pub(super) fn gate() -> Gate {
    let clock = Arc::new(ManualClock::new(1_000_000_000_000));
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(1));
    disk.create_dir("d".as_ref()).unwrap();
    let events = Arc::new(Events::new(clock.clone()));
    let authenticator = Authenticator::open("d".as_ref(), &disk, clock.clone(), events).unwrap();
    let access = Access::new(clock.clone(), Identities::default());
    let user = UserInfo {
        name: Arc::from("ann"),
        options: UserOptions::default(),
        password: Some(hashed("correct horse").unwrap()),
        password_set: Lsn(3),
        created_us: 0,
        created: Lsn(3),
    };
    access.apply([&IdentityChange::UserCreated { user, grants: vec![(Scope::SERVER, Rights::ALL)] }]);
    Gate { access, authenticator, clock, disk }
}

impl Gate {
    pub(super) fn ask(&self, shown: Credentials<'_>) -> Result<Principal> {
        self.authenticator.authenticate(&self.access, Some(shown), FROM.into())
    }

    fn password(&self, user: &str, password: &str) -> Result<Principal> {
        self.ask(Credentials::Password { user, password })
    }

    fn token(&self, name: &str, expires_us: Option<i64>) -> String {
        let (token, sha256) = new_token().unwrap();
        let info = TokenInfo { user: Arc::from("ann"), name: Arc::from(name), sha256, created_us: 0, expires_us };
        self.access.apply([&IdentityChange::TokenCreated(info)]);
        token
    }
}

pub(super) fn refused(asked: Result<Principal>) -> String {
    match asked {
        Err(Error::Unauthenticated(message)) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_holds_secrets_shows_none() {
    let gate = gate();
    gate.password("ann", "correct horse").unwrap();
    let token = gate.token("t", None);
    let sealed = gate.authenticator.seal.sealed("key", "the secret of a key").unwrap();
    let key = AccessKeyInfo { id: Arc::from("key"), user: Arc::from("ann"), sealed, created_us: 0 };
    let made = IdentityChange::KeyCreated(key);
    gate.access.apply([&made]);
    let set =
        IdentityChange::PasswordSet { user: "ann".into(), password: Some(hashed("another one").unwrap()), set: Lsn(9) };
    let by_token = gate.ask(Credentials::Token(&token)).unwrap();
    let shown = [
        format!("{:?}", gate.authenticator),
        format!("{:?}", gate.access),
        format!("{made:?} {set:?} {by_token:?}"),
        format!("{:?}", Credentials::Password { user: "ann", password: "correct horse" }),
        format!("{:?}", Credentials::Token(&token)),
    ];
    for secret in ["correct horse", "another one", &token, "the secret of a key", "$argon2"] {
        assert!(shown.iter().all(|shown| !shown.contains(secret)), "{secret}: {shown:?}");
    }
    assert!(shown.iter().any(|shown| shown.contains("ann")), "they show something: {shown:?}");
}

#[test]
fn passwords() {
    let gate = gate();
    assert_eq!(gate.password("ann", "correct horse").unwrap().name(), "ann");
    // Remembered now.
    assert_eq!(gate.password("ann", "correct horse").unwrap().name(), "ann");
    let wrong = refused(gate.password("ann", "correct horsf"));
    assert_eq!(refused(gate.password("nobody", "correct horse")), wrong, "who there is shows in no message");
    refused(gate.password("ann", ""));
    refused(gate.authenticator.authenticate(&gate.access, None, FROM.into()));
    let another = IdentityChange::PasswordSet {
        user: Arc::from("ann"),
        password: Some(hashed("another horse").unwrap()),
        set: Lsn(9),
    };
    gate.access.apply([&another]);
    refused(gate.password("ann", "correct horse"));
    gate.password("ann", "another horse").unwrap();
    for bad in ["short", &"x".repeat(1_025)] {
        assert!(matches!(hashed(bad), Err(Error::InvalidInput(_))));
    }
}

#[test]
fn tokens() {
    let gate = gate();
    let expires = gate.clock.wall_us() + 1_000_000;
    let (lasting, ending) = (gate.token("lasting", None), gate.token("ending", Some(expires)));
    for token in [&lasting, &ending] {
        assert_eq!(gate.ask(Credentials::Token(token)).unwrap().name(), "ann");
        gate.password("ann", token).unwrap();
    }
    refused(gate.password("bob", &lasting));
    refused(gate.ask(Credentials::Token(&format!("{lasting}x"))));
    let logged_in = gate.ask(Credentials::Token(&ending)).unwrap();
    gate.clock.advance(Duration::from_secs(2));
    refused(gate.ask(Credentials::Token(&ending)));
    assert!(gate.access.check_login(&logged_in).is_err(), "what was logged in by it ends with it");
    gate.ask(Credentials::Token(&lasting)).unwrap();
}

#[test]
fn signatures() {
    let gate = gate();
    let NewKey { id, secret } = new_key().unwrap();
    let sealed = gate.authenticator.seal.sealed(&id, &secret).unwrap();
    assert!(!sealed.0.windows(8).any(|part| secret.as_bytes().starts_with(part)));
    let info =
        AccessKeyInfo { id: Arc::from(id.as_str()), user: Arc::from("ann"), sealed: sealed.clone(), created_us: 1 };
    gate.access.apply([&IdentityChange::KeyCreated(info)]);
    for (algorithm, ring) in [
        (SignatureAlgorithm::HmacSha1, ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
        (SignatureAlgorithm::HmacSha256, ring::hmac::HMAC_SHA256),
    ] {
        let signature = ring::hmac::sign(&ring::hmac::Key::new(ring, secret.as_bytes()), b"what is sent");
        let shown = |signed| Credentials::Signature { key: &id, algorithm, signed, signature: signature.as_ref() };
        assert_eq!(gate.ask(shown(&[b"what is sent"])).unwrap().name(), "ann");
        refused(gate.ask(shown(&[b"what is sent?"])));
    }
    assert!(gate.authenticator.seal.opened("another", &sealed).is_none(), "it is sealed for its id");
    // Opened anew, the key is the same; another directory has another.
    let clock = gate.clock.clone();
    let events = Arc::new(Events::new(clock.clone()));
    let again = Authenticator::open("d".as_ref(), &gate.disk, clock, events).unwrap();
    assert_eq!(again.seal.opened(&id, &sealed).unwrap(), secret.as_bytes());
}

#[test]
fn certificates_and_claims() {
    let gate = gate();
    assert_eq!(gate.ask(Credentials::Certificate { name: "ann" }).unwrap().name(), "ann");
    let options = UserOptions { certificate: Some("CN of ann".to_owned()), ..UserOptions::default() };
    gate.access.apply([&IdentityChange::UserAltered { user: Arc::from("ann"), options }]);
    assert_eq!(gate.ask(Credentials::Certificate { name: "CN of ann" }).unwrap().name(), "ann");
    refused(gate.ask(Credentials::Certificate { name: "ann" }));
    let end = gate.clock.wall_us() + 1_000;
    let claims = Credentials::Claims { name: "x@y", roles: &["ops".to_owned()], expires_us: Some(end) };
    assert_eq!(gate.ask(claims).unwrap().name(), "x@y");
    gate.clock.advance(Duration::from_secs(1));
    refused(gate.ask(claims));
    // What they own would act with all rights.
    for name in ["system", "anonymous"] {
        refused(gate.ask(Credentials::Claims { name, roles: &[], expires_us: None }));
    }
}

#[test]
fn who_fails_often_waits() {
    let gate = gate();
    for _ in 0..6 {
        refused(gate.password("ann", "wrong password"));
    }
    let told = refused(gate.password("ann", "correct horse"));
    assert!(told.contains("too many"), "{told}");
    // Programs with tokens at the same address are none the worse for it, nor for one whose token has ended.
    let token = gate.token("t", None);
    (0..10).for_each(|_| drop(refused(gate.ask(Credentials::Token("mst_ended")))));
    gate.ask(Credentials::Token(&token)).unwrap();
    // Nor are others.
    let other = Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2)));
    let right = || Credentials::Password { user: "ann", password: "correct horse" };
    gate.authenticator.authenticate(&gate.access, Some(right()), other.into()).unwrap();
    gate.clock.advance(Duration::from_secs(10));
    gate.password("ann", "correct horse").unwrap();
    gate.password("ann", "correct horse").unwrap();
}

#[test]
fn what_is_kept_of_attempts_is_bounded() {
    let attempts = Attempts::default();
    fn by(user: &str, from: Option<IpAddr>) -> Attempt<'_> {
        Attempt { user, from, counts_for_all: true }
    }
    for number in 0..100_000_u32 {
        let from = IpAddr::V4(Ipv4Addr::from(number));
        attempts.failed(by(&number.to_string(), Some(from)), Duration::from_millis(number.into()));
    }
    assert!(attempts.kept() <= 10_003, "{}", attempts.kept());
    // Whoever goes on is not forgotten for it.
    let now = Duration::from_secs(200);
    (0..30).for_each(|_| drop(attempts.failed(by("ann", FROM), now)));
    (0..9_000).for_each(|number| drop(attempts.failed(by(&format!("n{number}"), FROM), now)));
    assert!(attempts.locked(by("another", FROM), now).is_some());
    let signed = Attempt { counts_for_all: false, ..by("another", FROM) };
    assert!(attempts.locked(signed, now).is_none(), "other keys of the address");
}

#[test]
fn mutated_credentials_panic_nowhere() {
    let gate = gate();
    let token = gate.token("t", None);
    let bytes = token.as_bytes();
    for at in 0..bytes.len() {
        for byte in [0, b'x', 0xff] {
            let mut mutated = bytes.to_vec();
            mutated[at] = byte;
            let text = String::from_utf8_lossy(&mutated);
            if text != token {
                gate.clock.advance(Duration::from_mins(31));
                refused(gate.ask(Credentials::Token(&text)));
            }
        }
    }
}
