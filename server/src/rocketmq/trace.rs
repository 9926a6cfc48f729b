//! Notes of what consumers do with messages, of whichever door.

use std::ops::Range;
use std::sync::Arc;

use millstream_engine::{MessageNote, MessageStep, Offset, PopReceipt, TableId};

use super::names::ScopedName;
use super::tables::Tables;

/// Who has had messages, or said something of them.
#[derive(Debug, Clone)]
pub(super) struct Who {
    group: Arc<str>,
    client_id: Arc<str>,
    address: Arc<str>,
}

impl Who {
    pub(super) fn of(group: &ScopedName, client_id: &str, address: Option<std::net::SocketAddr>) -> Who {
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        Who { group: group.name.as_str().into(), client_id: client_id.into(), address: address.into() }
    }
}

/// Messages of one partition that lie one behind the other, and how often they were handed out.
pub(super) type Run = (u32, Range<Offset>, Option<u32>);

impl Tables {
    /// Notes a step, where steps are noted. `who` and `runs` are asked for then only.
    pub(super) fn note<R: IntoIterator<Item = Run>>(
        &self,
        step: MessageStep,
        table: TableId,
        who: impl FnOnce() -> Who,
        runs: impl FnOnce() -> R,
    ) {
        if !self.engine.traces_messages() {
            return;
        }
        let Who { group, client_id, address } = who();
        self.engine.note_messages(runs().into_iter().map(|(partition, offsets, attempt)| MessageNote {
            table,
            partition,
            first: offsets.start,
            messages: offsets.end.saturating_sub(offsets.start),
            step,
            group: Arc::clone(&group),
            client_id: Arc::clone(&client_id),
            client_address: Arc::clone(&address),
            attempt,
        }));
    }

    /// The same of messages by their receipts.
    pub(super) fn note_receipts<'r>(
        &self,
        step: MessageStep,
        table: TableId,
        who: impl FnOnce() -> Who,
        receipts: impl IntoIterator<Item = &'r PopReceipt>,
    ) {
        let one = |receipt: &PopReceipt| (receipt.partition, receipt.offset..receipt.offset.saturating_add(1), None);
        self.note(step, table, who, || receipts.into_iter().map(one));
    }
}

/// Offsets that rise, as runs.
pub(super) fn runs(offsets: impl IntoIterator<Item = Offset>) -> Vec<Range<Offset>> {
    let mut runs = Vec::new();
    add_to_runs(&mut runs, offsets);
    runs
}

/// Offsets that rise behind those that are there.
pub(super) fn add_to_runs(runs: &mut Vec<Range<Offset>>, offsets: impl IntoIterator<Item = Offset>) {
    for offset in offsets {
        match runs.last_mut() {
            Some(last) if last.end == offset => last.end = offset.saturating_add(1),
            _ => runs.push(offset..offset.saturating_add(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_that_follow_one_another_are_one_run() {
        assert_eq!(runs([3, 4, 5, 9, 11, 12]), [3..6, 9..10, 11..13]);
        assert_eq!(runs([]), []);
        let mut known = runs([3, 4]);
        add_to_runs(&mut known, [5, 7]);
        assert_eq!(known, [3..6, 7..8]);
    }
}
