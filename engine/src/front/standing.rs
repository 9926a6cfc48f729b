//! Whether what goes on for long may go on. Nothing here looks at the state, so that it may be asked often, and anywhere.

use crate::access::Action;
use crate::front::Engine;
use crate::model::{ConsumerConfig, Principal, Result, TableInfo, TopicInfo};

impl Engine {
    /// Whether the principal may still append to the table.
    pub fn check_appends(&self, who: &Principal, table: &TableInfo) -> Result<()> {
        self.session(who)?.allow(Action::Produce, table)
    }

    /// Whether the principal may still read the table's rows as history.
    pub fn check_reads(&self, who: &Principal, table: &TableInfo) -> Result<()> {
        self.session(who)?.allow(Action::Read, table)
    }

    /// The same of a topic.
    pub fn check_reads_topic(&self, who: &Principal, topic: &TopicInfo) -> Result<()> {
        self.session(who)?.allow(Action::Read, topic)
    }

    /// Whether the principal may still read the topic as a member of the group.
    pub fn check_consumes(&self, who: &Principal, config: &ConsumerConfig, topic: &TopicInfo) -> Result<()> {
        let session = self.session(who)?;
        session.allow(Action::Consume, config)?;
        session.allow(Action::Consume, topic)
    }
}
