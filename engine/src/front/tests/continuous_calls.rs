//! Calls about continuous topics and watermarks.

use super::calls::{Call, call};
use super::store::{NAMESPACE as NS, Store, continuous_spec};
use crate::access::{Action, ObjectKind};
use crate::model::ContinuousSpec;
use Action::{Define, Read, Use};
use ObjectKind::{Function, Plugin, Table, Topic};

fn new(store: &Store) -> ContinuousSpec {
    let spec = continuous_spec("new");
    ContinuousSpec { plugins: vec![store.plugin.id], functions: vec![store.function], ..spec }
}

pub(super) fn calls() -> Vec<Call> {
    vec![
        call("create_continuous_topic", Define, Topic, "new", |s, who| s.engine.create_continuous_topic(who, new(s))),
        call("create_continuous_topic", Read, Table, "src", |s, who| s.engine.create_continuous_topic(who, new(s))),
        call("create_continuous_topic", Use, Plugin, "p", |s, who| s.engine.create_continuous_topic(who, new(s))),
        call("create_continuous_topic", Use, Function, "f", |s, who| s.engine.create_continuous_topic(who, new(s))),
        call("pause_continuous_topic", Define, Table, "cont", |s, who| {
            s.engine.pause_continuous_topic(who, NS, "cont")
        }),
        call("resume_continuous_topic", Define, Table, "cont", |s, who| {
            s.engine.resume_continuous_topic(who, NS, "cont")
        }),
        call("rebuild_continuous_topic", Define, Table, "cont", |s, who| {
            s.engine.rebuild_continuous_topic(who, NS, "cont")
        }),
        call("drop_topic", Define, Table, "cont", |s, who| s.engine.drop_topic(who, NS, "cont", false)),
        call("advance_watermark", Define, Table, "src", |s, who| s.engine.advance_watermark(who, NS, "src", 2)),
    ]
}
