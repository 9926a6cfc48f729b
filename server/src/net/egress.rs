//! Memory for what is on its way to clients.

use super::pool::Pool;

/// What tells how the server is has this much besides.
const PROBE_BYTES: usize = 4 << 20;

/// The room for what is made for clients and the kernel has not taken.
#[derive(Debug)]
pub(crate) struct Egress {
    pub(crate) pool: Pool,
    /// For answers that tell how the server is.
    pub(crate) probes: Pool,
}

impl Egress {
    pub(crate) fn new(bytes: usize) -> Egress {
        Egress { pool: Pool::new(bytes), probes: Pool::new(PROBE_BYTES) }
    }
}
