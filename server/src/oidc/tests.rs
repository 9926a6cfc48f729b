use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as URL_SAFE;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};

use super::*;
use crate::fuzz::fuzz;

/// A provider with a key of each kind that can be made here; RSA's are those of real providers (`tests/e2e`).
struct Provider {
    edwards: Ed25519KeyPair,
    curve: EcdsaKeyPair,
}

impl Provider {
    fn new() -> Provider {
        let random = SystemRandom::new();
        let edwards = Ed25519KeyPair::generate_pkcs8(&random).unwrap();
        let curve = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
        Provider {
            edwards: Ed25519KeyPair::from_pkcs8(edwards.as_ref()).unwrap(),
            curve: EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, curve.as_ref(), &random).unwrap(),
        }
    }

    fn set(&self) -> Value {
        let point = self.curve.public_key().as_ref();
        let encode = |bytes: &[u8]| URL_SAFE.encode(bytes);
        json!({"keys": [
            {"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": encode(self.edwards.public_key().as_ref()), "use": "sig"},
            {"kty": "EC", "crv": "P-256", "kid": "c", "x": encode(&point[1..33]), "y": encode(&point[33..]), "alg": "ES256"},
            {"kty": "oct", "kid": "shared", "k": "c2VjcmV0"},
            {"kty": "EC", "crv": "P-256", "kid": "sealing", "x": encode(&point[1..33]), "y": encode(&point[33..]), "use": "enc"},
            {"kty": "of another time", "kid": "new"},
            "nonsense"]})
    }

    fn edwards(&self, header: &Value, claims: &Value) -> String {
        let (signed, key) = (signed(header, claims), &self.edwards);
        let signature = key.sign(signed.as_bytes());
        format!("{signed}.{}", URL_SAFE.encode(signature.as_ref()))
    }

    fn curve(&self, header: &Value, claims: &Value) -> String {
        let signed = signed(header, claims);
        let signature = self.curve.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", URL_SAFE.encode(signature.as_ref()))
    }

    fn token(&self, claims: &Value) -> String {
        self.edwards(&json!({"alg": "EdDSA", "kid": "e"}), claims)
    }
}

fn signed(header: &Value, claims: &Value) -> String {
    format!("{}.{}", URL_SAFE.encode(header.to_string()), URL_SAFE.encode(claims.to_string()))
}

fn settings() -> OidcSettings {
    OidcSettings {
        issuer: "https://id.example".to_owned(),
        audience: "millstream".to_owned(),
        ..OidcSettings::default()
    }
}

fn opened(settings: &OidcSettings, provider: &Provider) -> Arc<Oidc> {
    let oidc = Oidc::open(settings).unwrap().unwrap();
    assert!(oidc.take(Keys::read(provider.set().to_string().as_bytes()).unwrap()).is_some());
    oidc
}

fn in_seconds(seconds: i64) -> i64 {
    i64::try_from(jsonwebtoken::get_current_timestamp()).unwrap() + seconds
}

fn claims() -> Value {
    json!({"iss": "https://id.example", "aud": ["other", "millstream"], "sub": "ann", "exp": in_seconds(600),
        "roles": ["ops", "dev", "ops"], "realm_access": {"roles": ["deep"]}, "scope": "read write"})
}

fn with(name: &str, value: Value) -> Value {
    let mut all = claims();
    all[name] = value;
    all
}

fn without(name: &str) -> Value {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(name);
    all
}

#[test]
fn a_token_names_a_user_and_roles() {
    let provider = Provider::new();
    let oidc = opened(&settings(), &provider);
    let identity = oidc.verify(&provider.token(&claims())).unwrap();
    assert_eq!((identity.name.as_str(), &identity.roles[..]), ("oidc:ann", &["dev".to_owned(), "ops".to_owned()][..]));
    let left = identity.expires_us / 1_000_000 - in_seconds(600);
    assert!((50..=70).contains(&left), "its end, and a minute for clocks that differ: {left}");
    let by_curve = provider.curve(&json!({"alg": "ES256", "kid": "c"}), &claims());
    assert_eq!(oidc.verify(&by_curve).unwrap(), identity);
    // Where it names no key, there is but one of its algorithm.
    assert_eq!(oidc.verify(&provider.curve(&json!({"alg": "ES256"}), &claims())).unwrap(), identity);
    assert_eq!(oidc.verify(&provider.token(&with("aud", json!("millstream")))).unwrap(), identity);
    assert_eq!(oidc.verify(&provider.token(&without("roles"))).unwrap().roles, Vec::<String>::new());
}

#[test]
fn claims_are_found_and_roles_translated() {
    let provider = Provider::new();
    let of = |roles_claim: &str, roles: &[(&str, &str)]| {
        let roles = roles.iter().map(|(there, here)| ((*there).to_owned(), (*here).to_owned())).collect();
        let settings = OidcSettings { roles_claim: roles_claim.to_owned(), roles, ..settings() };
        opened(&settings, &provider).verify(&provider.token(&claims())).unwrap().roles.join(" ")
    };
    assert_eq!(of("realm_access.roles", &[]), "deep");
    assert_eq!(of("scope", &[]), "read write");
    assert_eq!(of("roles", &[("ops", "operators"), ("ops", "readers"), ("nobody", "x")]), "operators readers");
    assert_eq!(of("sub.roles", &[]), "");
    let named = OidcSettings { user_claim: "realm_access.name".to_owned(), user_prefix: String::new(), ..settings() };
    let token = provider.token(&with("realm_access", json!({"name": "bob"})));
    assert_eq!(opened(&named, &provider).verify(&token).unwrap().name, "bob");
}

#[test]
fn what_is_wrong_is_refused_with_its_reason() {
    let provider = Provider::new();
    let oidc = opened(&settings(), &provider);
    let refused = |token: &str, words: &str| {
        let why = oidc.verify(token).unwrap_err();
        assert!(why.contains(words), "{why}");
        assert!(!why.contains(token), "{why}");
    };
    refused(&provider.token(&with("exp", json!(in_seconds(-61)))), "expired");
    refused(&provider.token(&with("nbf", json!(in_seconds(120)))), "nbf");
    refused(&provider.token(&with("iss", json!("https://id.example.evil"))), "iss");
    refused(&provider.token(&with("aud", json!(["other"]))), "aud");
    refused(&provider.token(&with("sub", json!(""))), "names nobody");
    refused(&provider.token(&with("sub", json!("a\nb"))), "no name");
    refused(&provider.token(&with("sub", json!("a".repeat(300)))), "no name");
    for claim in ["exp", "iss", "aud"] {
        refused(&provider.token(&without(claim)), &format!("no claim {claim}"));
        // Of another type it is as good as none.
        refused(&provider.token(&with(claim, json!({"a": 1}))), "");
    }
    refused(&provider.token(&without("sub")), "names nobody");
    // Signed by somebody else; changed; by the key of another kind; by a key that nobody lists.
    refused(&Provider::new().token(&claims()), "signature");
    let token = provider.token(&claims());
    let (message, _) = token.rsplit_once('.').unwrap();
    refused(&format!("{message}."), "signature");
    refused(
        &format!(
            "{}.{}",
            signed(&json!({"alg": "EdDSA", "kid": "e"}), &with("sub", json!("admin"))),
            token.rsplit_once('.').unwrap().1
        ),
        "signature",
    );
    refused(&provider.edwards(&json!({"alg": "ES256", "kid": "c"}), &claims()), "signature");
    refused(&provider.edwards(&json!({"alg": "ES256", "kid": "e"}), &claims()), "does not list");
    refused(&provider.edwards(&json!({"alg": "EdDSA", "kid": "sealing"}), &claims()), "does not list");
    refused(&provider.edwards(&json!({"alg": "EdDSA", "kid": "x"}), &claims()), "does not list");
    // Without a signature, or by what everybody has.
    refused(&format!("{}.", signed(&json!({"alg": "none"}), &claims())), "algorithm");
    for kid in ["shared", "e"] {
        let signed = signed(&json!({"alg": "HS256", "kid": kid}), &claims());
        let key = ring::hmac::Key::new(
            ring::hmac::HMAC_SHA256,
            if kid == "e" { provider.edwards.public_key().as_ref() } else { b"secret" },
        );
        let by_all = URL_SAFE.encode(ring::hmac::sign(&key, signed.as_bytes()));
        refused(&format!("{signed}.{by_all}"), "private key");
    }
    refused(&"a".repeat(MAX_TOKEN_BYTES + 1), "bytes");
    refused("eyJ.a.b", "JWT");
}

#[test]
fn keys_that_go_take_what_they_signed_with_them() {
    let (old, new) = (Provider::new(), Provider::new());
    let oidc = opened(&settings(), &old);
    let token = old.token(&claims());
    oidc.verify(&token).unwrap();
    oidc.verify(&token).unwrap();
    assert!(oidc.take(Keys::read(old.set().to_string().as_bytes()).unwrap()).is_none(), "they are the same");
    assert!(
        oidc.take(Keys::read(new.set().to_string().as_bytes()).unwrap()).is_some_and(|told| told.ends_with("e, c"))
    );
    assert!(oidc.verify(&token).unwrap_err().contains("signature"));
    oidc.verify(&new.token(&claims())).unwrap();
}

#[test]
fn settings_and_sets_that_are_wrong_are_refused() {
    assert!(Oidc::open(&OidcSettings::default()).unwrap().is_none());
    let refused = |settings: OidcSettings, words: &str| {
        let why = Oidc::open(&settings).unwrap_err();
        assert!(why.contains(words), "{why}");
    };
    refused(OidcSettings { audience: String::new(), ..settings() }, "oidc_audience");
    refused(OidcSettings { issuer: "http://id.example".to_owned(), ..settings() }, "https://");
    refused(OidcSettings { issuer: "id".to_owned(), ..settings() }, "no URL");
    refused(OidcSettings { jwks: "http://10.0.0.1/keys".to_owned(), ..settings() }, "oidc_jwks");
    for here in [
        "http://127.0.0.1:1/keys",
        "http://[::1]:1/keys",
        "http://localhost/keys",
        "https://id.example/keys",
        "/keys.json",
    ] {
        Oidc::open(&OidcSettings { jwks: here.to_owned(), ..settings() }).unwrap();
    }
    for (set, words) in [
        ("", "no JWK set"),
        ("{}", "no JWK set"),
        (r#"{"keys": []}"#, "no public key"),
        (r#"{"keys": [1]}"#, "no public key"),
    ] {
        let why = Keys::read(set.as_bytes()).unwrap_err();
        assert!(why.contains(words), "{why}");
    }
}

#[test]
fn mutated_tokens_and_sets_are_read_or_refused() {
    let provider = Provider::new();
    let oidc = opened(&settings(), &provider);
    let token = provider.curve(&json!({"alg": "ES256", "kid": "c"}), &claims());
    let pieces = &["eyJ", ".", "..", "e30", "bnVsbA", "=", "\u{e9}"];
    fuzz(token.as_bytes(), pieces, |bytes| std::str::from_utf8(bytes).is_ok_and(|text| oidc.verify(text).is_ok()));
    // Claims of all shapes, rightly signed.
    let pieces = &["1e999", "-1", "null", "[]", "{}", "\"\"", "18446744073709551616", "\\u0000"];
    fuzz(claims().to_string().as_bytes(), pieces, |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return false };
        let signed = format!("{}.{}", URL_SAFE.encode(r#"{"alg":"EdDSA","kid":"e"}"#), URL_SAFE.encode(text));
        let signature = provider.edwards.sign(signed.as_bytes());
        oidc.verify(&format!("{signed}.{}", URL_SAFE.encode(signature.as_ref()))).is_ok()
    });
    fuzz(provider.set().to_string().as_bytes(), &["null", "{}", "\"kty\"", "\"RSA\"", "AQAB", "\"n\":"], |bytes| {
        Keys::read(bytes).is_ok()
    });
}
