//! The calls that are counted while they last.

use crate::figures::Label;

pub(super) const DO_EXCHANGE: Label = label("do_exchange");
pub(super) const DO_GET: Label = label("do_get");
pub(super) const DO_PUT: Label = label("do_put");
pub(super) const CALLS: [Label; 3] = [DO_EXCHANGE, DO_GET, DO_PUT];

const fn label(call: &'static str) -> Label {
    Label { door: "flight", call }
}
