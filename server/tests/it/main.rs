//! Tests of the real binary.

mod cli;
mod client;
mod crowded;
mod exposure;
mod flight;
mod help;
mod hostile;
mod http;
mod messaging;
mod migrate;
mod plugin;
mod plugin_project;
mod program;
mod readable;
mod readiness;
mod remoting;
mod serve;
mod tls;
