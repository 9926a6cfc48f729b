//! `GET /metrics`: figures in the Prometheus text format. Names keep their meaning from version to version.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::State;
use axum::http::{HeaderName, header};
use millstream_engine::{Engine, EngineStats, Principal};

use super::HttpDoor;
use super::error::{HttpError, Kind};
use crate::Figures;
use crate::figures::Count;
use crate::net::Net;
use crate::work::Waits;

/// Groups whose lag is shown one by one; the rest are summed, so that the number of series stays bounded.
const GROUPS_SHOWN: usize = 200;

type Metric = (&'static str, &'static str, &'static str, fn(&EngineStats) -> f64);

/// Name, type, help, value.
const METRICS: [Metric; 37] = [
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
    ("evaluation_hits_total", "counter", "topic batches shared with another group", |s| s.evaluation_hits as f64),
    ("evaluation_misses_total", "counter", "topic batches evaluated", |s| s.evaluation_misses as f64),
    ("rows_skipped_total", "counter", "rows that topics left out because they failed to evaluate", |s| {
        s.rows_skipped as f64
    }),
    ("checkpoint_lsn", "gauge", "log sequence number of the last checkpoint", |s| s.checkpoint_lsn.0 as f64),
    ("groups", "gauge", "consumer groups, with live members or without", |s| s.groups as f64),
    ("members", "gauge", "live members of consumer groups", |s| s.members as f64),
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
) -> Result<([(HeaderName, &'static str); 1], String), HttpError> {
    let door = http.rooms()?;
    let (engine, figures) = (door.engine.clone(), Arc::clone(&door.figures));
    // Lag walks the groups' offsets, which may wait for the state's lock.
    let net = Arc::clone(&http.net);
    let text = door.work.run(Waits::Never, move || render(&engine, &figures, &net)).await;
    let text =
        text.map_err(|error| HttpError::new(Kind::Engine(millstream_engine::ErrorKind::Internal), error.to_string()))??;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

fn render(engine: &Engine, figures: &Figures, net: &Net) -> millstream_engine::Result<String> {
    let mut out = String::new();
    let stats = engine.stats(&Principal::anonymous())?;
    for (name, kind, help, value) in METRICS {
        header_lines(&mut out, name, kind, help);
        line(&mut out, name, "", value(&stats));
    }
    doors(&mut out, figures);
    memory(&mut out, net);
    lag(&mut out, engine)?;
    super::plugin_metrics::plugins(&mut out, engine)?;
    process(&mut out);
    Ok(out)
}

fn doors(out: &mut String, figures: &Figures) {
    header_lines(out, "grpc_connections", "gauge", "connections of the Flight door");
    line(out, "grpc_connections", "", figures.get(Count::Connection) as f64);
    header_lines(out, "flight_calls", "gauge", "streaming calls of the Flight door that are under way");
    for (call, what) in [("do_get", Count::Get), ("do_put", Count::Put), ("do_exchange", Count::Exchange)] {
        line(out, "flight_calls", &format!("{{call=\"{call}\"}}"), figures.get(what) as f64);
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
    ] {
        header_lines(out, name, kind, help);
        line(out, name, "", value);
    }
}

pub(super) fn header_lines(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP millstream_{name} {help}\n# TYPE millstream_{name} {kind}\n");
}

pub(super) fn line(out: &mut String, name: &str, labels: &str, value: f64) {
    let _ = writeln!(out, "millstream_{name}{labels} {value}");
}

/// Rows that each group has yet to commit, summed over its partitions.
fn lag(out: &mut String, engine: &Engine) -> millstream_engine::Result<()> {
    let who = Principal::anonymous();
    let groups = engine.groups(&who)?;
    header_lines(out, "group_lag_rows", "gauge", "rows between the committed offsets of a group and the end offsets");
    for group in groups.iter().take(GROUPS_SHOWN) {
        // A group that was dropped since it was listed has no lag.
        let Ok(offsets) = engine.group_offsets(&who, &group.namespace, &group.group_id) else { continue };
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

pub(super) fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
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
    fn labels_are_escaped_and_the_process_is_measured() {
        assert_eq!(escape("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
        let mut out = String::new();
        process(&mut out);
        assert!(out.contains("millstream_process_resident_bytes "), "{out}");
    }
}
