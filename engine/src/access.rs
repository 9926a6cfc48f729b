//! Who may do what. The one place that decides; until roles exist, everybody may do everything.

use crate::{Principal, Result};

/// To be asked by every engine call.
#[expect(clippy::unnecessary_wraps, reason = "roles will refuse")]
pub(crate) fn check(_who: &Principal) -> Result<()> {
    Ok(())
}
