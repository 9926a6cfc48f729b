//! Work that threads do by themselves, asked for at once.

use crate::access::Action;
use crate::front::Engine;
use crate::model::Principal;
use crate::model::{Result, TableId};

impl Engine {
    /// Refuses who may not read and write the server's files, in the directories that are allowed.
    pub fn check_files(&self, who: &Principal) -> Result<()> {
        self.session(who)?.server(Action::Operate)
    }

    /// Cuts everything durable of a table into segments now, and trims the log behind it.
    pub fn cut_segments(&self, who: &Principal, id: TableId) -> Result<()> {
        self.rooms.maintenance.cut_table(self.session(who)?.table_by_id(Action::Operate, id)?.id)
    }

    /// Does everything that is due by the engine's clock before it returns: retention, segments to be cut or merged,
    /// trimming of the log, deletion of files that nobody reads any more; and messages given back whose clients have gone.
    pub fn maintain(&self, who: &Principal) -> Result<()> {
        self.session(who)?.server(Action::Operate)?;
        self.rooms.pop.look_after_clients();
        self.rooms.maintenance.run_now()
    }
}
