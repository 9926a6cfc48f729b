//! Settings of what is kept of who does what, and of what becomes of messages.

use super::forms::{flag, number, text};
use super::setting::{Access, Setting};
use super::values::parse_bool;

pub(super) const MESSAGE_TRACE: Setting = flag!(
    "message_trace",
    engine.message_trace,
    "Whether deliveries of messages to RocketMQ consumers, and what becomes of them, are noted in the table \
     message_trace of their namespace"
);

pub(super) const AUDIT: Setting = flag!(
    "audit",
    engine.audit.always,
    "Whether system.audit is kept also while there is no user; with users it always is"
);

pub(super) const AUDIT_READS: Setting = flag!(
    "audit_reads",
    engine.audit.reads,
    "Whether system.audit has lines also of who reads and consumes what, one a minute"
);

pub(super) const AUDIT_RETENTION_DAYS: Setting = number!(
    "audit_retention_days",
    1..=36_500,
    engine.audit.retention_days as u32,
    "Days that lines of system.audit are kept"
);
