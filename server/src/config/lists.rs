//! Settings of several values, as text.

use millstream_plugin_host::{MAX_LEAST_RELEASES, Trust};

use super::Config;
use super::namespace_limits;
use super::values::{parse_count, parse_keys, parse_names};
use crate::hex;

pub(super) fn show_log(config: &Config) -> String {
    config.log_filter.clone()
}

pub(super) fn read_log(config: &mut Config, text: &str) -> Result<(), String> {
    tracing_subscriber::EnvFilter::try_new(text).map_err(|error| error.to_string())?;
    config.log_filter = text.to_owned();
    Ok(())
}

pub(super) fn show_limits(config: &Config) -> String {
    namespace_limits::show(&config.engine.namespace_limits)
}

pub(super) fn read_limits(config: &mut Config, text: &str) -> Result<(), String> {
    config.engine.namespace_limits = namespace_limits::parse(text)?;
    Ok(())
}

pub(super) fn show_hosts(config: &Config) -> String {
    config.http_hosts.join(",")
}

pub(super) fn read_hosts(config: &mut Config, text: &str) -> Result<(), String> {
    config.http_hosts = parse_names(text)?;
    Ok(())
}

/// Directories, with colons between.
pub(super) fn show_roots(config: &Config) -> String {
    config.sql.file_roots.iter().map(|root| root.display().to_string()).collect::<Vec<_>>().join(":")
}

pub(super) fn read_roots(config: &mut Config, text: &str) -> Result<(), String> {
    config.sql.file_roots = text.split(':').filter(|part| !part.is_empty()).map(Into::into).collect();
    Ok(())
}

pub(super) fn show_keys(config: &Config) -> String {
    config.plugin_trust.keys.iter().map(|key| hex::write(key)).collect::<Vec<_>>().join(",")
}

pub(super) fn read_keys(config: &mut Config, text: &str) -> Result<(), String> {
    config.plugin_trust.keys = parse_keys(text)?;
    Ok(())
}

pub(super) fn show_releases(config: &Config) -> String {
    let entries = config.plugin_trust.least_releases.iter().map(|(name, release)| format!("{name}={release}"));
    entries.collect::<Vec<_>>().join(",")
}

/// `late=7,*=1700000000`.
pub(super) fn read_releases(config: &mut Config, text: &str) -> Result<(), String> {
    let Trust { least_releases, .. } = &mut config.plugin_trust;
    least_releases.clear();
    for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
        let (name, release) =
            entry.split_once('=').ok_or_else(|| format!("{entry:?} is not of the form name=release"))?;
        let (name, release) = (name.trim(), parse_count(release.trim())?);
        if least_releases.iter().any(|(other, _)| other == name) {
            return Err(format!("{name:?} is named twice"));
        }
        least_releases.push((name.to_owned(), release));
    }
    if least_releases.len() > MAX_LEAST_RELEASES {
        return Err(format!("{} plugins are more than {MAX_LEAST_RELEASES}", least_releases.len()));
    }
    Ok(())
}

pub(super) fn show_allow(config: &Config) -> String {
    config.plugin_http_allow.to_string()
}

pub(super) fn read_allow(config: &mut Config, text: &str) -> Result<(), String> {
    config.plugin_http_allow = text.parse()?;
    Ok(())
}

pub(super) fn show_deny(config: &Config) -> String {
    config.plugin_http_deny.to_string()
}

pub(super) fn read_deny(config: &mut Config, text: &str) -> Result<(), String> {
    config.plugin_http_deny = text.parse()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read_and_written() {
        let mut config = Config::new("data");
        read_releases(&mut config, " late = 7 , *=1700000000,").unwrap();
        assert_eq!(show_releases(&config), "late=7,*=1700000000");
        for wrong in ["late", "late=x", "late=1,late=2"] {
            assert!(read_releases(&mut config, wrong).is_err(), "{wrong}");
        }
    }
}
