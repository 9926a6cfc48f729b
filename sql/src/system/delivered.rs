//! Consumer groups: their members, assignments, offsets and lag.

use millstream_engine::{GroupInfo, GroupMode, MemberInfo};

use super::data::Kind::{Number, Text, Time};
use super::data::{Columns, Rows, number, number_or_null, text, text_or_null, time};
use crate::Result;
use crate::query::{Reader, found};

pub(super) const GROUPS: Columns = &[
    ("namespace", Text),
    ("group_id", Text),
    ("mode", Text),
    ("state", Text),
    ("generation", Number),
    ("members", Number),
    ("lag", Number),
    ("max_attempts", Number),
    ("retry_steps", Text),
];

pub(super) fn groups(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for group in reader.engine.groups(&reader.who)? {
        let lag = group_offsets(reader, &group)?.iter().filter_map(|offsets| offsets.lag).sum::<u64>();
        rows.push(vec![
            text(&group.namespace),
            text(&group.group_id),
            text(match group.mode {
                GroupMode::Shared => "shared",
                GroupMode::Broadcast => "broadcast",
            }),
            text(group.state),
            number(group.generation),
            number(group.members.len()),
            number(lag),
            number_or_null(group.retries.max_attempts),
            text_or_null(steps(&group.retries.steps_ms)),
        ]);
    }
    Ok(rows)
}

/// As `ALTER CONSUMER GROUP` takes them, each in the largest unit that it is a whole number of.
fn steps(steps_ms: &[u64]) -> Option<String> {
    const UNITS: [(u64, &str); 4] = [(3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let step = |ms: &u64| {
        let unit = UNITS.iter().find(|(unit, _)| ms.is_multiple_of(*unit));
        unit.map_or_else(|| format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
    };
    (!steps_ms.is_empty()).then(|| steps_ms.iter().map(step).collect::<Vec<_>>().join(","))
}

pub(super) const MEMBERS: Columns = &[
    ("namespace", Text),
    ("group_id", Text),
    ("member_id", Text),
    ("client_id", Text),
    ("principal", Text),
    ("topics", Text),
    ("partitions", Number),
    ("session_timeout_ms", Number),
    ("joined_at", Time),
];

pub(super) fn members(reader: &Reader) -> Result<Rows> {
    each_member(reader, |group, member| {
        vec![vec![
            text(&group.namespace),
            text(&group.group_id),
            text(&member.member_id),
            text(&member.client_id),
            text(&member.principal),
            text(member.topics.join(", ")),
            number(member.assignment.len()),
            number(member.session_timeout.as_millis()),
            time(member.joined_us),
        ]]
    })
}

pub(super) const ASSIGNMENTS: Columns = &[
    ("namespace", Text),
    ("group_id", Text),
    ("member_id", Text),
    ("client_id", Text),
    ("topic", Text),
    ("partition", Number),
];

pub(super) fn assignments(reader: &Reader) -> Result<Rows> {
    each_member(reader, |group, member| {
        let row = |(topic, partition): &(String, u32)| {
            vec![
                text(&group.namespace),
                text(&group.group_id),
                text(&member.member_id),
                text(&member.client_id),
                text(topic),
                number(*partition),
            ]
        };
        member.assignment.iter().map(row).collect()
    })
}

pub(super) const OFFSETS: Columns = &[
    ("namespace", Text),
    ("group_id", Text),
    ("topic", Text),
    ("partition", Number),
    ("start_offset", Number),
    ("end_offset", Number),
    ("committed_offset", Number),
    ("position", Number),
    ("lag", Number),
];

pub(super) fn offsets(reader: &Reader) -> Result<Rows> {
    let mut rows = Rows::new();
    for group in reader.engine.groups(&reader.who)? {
        for Lagging { offsets, lag } in group_offsets(reader, &group)? {
            rows.push(vec![
                text(&group.namespace),
                text(&group.group_id),
                text(&offsets.topic),
                number(offsets.partition),
                number(offsets.start),
                number(offsets.end),
                number_or_null(offsets.committed),
                number_or_null(offsets.position),
                number_or_null(lag),
            ]);
        }
    }
    Ok(rows)
}

struct Lagging {
    offsets: millstream_engine::PartitionOffsets,
    /// Rows from the committed offset, or the position where nothing is committed, to the end.
    lag: Option<u64>,
}

/// A group may be dropped between listing it and asking for its offsets.
fn group_offsets(reader: &Reader, group: &GroupInfo) -> Result<Vec<Lagging>> {
    let offsets = found(reader.engine.group_offsets(&reader.who, &group.namespace, &group.group_id))?;
    let lagging = |offsets: millstream_engine::PartitionOffsets| {
        let next = offsets.committed.or(offsets.position);
        let lag = next.map(|next| offsets.end.saturating_sub(next.max(offsets.start)));
        Lagging { offsets, lag }
    };
    Ok(offsets.unwrap_or_default().into_iter().map(lagging).collect())
}

fn each_member(reader: &Reader, rows: impl Fn(&GroupInfo, &MemberInfo) -> Rows) -> Result<Rows> {
    let groups = reader.engine.groups(&reader.who)?;
    Ok(groups.iter().flat_map(|group| group.members.iter().flat_map(|member| rows(group, member))).collect())
}
