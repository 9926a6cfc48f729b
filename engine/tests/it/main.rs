//! The engine through its public face, as a door or an embedding program uses it.

mod appends;
mod broadcast_replay;
mod crash;
mod dead_letters;
mod definitions;
mod delivery;
mod evaluation;
mod fixture;
mod group_schedules;
mod group_threads;
mod groups;
mod lifecycle;
mod lookups;
mod namespaces;
mod offsets;
mod panics;
mod plugin_consumers;
mod polled;
mod producers;
mod read_model;
mod segments;
mod support;
mod table;
mod topic_versions;
