//! Figures of plugins, a series for each version.

use millstream_engine::{
    CallFigures, Engine, FailureKind, NamespaceUsage, PluginCalls, PluginInfo, PluginUse, Principal, RequestFailure,
};

use super::exposition::{escape, header_lines, line};

/// Versions that are shown; the rest are counted, so that the number of series stays bounded.
const VERSIONS_SHOWN: usize = 200;
/// Upper bounds of the histogram's buckets, as powers of two in µs: 16 µs to 17 s.
const POWERS: [usize; 11] = [4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24];

type Figure = (&'static str, &'static str, &'static str, fn(&PluginCalls) -> u64);

const FIGURES: [Figure; 14] = [
    ("plugin_rows_in_total", "counter", "rows that plugins were called about", |c| c.figures.rows_in),
    ("plugin_rows_out_total", "counter", "rows that plugins kept, answered about or gave", |c| c.figures.rows_out),
    ("plugin_bytes_in_total", "counter", "bytes copied into plugins", |c| c.figures.bytes_in),
    ("plugin_bytes_out_total", "counter", "bytes copied out of plugins", |c| c.figures.bytes_out),
    ("plugin_memory_peak_bytes", "gauge", "the most memory that an instance has had", |c| c.figures.memory_peak_bytes),
    ("plugin_instances", "gauge", "instances, idle ones too", |c| c.instances),
    ("plugin_instances_discarded_total", "counter", "instances thrown away after a failure", |c| c.instances_discarded),
    ("plugin_waiting_calls", "gauge", "calls that wait for an instance", |c| c.waiting),
    ("plugin_log_lines_dropped_total", "counter", "log lines above a limit", |c| c.log_lines_dropped),
    ("plugin_throttled_total", "counter", "times that calls were held back for a share", |c| c.figures.throttled),
    ("plugin_http_requests_total", "counter", "requests that plugins have sent, failed ones too", |c| c.http.requests),
    ("plugin_http_sent_bytes_total", "counter", "bytes of their bodies", |c| c.http.bytes_sent),
    ("plugin_http_received_bytes_total", "counter", "bytes of the answers' bodies", |c| c.http.bytes_received),
    ("plugin_suspended", "gauge", "1 while the plugin is suspended", |c| u64::from(c.suspended.is_some())),
];

/// Uses that are shown, of all versions together.
const USES_SHOWN: usize = 400;

type UseFigure = (&'static str, &'static str, fn(&CallFigures) -> f64);

const USE_FIGURES: [UseFigure; 10] = [
    ("plugin_use_calls_total", "calls into plugins by what they were made for, failed ones too", |u| u.calls as f64),
    ("plugin_use_failures_total", "failed calls by what they were made for", |u| u.failed() as f64),
    ("plugin_use_rows_in_total", "rows that plugins were called about, by use", |u| u.rows_in as f64),
    ("plugin_use_rows_out_total", "rows that they kept, answered about or gave, by use", |u| u.rows_out as f64),
    ("plugin_use_busy_seconds_total", "time in plugins by use", |u| u.times.sum_us as f64 / 1e6),
    ("plugin_use_queued_seconds_total", "time until an instance was there, by use", |u| u.queued_us as f64 / 1e6),
    ("plugin_use_throttled_seconds_total", "time that calls were held back for a share", |u| {
        u.throttled_us as f64 / 1e6
    }),
    ("plugin_use_cpu_seconds_total", "CPU time in plugins by use", |u| u.cpu_us as f64 / 1e6),
    ("plugin_use_bytes_in_total", "bytes copied into plugins by use", |u| u.bytes_in as f64),
    ("plugin_use_bytes_out_total", "bytes copied out of them by use", |u| u.bytes_out as f64),
];

pub(super) fn plugins(out: &mut String, engine: &Engine, who: &Principal) -> millstream_engine::Result<()> {
    let all = engine.plugin_calls(who)?;
    let left_out = all.len().saturating_sub(VERSIONS_SHOWN);
    let shown: Vec<(String, PluginCalls)> =
        all.into_iter().take(VERSIONS_SHOWN).map(|(plugin, calls)| (labels(&plugin), calls)).collect();
    times(out, &shown);
    header_lines(out, "plugin_failures_total", "counter", "failed calls of plugins, by what failed");
    for (labels, calls) in &shown {
        for (kind, count) in FailureKind::ALL.iter().zip(calls.figures.failures) {
            line(out, "plugin_failures_total", &format!("{{{labels},kind=\"{}\"}}", kind.name()), count as f64);
        }
    }
    requests(out, &shown);
    for (name, kind, help, value) in FIGURES {
        header_lines(out, name, kind, help);
        for (labels, calls) in &shown {
            line(out, name, &format!("{{{labels}}}"), value(calls) as f64);
        }
    }
    uses(out, &shown);
    namespaces(out, engine, who)?;
    header_lines(out, "plugins_without_series", "gauge", "plugin versions left out of plugin_* to bound its size");
    line(out, "plugins_without_series", "", left_out as f64);
    Ok(())
}

fn requests(out: &mut String, shown: &[(String, PluginCalls)]) {
    let name = "plugin_http_failures_total";
    header_lines(out, name, "counter", "failed requests of plugins, by what failed");
    for (labels, calls) in shown {
        for (kind, count) in RequestFailure::ALL.iter().zip(calls.http.failures) {
            line(out, name, &format!("{{{labels},kind=\"{}\"}}", kind.name()), count as f64);
        }
    }
    let name = "plugin_http_seconds_total";
    header_lines(out, name, "counter", "time that plugins have waited for requests");
    for (labels, calls) in shown {
        line(out, name, &format!("{{{labels}}}"), calls.http.busy_us as f64 / 1e6);
    }
}

/// What versions are called for. Names are users', so that their number is bounded.
fn uses(out: &mut String, shown: &[(String, PluginCalls)]) {
    let label = |labels: &str, used: &PluginUse| {
        format!("{{{labels},used_for=\"{}\",used_by=\"{}\"}}", used.of.kind(), escape(used.of.name()))
    };
    let all = shown.iter().flat_map(|(labels, calls)| calls.uses.iter().map(move |used| (label(labels, used), used)));
    let all: Vec<(String, &PluginUse)> = all.collect();
    for (name, help, value) in USE_FIGURES {
        header_lines(out, name, "counter", help);
        for (labels, used) in all.iter().take(USES_SHOWN) {
            line(out, name, labels, value(&used.figures));
        }
    }
    let left_out = all.len().saturating_sub(USES_SHOWN);
    header_lines(out, "plugin_uses_without_series", "gauge", "uses left out of plugin_use_* to bound its size");
    line(out, "plugin_uses_without_series", "", left_out as f64);
}

/// Namespaces that are shown.
const NAMESPACES_SHOWN: usize = 200;

type NamespaceFigure = (&'static str, &'static str, &'static str, fn(&NamespaceUsage) -> f64);

const NAMESPACE_FIGURES: [NamespaceFigure; 9] = [
    ("plugin_namespace_memory_bytes", "gauge", "memory of all instances of a namespace", |u| u.memory_bytes as f64),
    ("plugin_namespace_memory_refusals_total", "counter", "times that plugin_memory was in the way", |u| {
        u.memory_refusals as f64
    }),
    ("plugin_namespace_running", "gauge", "calls under way", |u| u.running as f64),
    ("plugin_namespace_waiting", "gauge", "calls that wait for the namespace's or the server's instances", |u| {
        u.waiting as f64
    }),
    ("plugin_namespace_cpu_seconds_total", "counter", "CPU time in plugins", |u| u.cpu_us as f64 / 1e6),
    ("plugin_namespace_output_bytes_total", "counter", "bytes that plugins answered with", |u| u.output_bytes as f64),
    ("plugin_namespace_throttled_total", "counter", "times that calls were held back for a share", |u| {
        u.throttled as f64
    }),
    ("plugin_namespace_throttled_seconds_total", "counter", "time that calls were held back for a share", |u| {
        u.throttled_us as f64 / 1e6
    }),
    ("plugin_namespace_log_lines_dropped_total", "counter", "log lines above plugin_log_rate", |u| {
        u.log_lines_dropped as f64
    }),
];

fn namespaces(out: &mut String, engine: &Engine, who: &Principal) -> millstream_engine::Result<()> {
    let all = engine.namespace_usage(who)?;
    for (name, kind, help, value) in NAMESPACE_FIGURES {
        header_lines(out, name, kind, help);
        for usage in all.iter().take(NAMESPACES_SHOWN) {
            line(out, name, &format!("{{namespace=\"{}\"}}", escape(&usage.namespace)), value(usage));
        }
    }
    Ok(())
}

fn times(out: &mut String, shown: &[(String, PluginCalls)]) {
    header_lines(out, "plugin_call_seconds", "histogram", "time of calls into plugins, failed ones too");
    for (labels, calls) in shown {
        for power in POWERS {
            let bound = (1_u64 << power) as f64 / 1e6;
            let below = calls.figures.times.below_power(power);
            line(out, "plugin_call_seconds_bucket", &format!("{{{labels},le=\"{bound}\"}}"), below as f64);
        }
        let all: u64 = calls.figures.times.buckets.iter().sum();
        line(out, "plugin_call_seconds_bucket", &format!("{{{labels},le=\"+Inf\"}}"), all as f64);
        line(out, "plugin_call_seconds_sum", &format!("{{{labels}}}"), calls.figures.times.sum_us as f64 / 1e6);
        line(out, "plugin_call_seconds_count", &format!("{{{labels}}}"), all as f64);
    }
}

fn labels(plugin: &PluginInfo) -> String {
    let (namespace, name) = (escape(&plugin.namespace), escape(&plugin.name));
    format!("namespace=\"{namespace}\",plugin=\"{name}\",version=\"{}\"", plugin.version)
}
