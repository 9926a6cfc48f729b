//! Versions of topics: which one answers for which rows.

use millstream_engine::{Offset, PluginId, TopicInfo};

use super::data::Kind::{Number, Text};
use super::data::{Columns, Rows, number, number_or_null, text};
use crate::Result;
use crate::query::Reader;

pub(super) const TOPIC_VERSIONS: Columns = &[
    ("namespace", Text),
    ("topic", Text),
    ("version", Number),
    ("partition", Number),
    ("first_offset", Number),
    ("next_offset", Number),
    ("plugins", Text),
];

/// A row for each run of offsets that one version answers for, of topics that call plugins.
pub(super) fn topic_versions(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for topic in reader.engine.topics(&reader.who)? {
        if topic.plugins_of(topic.version).is_empty() {
            continue;
        }
        let table = reader.engine.topic_source(&reader.who, topic.id)?;
        for partition in 0..table.options.partitions {
            for range in topic.versions_of(partition) {
                rows.push(vec![
                    text(&topic.namespace),
                    text(&topic.name),
                    number(range.version),
                    number(partition),
                    number(range.offsets.start),
                    number_or_null((range.offsets.end != Offset::MAX).then_some(range.offsets.end)),
                    text(called(reader, &topic, range.version)),
                ]);
            }
        }
    }
    Ok(rows)
}

/// `late 2, ground_speed 1`.
fn called(reader: &Reader, topic: &TopicInfo, version: u32) -> String {
    let named = |id: &PluginId| {
        let plugin = reader.engine.plugin_by_id(&reader.who, *id).ok()?;
        Some(format!("{} {}", plugin.name, plugin.version))
    };
    let mut called: Vec<String> = topic.plugins_of(version).iter().filter_map(named).collect();
    called.sort_unstable();
    called.join(", ")
}
