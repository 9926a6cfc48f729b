//! A message's receipt, as clients keep it: numbers with spaces between.
//!
//! ```text
//! first offset, time handed out (ms), time invisible (ms), number of the hand-out, 0, broker, queue, offset
//! ```
//!
//! Clients read the times, the broker and the queue, and make a new one when they have changed the time: with the message's own offset in
//! the first place, and with the time and the number of the answer. Where Apache's broker has the number of a queue of its own, it is the number here.

use millstream_engine::PopReceipt;

use crate::rocketmq::answer::Refusal;
use crate::rocketmq::names::BROKER;

/// No receipt is longer.
pub(in crate::rocketmq) const MAX_BYTES: usize = 160;

/// A receipt, and for how long the message is invisible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::rocketmq) struct Handle {
    pub(in crate::rocketmq) receipt: PopReceipt,
    pub(in crate::rocketmq) invisible_ms: i64,
}

impl Handle {
    /// `queue` and `offset` stand in the request besides.
    pub(in crate::rocketmq) fn read(text: &str, queue: u32, offset: u64) -> Result<Handle, Refusal> {
        let wrong = || wrong(text);
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or_else(wrong);
        let first: u64 = next()?.parse().map_err(|_| wrong())?;
        let handed_ms: i64 = next()?.parse().map_err(|_| wrong())?;
        let invisible_ms: i64 = next()?.parse().map_err(|_| wrong())?;
        let number: u32 = next()?.parse().map_err(|_| wrong())?;
        let (_retry, _broker) = (next()?, next()?);
        let own_queue: u32 = next()?.parse().map_err(|_| wrong())?;
        let own_offset = parts.next().map(str::parse::<u64>).transpose().map_err(|_| wrong())?;
        if own_queue != queue || own_offset.is_some_and(|own| own != offset) || parts.next().is_some() {
            return Err(wrong());
        }
        Ok(Handle { receipt: PopReceipt { partition: queue, offset, first, number, handed_ms }, invisible_ms })
    }

    /// Where nothing else says which message it is of.
    pub(in crate::rocketmq) fn read_alone(text: &str) -> Result<Handle, Refusal> {
        let mut parts = text.rsplitn(3, ' ');
        let mut last = || parts.next();
        let place = (|| Some((last()?.parse().ok()?, last()?.parse().ok()?)))();
        match place {
            Some((offset, queue)) => Handle::read(text, queue, offset),
            None => Err(wrong(text)),
        }
    }

    pub(in crate::rocketmq) fn write(&self) -> String {
        let PopReceipt { partition, offset, first, number, handed_ms } = self.receipt;
        format!("{first} {handed_ms} {} {number} 0 {BROKER} {partition} {offset}", self.invisible_ms)
    }
}

fn wrong(text: &str) -> Refusal {
    Refusal::illegal(format!("{text:.200?} is no receipt of a message that was popped"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn receipts_go_there_and_back_and_others_are_refused() {
        let receipt = PopReceipt { partition: 3, offset: 105, first: 100, number: 2, handed_ms: 1_795_889_930_706 };
        let handle = Handle { receipt, invisible_ms: 60_000 };
        let text = handle.write();
        assert_eq!(text, "100 1795889930706 60000 2 0 millstream 3 105");
        assert_eq!(Handle::read(&text, 3, 105).unwrap(), handle);
        assert!(Handle::read(&text, 2, 105).is_err() && Handle::read(&text, 3, 106).is_err());
        let (short, _) = text.rsplit_once(' ').unwrap();
        assert_eq!(Handle::read(short, 3, 105).unwrap(), handle, "some clients leave the offset out");
        for end in 0..short.len() {
            // Cut numbers are numbers, but not those of another queue.
            assert!(Handle::read(&text[..end], 3, 105).is_err(), "{end}");
        }
        let longest = PopReceipt {
            partition: u32::MAX,
            offset: u64::MAX,
            first: u64::MAX,
            number: u32::MAX,
            handed_ms: i64::MIN,
        };
        assert!(Handle { receipt: longest, invisible_ms: i64::MIN }.write().len() < MAX_BYTES);
    }
}
