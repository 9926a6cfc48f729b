//! `make bench`: one JSON line a figure, each limit measured in the same run. `millstream-bench [--quick] [NAME…]` runs the
//! groups of figures whose names are given.

mod access;
mod cold;
mod data;
mod groups;
mod guarded;
mod hostile;
mod ingest;
mod limits;
mod message_lookup;
mod open;
mod plugins;
mod process;
mod raw;
mod remote;
mod remoting;
mod report;
mod rocketmq;
mod rocketmq_scale;
mod scale;
mod segments;
mod selectors;
mod single;
mod state;
mod store;
mod timers;
mod tls;
mod topics;
mod under_load;
mod windows;

use report::Figure;

/// The one that the server has, since figures in process stand for it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Whatever went wrong; a bench that fails says so and the others go on.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// How much to do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    /// Smaller volumes: shows that everything runs, not how fast.
    pub(crate) quick: bool,
}

impl Scale {
    /// `full`, or `quick` with `--quick`.
    pub(crate) fn pick<T>(self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }
}

type Group = (&'static str, fn(Scale) -> Result<Vec<Figure>>);

const GROUPS: &[Group] = &[
    ("ingest", ingest::run),
    ("ingest_with_segments", ingest::run_with_segments),
    ("segments", segments::run),
    ("single_rows", single::run),
    ("topics", topics::run),
    ("windows", windows::run),
    ("selectors", selectors::run),
    ("message_lookup", message_lookup::run),
    ("raw", raw::run),
    ("access", access::run),
    ("tls", tls::run),
    ("cold", cold::run),
    ("groups", groups::run),
    ("open", open::run),
    ("memory", ingest::run_memory),
    ("hostile", hostile::run),
    ("latency", single::run_latency),
    ("scale", scale::run),
    ("state_ten_million", state::run),
    ("timers_ten_million", timers::run),
    ("under_load", under_load::run),
    ("rocketmq", rocketmq::run),
    ("rocketmq_scale", rocketmq_scale::run),
    ("plugin_calls", plugins::calls::run),
    ("plugin_languages", plugins::languages::run),
    ("plugin_starts", plugins::starts::run),
    ("plugin_consumer", plugins::consumer::run),
    ("plugin_checkback", plugins::checkback::run),
    ("plugin_neighbour", plugins::neighbour::run),
    ("plugin_builds", plugins::builds::run),
];

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let scale = Scale { quick: arguments.iter().any(|argument| argument == "--quick") };
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let mut failed = false;
    for (name, run) in GROUPS {
        if !wanted.is_empty() && !wanted.iter().any(|w| w == name) {
            continue;
        }
        match run(scale) {
            Ok(figures) => figures.iter().for_each(Figure::print),
            Err(error) => {
                failed = true;
                eprintln!("bench: {name} failed: {error}");
            }
        }
    }
    if failed { std::process::ExitCode::FAILURE } else { std::process::ExitCode::SUCCESS }
}
