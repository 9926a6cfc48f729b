//! What messages are acknowledged with, as clients keep it: the receipts of the other door.

use super::proto::Code;
use super::status::{Done, Failed};
use crate::rocketmq::pop::Handle;

pub(super) fn read(text: &str) -> Done<Handle> {
    Handle::read_alone(text).map_err(|refusal| Failed::new(Code::InvalidReceiptHandle, refusal.remark))
}

/// Of no use any more, or never.
pub(super) fn stale(handle: &Handle) -> Failed {
    let (queue, offset) = (handle.receipt.partition, handle.receipt.offset);
    let message = format!(
        "the message at offset {offset} of queue {queue} is in other hands, or was not handed out with this receipt"
    );
    Failed::new(Code::InvalidReceiptHandle, message)
}

#[cfg(test)]
mod tests {
    use millstream_engine::PopReceipt;

    use super::*;
    use crate::fuzz::fuzz;

    #[test]
    fn mutated_receipts_are_read_or_refused() {
        let text = "100 1795889930706 60000 2 0 millstream 3 105";
        fuzz(text.as_bytes(), &[" ", "-1", "18446744073709551616", "é", "\u{0}"], |bytes| {
            std::str::from_utf8(bytes).is_ok_and(|text| read(text).is_ok())
        });
    }

    #[test]
    fn receipts_go_there_and_back_and_others_are_refused() {
        let receipt = PopReceipt { partition: 3, offset: 105, first: 100, number: 2, handed_ms: 1_795_889_930_706 };
        let text = Handle { receipt, invisible_ms: 60_000 }.write();
        assert_eq!(read(&text).unwrap().receipt, receipt);
        for end in 0..text.len() - 2 {
            assert!(read(&text[..end]).is_err(), "{end}");
        }
        for wrong in ["", " ", "é", "a b c", "1 2"] {
            assert_eq!(read(wrong).unwrap_err().code, Code::InvalidReceiptHandle);
        }
    }
}
