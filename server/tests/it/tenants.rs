//! A server with users, within this process, so that they can be changed while clients are connected.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use millstream_engine::{
    Credentials, Engine, MessageKind, NamespaceLimitChanges, Principal, Right, Rights, Scope, ScopeKind, TableOptions,
    TableSpec, UserSpec,
};
use millstream_server::config::Config;
use millstream_server::serve::Server;

const PASSWORD: &str = "the administrator's";
/// What a tenant has on his namespace.
pub(crate) const TENANT: [Right; 4] = [Right::Produce, Right::Consume, Right::Read, Right::Define];

/// Two tenants, ann and bob: each has a namespace of his own name.
pub(crate) struct Tenants {
    server: Server,
    admin: Principal,
    _dir: tempfile::TempDir,
}

impl Tenants {
    pub(crate) fn start() -> Tenants {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::new(dir.path().join("data"));
        for address in [&mut config.grpc, &mut config.http, &mut config.remoting] {
            address.set_port(0);
        }
        let server = Server::start(&config).unwrap();
        let engine = server.engine();
        engine.init_administrator(PASSWORD).unwrap();
        let shown = Credentials::Password { user: "admin", password: PASSWORD };
        let admin = engine.authenticate(Some(shown), None).unwrap();
        let tenants = Tenants { server, admin, _dir: dir };
        for name in ["ann", "bob"] {
            tenants.engine().create_namespace(tenants.admin(), name, &NamespaceLimitChanges::default()).unwrap();
            tenants.user(name, &[(Scope::namespace(name), &TENANT)]);
        }
        tenants
    }

    /// A user whose access key is `{name}-key`, with the secret `{name}-secret`.
    pub(crate) fn user(&self, name: &str, grants: &[(Scope, &[Right])]) {
        let spec = UserSpec { name: name.to_owned(), ..UserSpec::default() };
        self.engine().create_user(self.admin(), spec, Some("a password of his")).unwrap();
        for (scope, rights) in grants {
            self.grant(name, scope, rights);
        }
        self.key(name);
    }

    pub(crate) fn key(&self, name: &str) {
        let (id, secret) = (format!("{name}-key"), secret(name));
        self.engine().create_access_key(self.admin(), name, Some((&id, &secret))).unwrap();
    }

    pub(crate) fn grant(&self, name: &str, scope: &Scope, rights: &[Right]) {
        self.engine().grant(self.admin(), name, scope, rights.iter().copied().collect::<Rights>()).unwrap();
    }

    pub(crate) fn revoke(&self, name: &str, scope: &Scope, rights: &[Right]) {
        self.engine().revoke(self.admin(), name, scope, rights.iter().copied().collect::<Rights>()).unwrap();
    }

    /// A message table in a namespace.
    pub(crate) fn topic(&self, namespace: &str, name: &str) {
        let options = TableOptions { partitions: 1, ..TableOptions::default() };
        let spec = TableSpec::of_messages(namespace, name, MessageKind::Any, options);
        self.engine().create_table(self.admin(), spec).unwrap();
    }

    pub(crate) fn engine(&self) -> &Engine {
        self.server.engine()
    }

    pub(crate) fn admin(&self) -> &Principal {
        &self.admin
    }

    pub(crate) fn address(&self, door: &str) -> SocketAddr {
        self.server.address(door).unwrap()
    }
}

pub(crate) fn table(namespace: &str, name: &str) -> Scope {
    Scope::within(ScopeKind::Table, namespace, name)
}

pub(crate) fn group(namespace: &str, name: &str) -> Scope {
    Scope::within(ScopeKind::Group, namespace, name)
}

pub(crate) fn secret(name: &str) -> String {
    format!("{name}-secret")
}

/// An HMAC-SHA1.
pub(crate) fn hmac(secret: &str, signed: &[u8]) -> Vec<u8> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret.as_bytes());
    ring::hmac::sign(&key, signed).as_ref().to_vec()
}

/// The same in base 64.
pub(crate) fn signature(secret: &str, signed: &[u8]) -> String {
    BASE64_STANDARD.encode(hmac(secret, signed))
}
