//! What goes on while a statement's rows are read: whether they may be waited for, and whether they may still be read.

use millstream_engine::Result;

use crate::query::{Relation, relations};
use crate::threads::planning;
use crate::{Prepared, poll};

impl Prepared {
    /// Whether its rows come from `poll()`, which may wait long for the first one.
    pub fn polls(&self) -> bool {
        self.query().is_some_and(|plan| !planning(|| poll::members(plan)).is_empty())
    }

    /// Says, as often as it is asked and without blocking, whether the principal's login still stands, and whether he may still read
    /// what a query reads.
    pub fn standing(&self) -> impl Fn() -> Result<()> + Send + Sync + use<> {
        let (relations, members) = match self.query() {
            Some(plan) => planning(|| (relations(plan), poll::members(plan))),
            None => Default::default(),
        };
        let scene = self.session.scene();
        let (engine, who) = (scene.engine().clone(), scene.who().clone());
        move || {
            engine.check_login(&who)?;
            relations.iter().try_for_each(|relation| match relation {
                Relation::Table(table) => engine.check_reads(&who, table),
                Relation::Topic(topic, _) => engine.check_reads_topic(&who, topic),
            })?;
            members.iter().try_for_each(|(config, topic)| engine.check_consumes(&who, config, topic))
        }
    }
}
