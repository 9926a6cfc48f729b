//! What changes are held against.

use crate::model::Result;
use crate::state::catalog::Catalog;
use crate::state::family::Ahead;
use crate::state::groups::Groups;
use crate::state::unlisted::Unlisted;

/// What stands once every submission ahead is taken.
pub(super) struct Admitting<'a> {
    pub catalog: &'a Catalog,
    pub groups: &'a Groups,
    pub unlisted: &'a Unlisted,
}

impl<'a> Admitting<'a> {
    pub(super) fn of(ahead: &'a dyn Ahead) -> Result<Admitting<'a>> {
        Ok(Admitting { catalog: ahead.catalog(), groups: ahead.get()?, unlisted: ahead.get()? })
    }
}
