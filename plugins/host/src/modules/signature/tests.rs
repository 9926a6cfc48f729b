use super::*;

const MODULE: &[u8] = b"\0asm\x0d\0\x01\0 and so on";

fn key(seed: u8) -> SigningKey {
    SigningKey::from_seed(&[seed; 32]).unwrap_or_else(|e| panic!("{e}"))
}

fn trust(keys: &[PublicKey]) -> Trust {
    Trust { keys: keys.to_vec(), ..Trust::default() }
}

fn sign(key: &SigningKey, module: &[u8]) -> Vec<u8> {
    key.sign(module, &Terms::default()).unwrap_or_else(|e| panic!("{e}"))
}

fn taken(module: &[u8], trust: &Trust) -> Result<()> {
    check_signature(module, trust, &IntendedUse { name: Some("late"), ..IntendedUse::default() })
}

fn refusal(module: &[u8], trust: &Trust) -> String {
    taken(module, trust).map(|()| panic!("it is taken")).unwrap_or_else(|e| e.to_string())
}

/// As signatures were before they had terms.
fn sign_bare(key: &SigningKey, module: &[u8]) -> Vec<u8> {
    let signature = key.pair.sign(&[BARE_CONTEXT, &digest(module)].concat());
    [module, BARE_HEADER, &key.public(), signature.as_ref()].concat()
}

#[test]
fn a_key_is_the_one_that_the_standard_says() {
    // RFC 8032, 7.1, test 1.
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let seed: Vec<u8> = (0..32).filter_map(|i| u8::from_str_radix(&seed[2 * i..2 * i + 2], 16).ok()).collect();
    let key = SigningKey::from_seed(&seed).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(hex(&key.public()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
    assert!(SigningKey::from_seed(&[1; 31]).is_err());
}

#[test]
fn signed_modules_are_taken_and_others_refused_with_the_reason() {
    let (ours, theirs) = (key(1), key(2));
    let trusted = trust(&[key(3).public(), ours.public()]);
    taken(MODULE, &trust(&[])).unwrap_or_else(|e| panic!("{e}"));
    taken(&sign(&ours, MODULE), &trusted).unwrap_or_else(|e| panic!("{e}"));
    taken(&sign_bare(&ours, MODULE), &trusted).unwrap_or_else(|e| panic!("{e}"));
    assert!(refusal(MODULE, &trusted).contains("is not signed"));
    assert!(refusal(b"", &trusted).contains("is not signed"));
    assert!(refusal(&sign(&theirs, MODULE), &trusted).contains(&hex(&theirs.public())));
    // Signing again replaces the signature, of either form.
    for before in [sign(&theirs, MODULE), sign_bare(&theirs, MODULE)] {
        assert_eq!(sign(&ours, &before), sign(&ours, MODULE));
    }
}

#[test]
fn a_change_of_any_byte_is_seen() {
    let trusted = trust(&[key(1).public()]);
    let terms = Terms { release: 7, name: Some("late".to_owned()), grants: Some(["clock".to_owned()].into()) };
    let with_terms = key(1).sign(MODULE, &terms).unwrap_or_else(|e| panic!("{e}"));
    for signed in [with_terms, sign(&key(1), MODULE), sign_bare(&key(1), MODULE)] {
        for at in 0..signed.len() {
            let mut changed = signed.clone();
            changed[at] ^= 0x01;
            refusal(&changed, &trusted);
            refusal(&signed[..at], &trusted);
        }
        refusal(&[&signed[..], b"more"].concat(), &trusted);
    }
    // Somebody else's signature under our key's name.
    let mut forged = sign(&key(2), MODULE);
    let key_at = forged.len() - 2 - SIGNATURE_BYTES - KEY_BYTES;
    forged[key_at..key_at + KEY_BYTES].copy_from_slice(&key(1).public());
    assert!(refusal(&forged, &trusted).contains("was changed"));
    // Terms of another module.
    let text = terms.text(&digest(b"another"));
    let signature = key(1).pair.sign(text.as_bytes());
    let length = u16::try_from(text.len()).unwrap_or_default().to_le_bytes();
    let moved = [MODULE, &header(text.len()), text.as_bytes(), &key(1).public(), signature.as_ref(), &length].concat();
    assert!(refusal(&moved, &trusted).contains("was changed"));
}

#[test]
fn a_signature_holds_for_its_terms_alone() {
    let trusted = trust(&[key(1).public()]);
    let sign = |terms: &Terms| key(1).sign(MODULE, terms).unwrap_or_else(|e| panic!("{e}"));
    let named = |name: &str| Terms { name: Some(name.to_owned()), ..Terms::default() };
    taken(&sign(&named("late")), &trusted).unwrap_or_else(|e| panic!("{e}"));
    assert!(refusal(&sign(&named("early")), &trusted).contains("is signed as \"early\", and not as \"late\""));
    let clock = IntendedUse { name: Some("late"), grants: ["clock".to_owned()].into() };
    let none = sign(&Terms { grants: Some([].into()), ..Terms::default() });
    let refused = check_signature(&none, &trusted, &clock).map_err(|e| e.to_string());
    assert!(refused.as_ref().is_err_and(|e| e.contains("granted nothing, and not clock")), "{refused:?}");
    check_signature(&sign(&Terms::default()), &trusted, &clock).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn releases_below_the_least_are_not_taken_again() {
    let least = |name: &str, release| Trust {
        keys: vec![key(1).public()],
        least_releases: vec![("other".to_owned(), 100), (name.to_owned(), release)],
    };
    let old = key(1).sign(MODULE, &Terms { release: 6, ..Terms::default() }).unwrap_or_else(|e| panic!("{e}"));
    let new = key(1).sign(MODULE, &Terms { release: 7, ..Terms::default() }).unwrap_or_else(|e| panic!("{e}"));
    for name in ["late", "*"] {
        taken(&new, &least(name, 7)).unwrap_or_else(|e| panic!("{e}"));
        assert!(refusal(&old, &least(name, 7)).contains("is release 6"));
        assert!(refusal(&sign_bare(&key(1), MODULE), &least(name, 1)).contains("is release 0"));
    }
    taken(&old, &least("third", 7)).unwrap_or_else(|e| panic!("{e}"));
}

#[test]
fn mutated_signatures_are_refused() {
    let terms = Terms { release: 7, name: Some("late".to_owned()), grants: Some(["clock".to_owned()].into()) };
    let with_terms = key(1).sign(MODULE, &terms).unwrap_or_else(|e| panic!("{e}"));
    let trusted = trust(&[key(1).public()]);
    crate::fuzz::fuzz(&[with_terms, sign(&key(1), MODULE), sign_bare(&key(1), MODULE)], |module, changed| match taken(
        module, &trusted,
    ) {
        Ok(()) if changed => Err("it is taken".to_owned()),
        Err(e) if !changed => Err(e.to_string()),
        _ => Ok(()),
    });
}
