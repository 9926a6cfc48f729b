//! The doors. A new one is a module and a line here.

use std::io;
use std::net::SocketAddr;

use futures::FutureExt;
use futures::future::BoxFuture;

use crate::config::Config;
use crate::door::Opening;
use crate::net::places::Capacity;
use crate::{flight, http, rocketmq};

/// One door.
pub(crate) struct Entry {
    /// In the program's output, in messages and in figures.
    pub(crate) name: &'static str,
    /// The setting that says where it listens.
    pub(crate) address: fn(&Config) -> SocketAddr,
    /// How many connections it has at once.
    pub(crate) capacity: fn(&Config) -> Capacity,
    /// Serves connections until the server stops; completes when the last call or request has ended.
    pub(crate) serve: fn(&Config, Opening) -> BoxFuture<'static, io::Result<()>>,
}

/// All doors, in the order in which they are opened and shown.
pub(crate) static DOORS: &[Entry] = &[
    Entry {
        name: "grpc",
        address: |config| config.grpc,
        capacity: |config| Capacity::new(config.net.grpc_connections),
        serve: |config, opening| {
            let config = config.clone();
            flight::serve(opening, move |door| rocketmq::grpc(&config, door)).boxed()
        },
    },
    Entry {
        name: "http",
        address: |config| config.http,
        capacity: |_| Capacity::new(http::CONNECTIONS).and_probes(),
        serve: |config, opening| {
            let router = rocketmq::http(config, opening.rooms.clone());
            http::serve(config, opening, http::Guest { router, refused: rocketmq::http_refused }).boxed()
        },
    },
    Entry {
        name: "remoting",
        address: |config| config.remoting,
        capacity: |config| Capacity::new(config.rocketmq.connections),
        serve: |config, opening| rocketmq::serve(config, opening).boxed(),
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::Path;

    use millstream_engine::ErrorKind;

    use super::*;

    /// Where the kinds are defined.
    const ENGINES_ERRORS: &str = include_str!("../../engine/src/model/error.rs");

    type Shown = fn(ErrorKind) -> String;

    /// What each door says of a kind, by the doors' names.
    const SHOWN: &[(&str, Shown)] =
        &[("grpc", flight::error_shown), ("http", http::error_shown), ("remoting", rocketmq::error_shown)];

    /// The same of services that share another's port.
    const SHARED: &[(&str, Shown)] =
        &[("messaging", rocketmq::grpc_error_shown), ("mq-http", rocketmq::http_error_shown)];

    /// Every kind, in the engine's order.
    fn kinds() -> Vec<ErrorKind> {
        use ErrorKind::*;
        let next = |kind: &ErrorKind| match kind {
            InvalidInput => Some(NotFound),
            NotFound => Some(AlreadyExists),
            AlreadyExists => Some(FailedPrecondition),
            FailedPrecondition => Some(OutOfRange),
            OutOfRange => Some(Fenced),
            Fenced => Some(Retry),
            Retry => Some(Throttled),
            Throttled => Some(ResourceExhausted),
            ResourceExhausted => Some(Unauthenticated),
            Unauthenticated => Some(PermissionDenied),
            PermissionDenied => Some(Unsupported),
            Unsupported => Some(Reopen),
            Reopen => Some(Corrupt),
            Corrupt => Some(Internal),
            Internal => None,
        };
        std::iter::successors(Some(InvalidInput), next).collect()
    }

    /// Clients branch on these: a change of the file breaks them. `UPDATE_GOLDEN=1 cargo test -p millstream --lib errors` writes
    /// it anew.
    #[test]
    fn errors_are_those_of_the_golden_file() {
        let (_, defined) = ENGINES_ERRORS.split_once("pub enum ErrorKind {").expect("the kinds are defined there");
        let (defined, _) = defined.split_once("\n}").expect("their end");
        let lines = defined.lines().map(str::trim);
        let defined: Vec<&str> = lines.filter_map(|line| line.strip_suffix(',')).collect();
        assert_eq!(kinds().iter().map(|kind| format!("{kind:?}")).collect::<Vec<_>>(), defined);

        let names: BTreeSet<_> = DOORS.iter().map(|door| door.name).collect();
        assert_eq!(SHOWN.iter().map(|(door, _)| *door).collect::<BTreeSet<_>>(), names, "each door has its table here");

        let mut text = String::new();
        for (door, shown) in SHOWN.iter().chain(SHARED) {
            for kind in kinds() {
                writeln!(text, "{door} {kind:?}: {}", shown(kind)).unwrap();
            }
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/golden/errors.txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(text, std::fs::read_to_string(&path).unwrap());
    }
}
