//! The parameters of a consumer are stated by a page, the engine and each client: here they are held equal.

use millstream_client::ConsumerOptions;
use millstream_client::protocol::{AutoOffsetReset, GroupMode};
use millstream_engine::ConsumerConfig;

const PAGE: &str = include_str!("../../../../docs/delivery.md");

/// Names and defaults of the page's table.
fn documented() -> Vec<(&'static str, &'static str)> {
    let (_, table) = PAGE.split_once("## Parameters\n").expect("the page has a table of parameters");
    let rows = table.lines().skip_while(|line| !line.starts_with("| `")).take_while(|line| line.starts_with("| `"));
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
        let name = cells.next().unwrap().trim_matches('`');
        (name, cells.nth(1).unwrap())
    })
    .collect()
}

#[test]
fn the_page_states_every_parameter_with_its_default() {
    let documented = documented();
    let unknown = ConsumerOptions::parse([("no.such.key", "")]).unwrap_err().to_string();
    for (name, default) in &documented {
        assert!(unknown.contains(name), "{name} is not among the known keys: {unknown}");
        let value = match *default {
            "required" => "g",
            "empty" => "",
            value => value,
        };
        let set = ConsumerOptions::parse([("group.id", "g"), (*name, value)]).unwrap();
        assert_eq!(set, ConsumerOptions::group("g"), "{name} is not {default} by default");
    }
    let (_, known) = unknown.split_once("known are ").unwrap();
    assert_eq!(known.split(", ").count(), documented.len(), "{known}");
}

#[test]
fn the_engine_and_the_client_have_the_same_defaults() {
    let (engine, client) = (ConsumerConfig::default(), ConsumerOptions::default());
    assert_eq!(engine.auto_offset_reset, millstream_engine::AutoOffsetReset::Latest);
    assert_eq!(client.auto_offset_reset, AutoOffsetReset::Latest);
    assert_eq!((engine.mode, client.mode), (millstream_engine::GroupMode::Shared, GroupMode::Shared));
    assert_eq!(engine.namespace, client.namespace);
    assert_eq!(engine.enable_auto_commit, client.enable_auto_commit);
    assert_eq!(engine.auto_commit_interval, client.auto_commit_interval);
    assert_eq!(engine.session_timeout, client.session_timeout);
    assert_eq!(engine.max_poll_interval, client.max_poll_interval);
    assert_eq!(engine.min_poll_rows, client.min_poll_rows as usize);
    assert_eq!(engine.max_poll_rows, client.max_poll_rows as usize);
    assert_eq!(engine.replay, client.replay);
}
