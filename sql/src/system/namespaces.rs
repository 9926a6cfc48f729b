//! Namespaces: their limits, and what their plugins take.

use millstream_engine::{NamespaceLimit, NamespaceLimits};

use super::data::Kind::{Number, Real, Text};
use super::data::{Columns, Rows, number, number_or_null, real_or_null, text};
use crate::Result;
use crate::query::Reader;

/// After the name, one for each of [`NamespaceLimit::SHARES`].
pub(super) const NAMESPACES: Columns = &[
    ("name", Text),
    ("plugin_memory", Number),
    ("plugin_cpu", Real),
    ("plugin_concurrency", Number),
    ("plugin_timeout_max", Number),
    ("plugin_output_rate", Number),
    ("plugin_log_rate", Number),
    ("plugin_count", Number),
    ("plugin_module_bytes", Number),
    ("producer_streams", Number),
];

/// Null where there is no limit.
pub(super) fn namespaces(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for name in reader.engine.namespaces(&reader.who)? {
        let limits = reader.engine.namespace_limits(&reader.who, &name)?;
        let mut row = vec![text(name)];
        row.extend(NamespaceLimit::SHARES.into_iter().map(|limit| value(&limits, limit)));
        rows.push(row);
    }
    Ok(rows)
}

fn value(limits: &NamespaceLimits, limit: NamespaceLimit) -> datafusion::common::ScalarValue {
    let bound = limits.bound(limit);
    match limit {
        // Thousandths of cores, far below 2^52.
        NamespaceLimit::PluginCpu => real_or_null(bound.map(|milli| milli as f64 / 1e3)),
        _ => number_or_null(bound),
    }
}

/// `used` is null of what holds for each thing by itself.
pub(super) const QUOTAS: Columns =
    &[("kind", Text), ("name", Text), ("quota", Text), ("value", Number), ("used", Number), ("throttled", Number)];

pub(super) fn quotas(reader: &Reader) -> Result<Rows> {
    let rows = reader.engine.quotas(&reader.who)?.into_iter().map(|quota| {
        vec![
            text(quota.owner.name()),
            text(quota.name),
            text(quota.limit.name()),
            number(quota.value),
            number_or_null(quota.used),
            number(quota.throttled),
        ]
    });
    Ok(rows.collect())
}

pub(super) const USAGE: Columns = &[
    ("namespace", Text),
    ("plugins", Number),
    ("module_bytes", Number),
    ("memory_bytes", Number),
    ("memory_refusals", Number),
    ("running", Number),
    ("waiting", Number),
    ("cpu_us", Number),
    ("output_bytes", Number),
    ("throttled", Number),
    ("throttled_us", Number),
    ("log_lines_dropped", Number),
];

pub(super) fn usage(reader: &Reader) -> Result<Rows> {
    let all = reader.engine.namespace_usage(&reader.who)?.into_iter().map(|usage| {
        vec![
            text(usage.namespace),
            number(usage.plugins),
            number(usage.module_bytes),
            number(usage.memory_bytes),
            number(usage.memory_refusals),
            number(usage.running),
            number(usage.waiting),
            number(usage.cpu_us),
            number(usage.output_bytes),
            number(usage.throttled),
            number(usage.throttled_us),
            number(usage.log_lines_dropped),
        ]
    });
    Ok(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_column_for_each_limit() {
        let columns: Vec<&str> = NAMESPACES.iter().skip(1).map(|(name, _)| *name).collect();
        assert_eq!(columns, NamespaceLimit::SHARES.map(NamespaceLimit::name));
    }
}
