//! Tests of the real binary.

mod backup;
mod cli;
mod client;
mod crowded;
mod exposure;
mod flight;
mod help;
mod hostile;
mod http;
mod logins;
mod messaging;
mod migrate;
mod mq_http;
mod plugin;
mod plugin_project;
mod program;
mod quotas;
mod readable;
mod readiness;
mod remoting;
mod serve;
mod tenants;
mod tls;
