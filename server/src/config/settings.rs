//! The table of settings.

use super::forms::{bytes, flag, millis, number, text};
use super::lists;
use super::oidc;
use super::s3;
use super::secret::Secret;
use super::setting::{Access, Setting};
use super::values::{name_in, parse_address, parse_bool};
use super::{tls, traces};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const TIB: u64 = 1 << 40;

/// Every setting but the data directory and the configuration file, in the order of the help.
pub static SETTINGS: &[Setting] = &[
    text!(
        "grpc",
        "ADDR",
        |config| config.grpc.to_string(),
        |config, text| {
            config.grpc = parse_address(text)?;
            Ok(())
        },
        "Address of the Flight and Flight SQL door; port 0 takes a free one"
    ),
    text!(
        "http",
        "ADDR",
        |config| config.http.to_string(),
        |config, text| {
            config.http = parse_address(text)?;
            config.http_name = name_in(text);
            Ok(())
        },
        "Address of the HTTP door; port 0 takes a free one"
    ),
    text!(
        "remoting",
        "ADDR",
        |config| config.remoting.to_string(),
        |config, text| {
            config.remoting = parse_address(text)?;
            Ok(())
        },
        "Address of the RocketMQ door; port 0 takes a free one"
    ),
    text!(
        "advertise",
        "ADDR",
        |config| config.rocketmq.advertise.map_or_else(String::new, |address| address.to_string()),
        |config, text| {
            config.rocketmq.advertise = if text.is_empty() { None } else { Some(parse_address(text)?) };
            Ok(())
        },
        "Where RocketMQ clients are told to find this server; if not given, where they have connected to"
    ),
    number!(
        "remoting_connections",
        1..=1_000_000,
        rocketmq.connections as usize,
        "Connections that the RocketMQ door serves at once, with four requests under way for each of them"
    ),
    flag!(
        "message_auto_create",
        rocketmq.create_topics,
        "Whether message tables are made when a RocketMQ client first sends to them"
    ),
    number!(
        "message_partitions",
        1..=65_536,
        rocketmq.partitions as u32,
        "Partitions of message tables that are made so"
    ),
    number!(
        "message_max_attempts",
        1..=1_000_000,
        rocketmq.max_attempts as u32,
        "How often a message is handed out where neither its group nor its consumer says; then it goes to the group's \
         dead letters"
    ),
    traces::MESSAGE_TRACE,
    traces::AUDIT,
    traces::AUDIT_READS,
    traces::AUDIT_RETENTION_DAYS,
    flag!(
        "insecure",
        insecure,
        "Whether to listen on addresses that other machines can reach without users or without TLS"
    ),
    Setting {
        key: "init_admin_password",
        help: "The password of the user admin, who is made where there is no user yet; by variable or file only",
        access: Access::Secret { set: |config, text| config.init_admin_password = Secret::given(text) },
    },
    tls::MODE,
    tls::CERTIFICATE,
    tls::KEY,
    tls::CLIENT_CA,
    tls::CLIENT_CERTIFICATES,
    tls::MIN_VERSION,
    tls::REQUIRED,
    oidc::ISSUER,
    oidc::AUDIENCE,
    oidc::JWKS,
    oidc::USER_CLAIM,
    oidc::USER_PREFIX,
    oidc::ROLES_CLAIM,
    oidc::ROLES,
    text!(
        "http_hosts",
        "NAMES",
        lists::show_hosts,
        lists::read_hosts,
        "Names, with commas between, that HTTP requests may be sent to, beside localhost and the address"
    ),
    text!(
        "log",
        "FILTER",
        lists::show_log,
        lists::read_log,
        "What is logged to standard error: error, warn, info, debug, or target=level pairs with commas"
    ),
    bytes!(
        "log_file_bytes",
        64 * KIB..=64 * GIB,
        engine.log_file_bytes as u64,
        "A log file is rolled, and a checkpoint taken, when it would grow past this"
    ),
    bytes!(
        "log_budget_bytes",
        MIB..=1024 * TIB,
        engine.log_budget_bytes as u64,
        "Log bytes above which the tables that pin the oldest file are cut into segments whatever their size"
    ),
    bytes!(
        "max_commit_bytes",
        64 * KIB..=8 * MIB,
        engine.max_commit_bytes as usize,
        "The most that one commit, and so one submission, holds"
    ),
    bytes!(
        "queue_bytes",
        64 * KIB..=16 * GIB,
        engine.queue_bytes as usize,
        "Submissions that may wait for the log writer before producers are held back"
    ),
    bytes!("tail_bytes", 0..=TIB, engine.tail_bytes as usize, "Recent rows kept in memory for readers"),
    bytes!(
        "read_cache_bytes",
        0..=TIB,
        engine.read_cache_bytes as usize,
        "Rows read from files that are kept for consumers who take a few of them at a time"
    ),
    bytes!(
        "evaluation_cache_bytes",
        0..=TIB,
        engine.evaluation_cache_bytes as usize,
        "Evaluated topic batches kept for the groups that read the same rows"
    ),
    bytes!(
        "segment_bytes",
        64 * KIB..=64 * GIB,
        engine.segment_bytes as u64,
        "Log bytes of a partition at which they are cut into a Parquet segment"
    ),
    number!(
        "segment_age_ms",
        100..=31_536_000_000,
        engine.segment_age_ms as u64,
        "Age of the oldest row outside segments at which a partition is cut all the same"
    ),
    number!(
        "segment_threads",
        0..=64,
        engine.segment_threads as usize,
        "Threads that write segments; 0 pauses them, and rows stay in the log"
    ),
    number!(
        "segment_grace_ms",
        0..=31_536_000_000,
        engine.segment_grace_ms as u64,
        "How long an object stays in an object store after nothing names it any more"
    ),
    number!(
        "segment_release_epoch",
        0..=u64::MAX,
        engine.segment_release_epoch as u64,
        "Objects of the segment store of epochs below this are no other data directory's any more"
    ),
    bytes!(
        "free_space_floor_bytes",
        0..=1024 * TIB,
        engine.free_space_floor_bytes as u64,
        "Free bytes of the data disk below which appends fail with a retryable error"
    ),
    number!(
        "maintenance_interval_ms",
        10..=3_600_000,
        engine.maintenance_interval_ms as u64,
        "How often retention, expiry and segment work are looked at"
    ),
    number!(
        "max_groups_per_topic",
        1..=1_000_000,
        engine.max_groups_per_topic as usize,
        "Consumer groups that a topic may have"
    ),
    number!(
        "group_join_delay_ms",
        0..=60_000,
        engine.group_join_delay_ms as u64,
        "How long a large consumer group gathers members who come and go before it shares out anew"
    ),
    text!(
        "namespace_limits",
        "LIMITS",
        lists::show_limits,
        lists::read_limits,
        "Limits of namespaces that have none of their own, such as plugin_memory=1GiB,plugin_cpu=1.5"
    ),
    s3::URL,
    s3::ENDPOINT,
    s3::REGION,
    s3::ACCESS_KEY_ID,
    s3::SECRET_ACCESS_KEY,
    s3::ALLOW_HTTP,
    bytes!(
        "query_memory_bytes",
        MIB..=TIB,
        sql.memory_limit_bytes as usize,
        "What all running queries together may hold in memory"
    ),
    text!(
        "file_roots",
        "DIRS",
        lists::show_roots,
        lists::read_roots,
        "Directories of the server's machine, with : between, that COPY and CREATE PLUGIN may use; none if not given"
    ),
    number!(
        "network_threads",
        1..=1024,
        network_threads as usize,
        "Threads that move bytes between sockets and queues"
    ),
    number!("query_threads", 1..=1024, query_threads as usize, "Threads that run queries, topics and plugins"),
    text!(
        "plugin_trusted_keys",
        "KEYS",
        lists::show_keys,
        lists::read_keys,
        "Public keys, with commas between; only modules that one of them has signed are then loaded"
    ),
    text!(
        "plugin_least_releases",
        "NAMES",
        lists::show_releases,
        lists::read_releases,
        "Of signed modules, the least release by plugin that is loaded, such as late=7,*=1700000000; * is all others"
    ),
    bytes!(
        "plugin_memory_bytes",
        MIB..=16 * TIB,
        plugin_memory_bytes as u64,
        "Memory of all plugin instances together; a namespace has no more of it than it leaves to others"
    ),
    text!(
        "plugin_http_allow",
        "NETWORKS",
        lists::show_allow,
        lists::read_allow,
        "Networks such as 127.0.0.0/8 or fd00::/8, with commas between, that plugins' requests may go to beside the public \
         internet"
    ),
    text!(
        "plugin_http_deny",
        "NETWORKS",
        lists::show_deny,
        lists::read_deny,
        "Networks that plugins' requests may not go to, whatever else allows it"
    ),
    number!(
        "grpc_connections",
        1..=1_000_000,
        net.grpc_connections as usize,
        "Connections that the Flight door serves at once; further ones are closed as they come"
    ),
    millis!(
        "grpc_keepalive_ms",
        100..=3_600_000,
        net.keepalive,
        "A connection that was silent for this long is asked for a sign of life, and closed without one for as long again"
    ),
    millis!(
        "statement_timeout_ms",
        0..=86_400_000,
        statement_timeout,
        "How long a statement may take, from its beginning to its last row; 0 for as long as it likes"
    ),
    number!(
        "grpc_calls",
        1..=1_000_000,
        net.calls as usize,
        "Calls of the Flight door under way at once; further ones are refused"
    ),
    number!(
        "running_statements",
        1..=100_000,
        net.statements as usize,
        "Statements that make rows at once; further ones wait"
    ),
    bytes!(
        "ingress_bytes",
        16 * MIB..=64 * GIB,
        net.ingress_bytes as usize,
        "What clients have sent and the log has not taken, of all connections together; no message is larger than half of it"
    ),
    bytes!(
        "egress_bytes",
        8 * MIB..=64 * GIB,
        net.egress_bytes as usize,
        "What is on its way to clients, of all connections together"
    ),
    millis!(
        "receive_timeout_ms",
        100..=3_600_000,
        net.receive_timeout,
        "A message or body of which nothing has come for this long is dropped, sooner where others need its room"
    ),
    millis!(
        "write_idle_timeout_ms",
        100..=86_400_000,
        net.write_idle_timeout,
        "An answer of which nothing was taken for this long is ended, sooner where others need its room"
    ),
    bytes!(
        "http_body_limit_bytes",
        KIB..=GIB,
        http_body_limit_bytes as usize,
        "The most that the body of an HTTP request holds"
    ),
    millis!(
        "header_timeout_ms",
        100..=600_000,
        net.header_timeout,
        "A connection that has not sent a whole request header by then is closed"
    ),
    millis!(
        "shutdown_timeout_ms",
        100..=600_000,
        shutdown_timeout,
        "How long requests and streams under way may take to end once the server was told to stop"
    ),
];

#[cfg(test)]
mod tests {
    use super::super::Config;
    use super::*;

    #[test]
    fn the_manual_names_every_setting_with_its_default() {
        let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operations.md")).unwrap();
        let defaults = Config::new("/d");
        for setting in SETTINGS {
            let row = manual.lines().find(|line| line.starts_with(&format!("| `{}` |", setting.key)));
            let row = row.unwrap_or_else(|| panic!("docs/operations.md has no row for {}", setting.key));
            let default = setting.default_text(&defaults);
            assert!(row.contains(&default), "{}: the default is {default}: {row}", setting.key);
        }
    }
}
