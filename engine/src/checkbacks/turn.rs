//! One batch of half messages: asked about and decided.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::handle::Checkbacks;
use super::stoppable::Stoppable;
use crate::access::Action;
use crate::contract::{
    CheckVerdict, CheckbackHandler, CheckbackInfo, CheckbackOrder, CheckbackScope, Checked, PluginInfo, check,
};
use crate::messages::{HalfOutcome, half_columns, micros};
use crate::model::{Error, ErrorKind, Result, TableId, TableInfo, producer_group};
use crate::state::{CheckbackStands, DueKey, DueWhat, HalfEntry, Submission};

/// Half messages of one turn, and the share of a commit that they may be of.
const BATCH: usize = 4_096;
const BATCH_SHARE: usize = 8;
/// Until a plugin host is there, and SQL, by whose rule values are read.
const HOSTLESS: Duration = Duration::from_millis(100);

/// What a turn came to.
#[derive(Debug)]
pub(super) enum Turned {
    /// Nothing else is due.
    Done,
    /// There may be more from here on.
    More(DueKey),
    /// Nothing was asked, for so long.
    Held(Duration),
}

/// Whom a half message is given to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Plugin,
    Producer,
    Nobody,
}

/// What is asked about whom.
#[derive(Debug)]
struct Asking {
    info: Arc<CheckbackInfo>,
    table: Arc<TableInfo>,
    plugin: Arc<PluginInfo>,
}

impl Checkbacks {
    pub(super) fn turn(&self, from: DueKey) -> Result<Turned> {
        let Some(asking) = self.asking(from.table)? else { return Ok(Turned::Done) };
        let Asking { info, table, plugin } = &asking;
        if self.plugins.host.read().is_none() || self.plugins.compiler.read().is_none() {
            return Ok(Turned::Held(HOSTLESS));
        }
        let access = &self.ledger.access;
        access.check_owner(&info.owner, Action::Produce, &table.as_ref().into())?;
        access.check_owner(&info.owner, Action::Use, &plugin.as_ref().into())?;
        let (keys, more) = self.due.due_of(DueWhat::Check, from, BATCH)?;
        let max_bytes = self.ledger.options.max_commit_bytes / BATCH_SHARE;
        let (halves, seen) = self.messages.halves_of(&keys, max_bytes)?;
        let next = match keys.get(seen) {
            Some(next) => Some(*next),
            None if more => keys.last().map(|last| DueKey { index: last.index.saturating_add(1), ..*last }),
            None => None,
        };
        let asks = self.whom_to_ask(info, &halves);
        let outcomes = self.outcomes(&asking, &halves, &asks)?;
        self.decide(&asking, &outcomes)?;
        Ok(next.map_or(Turned::Done, Turned::More))
    }

    /// `None` if the table has no checkback any more.
    fn asking(&self, table: TableId) -> Result<Option<Asking>> {
        let state = self.ledger.state.read();
        let catalog = state.catalog();
        let Some(info) = catalog.checkback_of_table(table).cloned() else { return Ok(None) };
        let plugin = catalog.plugin_named(&info.namespace, &info.plugin).cloned();
        let table = state.table(table).cloned().ok_or_else(|| Error::gone("table"))?;
        Ok(Some(Asking { info, table, plugin: plugin.ok_or_else(|| Error::gone("plugin"))? }))
    }

    /// Whom to ask about each, and whether a producer is there who may be asked as well.
    fn whom_to_ask(&self, info: &CheckbackInfo, halves: &[(DueKey, HalfEntry)]) -> Vec<(Asks, bool)> {
        let order = info.settings.order;
        let now = self.ledger.options.clock.awake();
        let mut alive: HashMap<&str, bool> = HashMap::new();
        let mut is_alive = |group| {
            *alive.entry(group).or_insert_with(|| {
                let (namespace, name) = producer_group(group);
                self.producers.has_producer(namespace, name, now)
            })
        };
        let whom = halves.iter().map(|(_, half)| {
            let alive = order != CheckbackOrder::PluginOnly && is_alive(&half.group);
            let asks = match order {
                _ if half.checks >= info.settings.limit => Asks::Nobody,
                CheckbackOrder::ProducerFirst if half.checks == 0 && alive => Asks::Producer,
                _ => Asks::Plugin,
            };
            (asks, alive)
        });
        whom.collect()
    }

    /// What becomes of each half message, and whether a producer is to be asked about it as well.
    fn outcomes(
        &self,
        asking: &Asking,
        halves: &[(DueKey, HalfEntry)],
        asks: &[(Asks, bool)],
    ) -> Result<Vec<(DueKey, HalfOutcome, bool)>> {
        let of_plugin = halves.iter().zip(asks).filter(|(_, (asks, _))| *asks == Asks::Plugin);
        let for_plugin: Vec<&HalfEntry> = of_plugin.map(|((_, half), _)| half).collect();
        let verdicts = match for_plugin.is_empty() {
            true => Vec::new(),
            false => self.verdicts(asking, &for_plugin)?,
        };
        let Asking { info, .. } = asking;
        let every_us = micros(info.settings.every_ms).max(1);
        let again = HalfOutcome::AskedAgain(self.ledger.log.time().now_us().saturating_add(every_us));
        let mut verdicts = verdicts.into_iter();
        let outcomes = halves.iter().zip(asks).map(|((key, _), (asks, alive))| match asks {
            Asks::Nobody => (*key, HalfOutcome::Parked, false),
            Asks::Producer => (*key, again, true),
            Asks::Plugin => match verdicts.next().unwrap_or(CheckVerdict::Unknown) {
                CheckVerdict::Commit => (*key, HalfOutcome::Committed, false),
                CheckVerdict::Rollback => (*key, HalfOutcome::RolledBack, false),
                CheckVerdict::Unknown => (*key, again, *alive),
            },
        });
        Ok(outcomes.collect())
    }

    /// What the plugin says. Where it fails that is `Unknown`, and told of.
    fn verdicts(&self, asking: &Asking, halves: &[&HalfEntry]) -> Result<Vec<CheckVerdict>> {
        let Asking { info, plugin, .. } = asking;
        let handler = match self.handler(info.id, plugin) {
            // Others are compiled first, or its namespace is over its share.
            Err(error) if error.kind() == ErrorKind::Retry => return Err(error),
            handler => handler,
        };
        if let Some(left) = handler.as_ref().ok().and_then(|handler| handler.throttled()) {
            return Err(Error::Throttled { topic: asking.table.name.clone(), left });
        }
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let events = &self.ledger.events;
        let checked = handler.and_then(|handler| {
            let batch = half_columns(halves, handler.parameters(), |values, to| self.plugins.try_cast(values, to))?;
            let handler: Arc<dyn CheckbackHandler> = Arc::new(Stoppable { handler, board: self.board.clone() });
            let _scope = CheckbackScope::enter(&info.name);
            check(&handler, &batch)
        });
        if self.board.is_stopping() {
            return Err(Error::Closed);
        }
        let (verdicts, failed) = match checked {
            Ok(Checked { verdicts, faults }) => {
                let failed = faults.iter().map(|fault| fault.rows.len()).sum();
                match faults.first() {
                    Some(fault) => self.standings.failed(events, info, count(failed), &fault.error.to_string()),
                    None => self.standings.well(info.id),
                }
                (verdicts, failed)
            }
            Err(error) => {
                self.standings.failed(events, info, count(halves.len()), &error.to_string());
                (vec![CheckVerdict::Unknown; halves.len()], halves.len())
            }
        };
        self.standings.count(info.id, |figures| {
            figures.asked += count(halves.len());
            figures.failed += count(failed);
        });
        Ok(verdicts)
    }

    fn decide(&self, asking: &Asking, outcomes: &[(DueKey, HalfOutcome, bool)]) -> Result<()> {
        let Asking { info, table, .. } = asking;
        let by_key: HashMap<DueKey, (HalfOutcome, bool)> =
            outcomes.iter().map(|(key, outcome, producer)| (*key, (*outcome, *producer))).collect();
        let mut decided = Vec::new();
        self.due.settle_free(DueWhat::Check, outcomes.iter().map(|(key, _, _)| *key), |claimed| {
            let outcome = |key: &DueKey| by_key.get(key).map(|(outcome, _)| (*key, *outcome));
            let claimed: Vec<(DueKey, HalfOutcome)> = claimed.iter().filter_map(outcome).collect();
            let deciding = self.messages.deciding(table, &claimed)?;
            decided = deciding.as_ref().map(|(_, done)| done.clone()).unwrap_or_default();
            // The word of one that was dropped meanwhile does not count.
            let stands = CheckbackStands { checkback: info.id };
            Ok(deciding
                .map(|(submission, done)| (Submission { preconditions: vec![stands.into()], ..submission }, done)))
        })?;
        let decided: Vec<(DueKey, HalfOutcome, bool)> = decided
            .into_iter()
            .filter_map(|key| by_key.get(&key).map(|(outcome, producer)| (key, *outcome, *producer)))
            .collect();
        self.told(info, table, &decided);
        Ok(())
    }

    /// What has been decided, now that it stands.
    fn told(&self, info: &CheckbackInfo, table: &TableInfo, decided: &[(DueKey, HalfOutcome, bool)]) {
        let of = |wanted: fn(HalfOutcome) -> bool| {
            let found = decided.iter().filter(|(_, outcome, _)| wanted(*outcome)).count();
            u64::try_from(found).unwrap_or(u64::MAX)
        };
        let producers = decided.iter().filter(|(_, _, producer)| *producer);
        producers.clone().for_each(|(key, _, _)| self.messages.ask_producers(key));
        let parked = of(|outcome| outcome == HalfOutcome::Parked);
        self.standings.count(info.id, |figures| {
            figures.committed += of(|outcome| outcome == HalfOutcome::Committed);
            figures.rolled_back += of(|outcome| outcome == HalfOutcome::RolledBack);
            figures.unknown += of(|outcome| matches!(outcome, HalfOutcome::AskedAgain(_)));
            figures.parked += parked;
            figures.asked_producers += u64::try_from(producers.count()).unwrap_or(u64::MAX);
        });
        if parked > 0 {
            let (name, table, limit) = (&info.name, &table.name, info.settings.limit);
            self.ledger.events.push(
                "transaction_parked",
                format!(
                    "{parked} transactions of table {table:?} were asked about {limit} times through checkback {name:?}, and are \
                     not decided; they wait for COMMIT TRANSACTION or ROLLBACK TRANSACTION"
                ),
            );
        }
    }

    /// A turn has failed, and nothing was decided.
    pub(super) fn failed(&self, table: TableId, why: &str) {
        let info = self.ledger.state.read().catalog().checkback_of_table(table).cloned();
        if let Some(info) = info {
            self.standings.failed(&self.ledger.events, &info, 0, why);
        }
    }
}
