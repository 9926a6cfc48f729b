//! The whole store, copied.

use std::path::Path;

use crate::access::Action;
use crate::audit::{Deed, Outcome};
use crate::backup;
use crate::front::Engine;
use crate::model::{BackupInfo, Principal, Result};

impl Engine {
    /// Copies the store into the directory `into`, which must not be there, while it goes on: what was acknowledged before the call is in
    /// it. `restore` makes a data directory of it. Segments of an object store stay there. Blocks, as long as the disk needs; whoever
    /// asks for another one waits. It holds everything, passwords' hashes and what secrets are sealed with as well.
    pub fn backup(&self, who: &Principal, into: &Path) -> Result<BackupInfo> {
        let session = self.session(who)?;
        session.server(Action::Operate)?;
        session.server(Action::Read)?;
        let _held = self.rooms.maintenance.hold_files();
        let taken = backup::take(&self.rooms.ledger, &self.rooms.plugins.modules, into);
        let deed = |detail| Deed::new("backup", "server", "", "").with(detail);
        let (deed, outcome) = match &taken {
            Ok(info) => (deed(format!("{}, up to LSN {}", into.display(), info.lsn)), Outcome::Done),
            Err(error) => (deed(format!("{}: {error}", into.display())), Outcome::Failed),
        };
        self.rooms.audit.tell(self.rooms.audit.line(&self.rooms.ledger.access, who, deed, outcome));
        taken
    }
}
