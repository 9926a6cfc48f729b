//! Waiting for messages without a thread.

use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{TableId, TableInfo};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::door::Door;
use crate::rocketmq::answer::Refusal;
use crate::rocketmq::names::ScopedName;
use crate::rocketmq::tables::{Tables, topic_of};
use crate::work::Waits;

/// When it is time to look again. Watched from before the first look, so that nothing comes in between.
pub(super) struct Waiting {
    rows: watch::Receiver<u64>,
    hand_outs: watch::Receiver<u64>,
}

impl Waiting {
    /// The group begins to pop, if it has not.
    pub(super) async fn begin(
        (door, tables): (&Door, &Tables),
        group: &ScopedName,
        table: &Arc<TableInfo>,
        in_order: bool,
    ) -> Result<Waiting, Refusal> {
        let rows = tables.engine.watch_topic(&tables.who, topic_of(table))?;
        let (watcher, group, id) = (tables.clone(), group.clone(), table.id);
        let begin = move || begin(&watcher, &group, id, in_order);
        let hand_outs = door.work.run(Waits::ForLog, begin).await??;
        Ok(Waiting { rows, hand_outs })
    }

    /// False if there was nothing until the deadline. `next_us` is when one of those in flight is visible again, if nobody says anything of it.
    pub(super) async fn comes(&mut self, door: &Door, next_us: Option<i64>, deadline: Instant) -> bool {
        let left = next_us.map(|next| next.saturating_sub(door.engine.now_us()));
        let left = left.map(|left| Duration::from_micros(u64::try_from(left).unwrap_or(0)));
        let visible = left.map_or(deadline, |left| (Instant::now() + left).min(deadline));
        tokio::select! {
            changed = self.rows.changed() => changed.is_ok(),
            changed = self.hand_outs.changed() => changed.is_ok(),
            () = tokio::time::sleep_until(visible) => visible < deadline,
            () = door.stopped() => false,
        }
    }
}

fn begin(tables: &Tables, group: &ScopedName, table: TableId, in_order: bool) -> Result<watch::Receiver<u64>, Refusal> {
    Ok(tables.engine.watch_pop(&tables.who, &group.namespace, &group.name, table, in_order)?)
}
