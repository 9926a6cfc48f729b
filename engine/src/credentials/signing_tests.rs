//! Signatures by access keys: what they are, and that a key ends with the change that ends it.

use std::sync::Arc;

use super::secrets::new_key;
use super::signing::{Keyed, SignatureAlgorithm};
use super::tests::{Gate, gate, refused};
use super::*;
use crate::identities::{AccessKeyInfo, IdentityChange, Rights, Scope, UserInfo, UserOptions};
use crate::model::Lsn;

fn bytes(digits: &str) -> Vec<u8> {
    (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
}

/// Test cases 1 to 4, 6 and 7 of RFC 2202 (HMAC-SHA-1) and RFC 4231 (HMAC-SHA-256), whose keys and data differ in the last two only.
#[test]
fn signatures_are_those_of_the_rfcs() {
    let counted: Vec<u8> = (1..=25).collect();
    let long = b"Test Using Larger Than Block-Size Key - Hash Key First".as_slice();
    let sha1: [(&[u8], &[u8], &str); 6] = [
        (&[0x0b; 20], b"Hi There", "b617318655057264e28bc0b6fb378c8ef146be00"),
        (b"Jefe", b"what do ya want for nothing?", "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"),
        (&[0xaa; 20], &[0xdd; 50], "125d7342b9ac11cd91a39af48aa17b4f63f175d3"),
        (&counted, &[0xcd; 50], "4c9007f4026250c6bc8414f9bf50c86c2d7235da"),
        (&[0xaa; 80], long, "aa4ae5e15272d00e95705637ce8a3b55ed402112"),
        (
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data",
            "e8e99d0f45237d786d6bbaa7965c7808bbff1a91",
        ),
    ];
    let sha256: [(&[u8], &[u8], &str); 6] = [
        (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (&[0xaa; 20], &[0xdd; 50], "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (&counted, &[0xcd; 50], "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"),
        (&[0xaa; 131], long, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"),
        (
            &[0xaa; 131],
            b"This is a test using a larger than block-size key and a larger than block-size data. The key needs to be \
              hashed before being used by the HMAC algorithm.",
            "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
        ),
    ];
    let of_both = [(SignatureAlgorithm::HmacSha1, sha1), (SignatureAlgorithm::HmacSha256, sha256)];
    for (algorithm, cases) in of_both {
        for (secret, signed, signature) in cases {
            let (keyed, signature) = (Keyed::new(secret).unwrap(), bytes(signature));
            assert!(keyed.verify(algorithm, &[signed], &signature), "{algorithm:?} {signature:?}");
            // In pieces it is the same, wherever it is cut; and a key serves again.
            for at in 0..=signed.len() {
                let (before, behind) = signed.split_at(at);
                assert!(keyed.verify(algorithm, &[before, &[], behind], &signature), "cut at {at}");
                assert!(before.is_empty() || !keyed.verify(algorithm, &[behind], &signature), "without {at}");
            }
            for at in 0..signature.len() {
                let mut wrong = signature.clone();
                wrong[at] ^= 1;
                assert!(!keyed.verify(algorithm, &[signed], &wrong));
            }
            assert!(!keyed.verify(algorithm, &[signed], &signature[1..]) && !keyed.verify(algorithm, &[signed], b""));
            assert!(!keyed.verify(algorithm, &[signed], &[&signature[..], &signature[..]].concat()));
        }
    }
}

const SIGNED: &[u8] = b"what is sent";

impl Gate {
    fn key(&self, id: &str, user: &str, secret: &str, created_us: i64) -> AccessKeyInfo {
        let sealed = self.authenticator.seal.sealed(id, secret).unwrap();
        AccessKeyInfo { id: Arc::from(id), user: Arc::from(user), sealed, created_us }
    }

    fn signed_by(&self, id: &str, secret: &str) -> Result<Principal> {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
        let signature = ring::hmac::sign(&key, SIGNED);
        let algorithm = SignatureAlgorithm::HmacSha1;
        self.ask(Credentials::Signature { key: id, algorithm, signed: &[SIGNED], signature: signature.as_ref() })
    }

    fn add_user(&self, name: &str, created: Lsn) {
        let options = UserOptions::default();
        let name = Arc::from(name);
        let user = UserInfo { name, options, password: None, password_set: created, created_us: 0, created };
        self.access.apply([&IdentityChange::UserCreated { user, grants: vec![(Scope::SERVER, Rights::ALL)] }]);
    }
}

#[test]
fn a_key_in_use_ends_with_the_change_that_ends_it() {
    let gate = gate();
    gate.access.apply([&IdentityChange::KeyCreated(gate.key("k", "ann", "first", 1))]);
    let by_first = gate.signed_by("k", "first").unwrap();
    gate.signed_by("k", "first").unwrap();
    gate.access.check_login(&by_first).unwrap();
    assert_eq!(gate.authenticator.signing.kept(), 1, "it is kept, or this test shows nothing");

    gate.access.apply([&IdentityChange::KeyRotated(gate.key("k", "ann", "second", 2))]);
    refused(gate.signed_by("k", "first"));
    assert!(gate.access.check_login(&by_first).is_err(), "what was logged in by it ends with it");
    let by_second = gate.signed_by("k", "second").unwrap();
    gate.access.check_login(&by_second).unwrap();
    refused(gate.signed_by("k", "first"));

    gate.access.apply([&IdentityChange::KeyDropped { id: Arc::from("k") }]);
    refused(gate.signed_by("k", "second"));
    assert!(gate.access.check_login(&by_second).is_err());
    assert_eq!(gate.authenticator.signing.kept(), 0, "the secret of a key that is gone is not kept for it");

    // Made anew for somebody else, at the same time by the clock, it is another one.
    gate.add_user("bob", Lsn(20));
    gate.access.apply([&IdentityChange::KeyCreated(gate.key("k", "bob", "third", 2))]);
    assert_eq!(gate.signed_by("k", "third").unwrap().name(), "bob");
    refused(gate.signed_by("k", "second"));

    let disabled = |disabled| IdentityChange::UserAltered {
        user: Arc::from("bob"),
        options: UserOptions { disabled, ..UserOptions::default() },
    };
    gate.access.apply([&disabled(true)]);
    assert!(gate.signed_by("k", "third").is_err());
    gate.access.apply([&disabled(false)]);
    gate.signed_by("k", "third").unwrap();
    // With a user his keys go; another of the same name, with a key of the same id, is somebody else.
    gate.access.apply([&IdentityChange::UserDropped { user: Arc::from("bob") }]);
    refused(gate.signed_by("k", "third"));
    gate.add_user("bob", Lsn(30));
    gate.access.apply([&IdentityChange::KeyCreated(gate.key("k", "bob", "fourth", 2))]);
    refused(gate.signed_by("k", "third"));
    gate.signed_by("k", "fourth").unwrap();
}

#[test]
fn keys_that_are_gone_are_not_kept() {
    let gate = gate();
    for number in 0..200 {
        let NewKey { id, secret } = new_key().unwrap();
        gate.access.apply([&IdentityChange::KeyCreated(gate.key(&id, "ann", &secret, number))]);
        gate.signed_by(&id, &secret).unwrap();
        // Nobody names it again.
        gate.access.apply([&IdentityChange::KeyDropped { id: Arc::from(id.as_str()) }]);
    }
    assert!(gate.authenticator.signing.kept() <= 16, "{}", gate.authenticator.signing.kept());
    for number in 0..200 {
        let id = format!("k{number}");
        gate.access.apply([&IdentityChange::KeyCreated(gate.key(&id, "ann", "secret", number))]);
        gate.signed_by(&id, "secret").unwrap();
    }
    assert!((200..=216).contains(&gate.authenticator.signing.kept()), "those that stand are kept");
}
