//! Namespaces, and what their plugins and producers may take together.

use datafusion::sql::sqlparser::ast::ObjectName;
use millstream_engine::{Error as EngineError, NamespaceLimit, NamespaceLimitChanges, NamespaceLimits};

use super::define::check_writable;
use super::{Scene, done};
use crate::names::resolve_namespace;
use crate::parse::{OptionValue, Options};
use crate::{Error, Outcome, Result};

/// Takes a limit away again, so that the server's default holds.
const DEFAULT: &str = "default";
/// Sets several limits, to what they are elsewhere.
const PROFILE: &str = "profile";
/// No limit, whatever the server's default.
const UNLIMITED: &str = "unlimited";

pub(super) fn create_namespace(
    scene: &Scene,
    name: &ObjectName,
    if_not_exists: bool,
    options: Options,
) -> Result<Outcome> {
    let namespace = resolve_namespace(name)?;
    check_writable(&namespace, name)?;
    let limits = limits(options, "CREATE NAMESPACE")?;
    match scene.engine().create_namespace(scene.who(), &namespace, &limits) {
        Err(EngineError::AlreadyExists { .. }) if if_not_exists => done(format!("namespace {namespace:?} was there")),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("namespace {namespace:?} created")),
    }
}

pub(super) fn alter_namespace(scene: &Scene, name: &ObjectName, options: Options) -> Result<Outcome> {
    let namespace = resolve_namespace(name)?;
    check_writable(&namespace, name)?;
    let limits = limits(options, "ALTER NAMESPACE … SET")?;
    let names: Vec<&str> = limits.keys().map(|limit| limit.name()).collect();
    let message = format!("namespace {namespace:?} has another {}", names.join(", "));
    scene.engine().limit_namespace(scene.who(), &namespace, limits)?;
    done(message)
}

pub(super) fn drop_namespace(scene: &Scene, name: &ObjectName, if_exists: bool) -> Result<Outcome> {
    let namespace = resolve_namespace(name)?;
    check_writable(&namespace, name)?;
    match scene.engine().drop_namespace(scene.who(), &namespace) {
        Err(EngineError::NotFound { .. }) if if_exists => done(format!("namespace {namespace:?} was not there")),
        Err(error) => Err(error.into()),
        Ok(()) => done(format!("namespace {namespace:?} dropped")),
    }
}

fn limits(mut options: Options, statement: &str) -> Result<NamespaceLimitChanges> {
    let mut limits = NamespaceLimitChanges::new();
    if let Some(profile) = options.text(PROFILE)? {
        let known = NamespaceLimits::profile(&profile).ok_or_else(|| Error::Invalid {
            message: format!("there is no profile {profile:?}; there is 'tdmq'"),
            position: None,
        })?;
        limits.extend(known.map(|(limit, value)| (limit, Some(value))));
    }
    let named: Vec<NamespaceLimit> = NamespaceLimit::of_namespaces().collect();
    take(&mut options, &named, &mut limits)?;
    let known: Vec<&str> = named.iter().map(|limit| limit.name()).chain([PROFILE]).collect();
    options.finish(statement, &known)?;
    Ok(limits)
}

/// Takes out what is set of these limits.
pub(super) fn take(options: &mut Options, of: &[NamespaceLimit], limits: &mut NamespaceLimitChanges) -> Result<()> {
    for limit in of.iter().copied() {
        let name = limit.name();
        match options.take(name) {
            None => continue,
            Some((OptionValue::Text(word), _)) if word == DEFAULT => {
                limits.insert(limit, None);
                continue;
            }
            Some((OptionValue::Text(word), _)) if word == UNLIMITED => {
                limits.insert(limit, Some(NamespaceLimits::UNLIMITED));
                continue;
            }
            Some((value, position)) => options.put_back(name, value, position),
        }
        let value = match limit {
            limit if limit.is_bytes() => options.bytes(name)?,
            NamespaceLimit::PluginCpu => options.cpu_milli(name)?.map(u64::from),
            NamespaceLimit::PluginTimeoutMax => options.duration_ms(name)?,
            _ => options.number(name)?,
        };
        limits.insert(limit, value);
    }
    Ok(())
}
