//! `GET /metrics`: figures in the Prometheus text format. Names keep their meaning from version to version.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::{Extension, State};
use axum::http::{HeaderName, header};
use millstream_engine::{Engine, EngineStats, NamespaceLimit, Principal};

use super::error::{HttpError, Kind};
use super::exposition::{escape, header_lines, line};
use super::message_metrics::messages;
use super::plugin_metrics::plugins;
use super::state::HttpDoor;
use crate::door::Door;
use crate::figures::{Figures, Label};
use crate::net::budgets::Net;
use crate::work::Waits;

/// Groups whose lag is shown one by one; the rest are summed, so that the number of series stays bounded.
const GROUPS_SHOWN: usize = 200;

type Metric = (&'static str, &'static str, &'static str, fn(&EngineStats) -> f64);

/// Name, type, help, value.
const METRICS: [Metric; 40] = [
    ("log_durable_lsn", "gauge", "highest log sequence number that survives power loss", |s| s.durable_lsn.0 as f64),
    ("log_epoch", "gauge", "epoch of the log; it rises when a torn tail was cut", |s| s.epoch as f64),
    ("rows_appended_total", "counter", "rows appended", |s| s.rows_appended as f64),
    ("bytes_appended_total", "counter", "bytes of rows appended", |s| s.bytes_appended as f64),
    ("log_commits_total", "counter", "commits written", |s| s.commits as f64),
    ("log_syncs_total", "counter", "syncs of the log", |s| s.syncs as f64),
    ("log_sync_seconds_total", "counter", "time spent in syncs of the log", |s| s.sync_micros as f64 / 1e6),
    ("submissions_total", "counter", "submissions accepted", |s| s.submissions as f64),
    ("submissions_refused_total", "counter", "submissions refused by a precondition", |s| s.submissions_refused as f64),
    ("log_files", "gauge", "files of the log", |s| s.log_files as f64),
    ("log_bytes", "gauge", "bytes of the log on disk", |s| s.log_bytes as f64),
    ("log_written_bytes_total", "counter", "bytes written to the log", |s| s.log_bytes_written as f64),
    ("tail_bytes", "gauge", "recent rows kept in memory", |s| s.tail_bytes as f64),
    ("queue_bytes", "gauge", "submissions that have room in the log writer's queue", |s| s.queue_bytes as f64),
    ("queue_waiting", "gauge", "submissions that wait for room there", |s| s.queue_waiting as f64),
    ("segments", "gauge", "Parquet segments", |s| s.segments as f64),
    ("segment_bytes", "gauge", "bytes of the segments", |s| s.segment_bytes as f64),
    ("segment_written_bytes_total", "counter", "bytes written to segments", |s| s.segment_bytes_written as f64),
    ("segment_backlog_bytes", "gauge", "log bytes not yet in segments", |s| s.segment_backlog_bytes as f64),
    ("segments_unlisted", "gauge", "segment files that wait to be deleted", |s| s.segments_unlisted as f64),
    ("segment_store_epoch", "gauge", "epoch of this opening of the object store", |s| s.segment_store_epoch as f64),
    ("segment_store_fenced", "gauge", "1 once another opening has taken the object store over", |s| {
        f64::from(s.segment_store_fenced_by > 0)
    }),
    ("segment_store_kept_below", "gauge", "objects of epochs below are kept for other data directories", |s| {
        s.segment_store_kept_below as f64
    }),
    ("rows_read_total", "counter", "rows read from files of the log and from segments", |s| s.rows_read as f64),
    ("evaluation_hits_total", "counter", "topic batches shared with another group", |s| s.evaluation_hits as f64),
    ("evaluation_misses_total", "counter", "topic batches evaluated", |s| s.evaluation_misses as f64),
    ("rows_skipped_total", "counter", "rows that topics left out because they failed to evaluate", |s| {
        s.rows_skipped as f64
    }),
    ("checkpoint_lsn", "gauge", "log sequence number of the last checkpoint", |s| s.checkpoint_lsn.0 as f64),
    ("groups", "gauge", "consumer groups, with live members or without", |s| s.groups as f64),
    ("members", "gauge", "live members of consumer groups", |s| s.members as f64),
    ("message_notes_lost_total", "counter", "steps of messages that could not be noted in message_trace", |s| {
        s.message_notes_lost as f64
    }),
    ("audit_lines_lost_total", "counter", "lines that could not be kept in system.audit", |s| {
        s.audit_lines_lost as f64
    }),
    ("offset_resets_total", "counter", "readers that retention had passed and that followed auto.offset.reset", |s| {
        s.offset_resets as f64
    }),
    ("free_disk_bytes", "gauge", "free bytes of the data disk", |s| s.free_disk_bytes as f64),
    ("producer_streams", "gauge", "producers, once for each table, whose recent batches are known", |s| {
        s.producer_streams as f64
    }),
    ("producer_streams_forgotten_total", "counter", "producer streams forgotten for want of room", |s| {
        s.producer_streams_forgotten as f64
    }),
    ("thread_panics_total", "counter", "panics of the store's threads", |s| s.thread_panics as f64),
    ("threads_down", "gauge", "threads that stay down after a panic; the server is not ready", |s| {
        s.threads_down as f64
    }),
    ("clock_steps_total", "counter", "steps of the wall clock against the monotonic one", |s| s.clock_steps as f64),
    ("clock_difference_seconds", "gauge", "the wall clock less the time that appends get", |s| {
        s.clock_difference_us as f64 / 1e6
    }),
];

pub(crate) async fn metrics(
    State(http): State<Arc<HttpDoor>>,
    Extension(who): Extension<Principal>,
) -> Result<([(HeaderName, &'static str); 1], String), HttpError> {
    let door = http.rooms()?.clone();
    let work = door.work.clone();
    // Lag walks the groups' offsets, which may wait for the state's lock.
    let text = work.run(Waits::Never, move || render(&door, &who)).await;
    let text =
        text.map_err(|error| HttpError::new(Kind::Engine(millstream_engine::ErrorKind::Internal), error.to_string()))??;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

/// Whoever may see the server's own figures sees those of the tables, groups and plugins that he may see.
fn render(door: &Door, who: &Principal) -> millstream_engine::Result<String> {
    let Door { engine, figures, net, .. } = door;
    let mut out = String::new();
    let stats = engine.stats(who)?;
    for (name, kind, help, value) in METRICS {
        header_lines(&mut out, name, kind, help);
        line(&mut out, name, "", value(&stats));
    }
    throttled(&mut out, &stats);
    connections(&mut out, net);
    calls(&mut out, figures);
    memory(&mut out, net);
    lag(&mut out, engine, who)?;
    messages(&mut out, engine, who)?;
    plugins(&mut out, engine, who)?;
    process(&mut out);
    Ok(out)
}

/// A series for each limit, whoever has it.
fn throttled(out: &mut String, stats: &EngineStats) {
    let name = "quota_throttled_total";
    header_lines(out, name, "counter", "times that a limit of a namespace or a user was in somebody's way");
    for (limit, count) in NamespaceLimit::QUOTAS.iter().zip(stats.quota_throttled) {
        line(out, name, &format!("{{quota=\"{}\"}}", limit.name()), count as f64);
    }
}

fn connections(out: &mut String, net: &Net) {
    for (door, open) in net.connections() {
        let name = format!("{door}_connections");
        header_lines(out, &name, "gauge", &format!("connections of the door {door}"));
        line(out, &name, "", open as f64);
    }
}

fn calls(out: &mut String, figures: &Figures) {
    let mut headed = None;
    for (Label { door, call }, count) in figures.all() {
        let name = format!("{door}_calls");
        if headed.replace(door) != Some(door) {
            header_lines(out, &name, "gauge", &format!("streaming calls of {door} that are under way"));
        }
        line(out, &name, &format!("{{call=\"{call}\"}}"), count as f64);
    }
}

/// What the budgets of the doors are at.
fn memory(out: &mut String, net: &Net) {
    let ended = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    for (name, kind, help, value) in [
        ("ingress_bytes", "gauge", "what clients have sent and the log has not taken", net.ingress.used() as f64),
        ("egress_bytes", "gauge", "what is on its way to clients", net.egress.pool.used() as f64),
        (
            "messages_late_total",
            "counter",
            "messages dropped because they stopped coming or found no room",
            ended(&net.late),
        ),
        (
            "connections_ended_total",
            "counter",
            "connections closed because their clients held memory and did nothing",
            ended(&net.ended),
        ),
        (
            "requests_unauthenticated_total",
            "counter",
            "requests of RocketMQ's clients refused because it is not known who sends them",
            ended(&net.unauthenticated),
        ),
        (
            "tls_handshakes_refused_total",
            "counter",
            "connections that ended before TLS had begun, or came without and were turned away",
            ended(&net.refused_handshakes),
        ),
    ] {
        header_lines(out, name, kind, help);
        line(out, name, "", value);
    }
}

/// Rows that each group has yet to commit, summed over its partitions.
fn lag(out: &mut String, engine: &Engine, who: &Principal) -> millstream_engine::Result<()> {
    let groups = engine.groups(who)?;
    header_lines(out, "group_lag_rows", "gauge", "rows between the committed offsets of a group and the end offsets");
    for group in groups.iter().take(GROUPS_SHOWN) {
        // A group that was dropped since it was listed has no lag.
        let Ok(offsets) = engine.group_offsets(who, &group.namespace, &group.group_id) else { continue };
        let lag: u64 = offsets
            .iter()
            .map(|partition| partition.end.saturating_sub(partition.committed.unwrap_or(partition.start)))
            .sum();
        let labels = format!("{{namespace=\"{}\",group=\"{}\"}}", escape(&group.namespace), escape(&group.group_id));
        line(out, "group_lag_rows", &labels, lag as f64);
    }
    header_lines(out, "groups_without_lag_series", "gauge", "groups left out of group_lag_rows to bound its size");
    line(out, "groups_without_lag_series", "", groups.len().saturating_sub(GROUPS_SHOWN) as f64);
    Ok(())
}

/// Memory of the process, where the system tells it.
fn process(out: &mut String) {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else { return };
    for (field, name, help) in [
        ("VmRSS:", "process_resident_bytes", "resident memory of the process"),
        ("RssAnon:", "process_resident_anonymous_bytes", "resident memory that is no file's"),
        ("Threads:", "process_threads", "threads of the process"),
    ] {
        let found = status.lines().find_map(|line| line.strip_prefix(field)).map(str::trim);
        let Some(text) = found else { continue };
        let kibibytes = text.strip_suffix(" kB");
        let Ok(number) = kibibytes.unwrap_or(text).parse::<f64>() else { continue };
        header_lines(out, name, "gauge", help);
        line(out, name, "", if kibibytes.is_some() { number * 1024.0 } else { number });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_counters_say_so() {
        let mut names: Vec<_> = METRICS.iter().map(|metric| metric.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), METRICS.len());
        for (name, kind, ..) in METRICS {
            assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        }
    }

    #[test]
    fn the_process_is_measured() {
        let mut out = String::new();
        process(&mut out);
        assert!(out.contains("millstream_process_resident_bytes "), "{out}");
    }
}
