//! What is told of in the table `system.audit`, and the thread that writes what waits.

use std::sync::{Arc, Weak};

use super::rooms::Rooms;
use crate::access::Action;
use crate::audit::{AuditLine, Deed, Outcome, WaitingLines, audit_columns, audit_rows, deeds_of};
use crate::front::Engine;
use crate::model::{
    AUDIT_TABLE, Error, Lsn, NamespaceLimits, PartitionId, Principal, Result, SYSTEM_NAMESPACE, TableId, TableInfo,
    TableOptions,
};
use crate::state::{Change, Submission};

/// Lines of one submission of the thread.
const LINES_TOGETHER: usize = 4_096;
const DAY_MS: u64 = 24 * 3600 * 1000;
const PARTITION: PartitionId = 0;

impl Engine {
    /// That messages of a dead-letter table were sent again: so many, and what came in between.
    pub fn tell_resent(
        &self,
        who: &Principal,
        letters: &TableInfo,
        messages: u64,
        failure: Option<&str>,
    ) -> Result<()> {
        self.session(who)?.allow(Action::Read, letters)?;
        let TableInfo { namespace, name, .. } = letters;
        let (outcome, failure) = match failure {
            None => (Outcome::Done, String::new()),
            Some(failure) => (Outcome::Failed, format!(", then: {failure}")),
        };
        let deed = Deed::new("resend", "table", namespace, name).with(format!("{messages} messages{failure}"));
        self.rooms.audit.tell(self.rooms.audit.line(&self.rooms.ledger.access, who, deed, outcome));
        Ok(())
    }

    /// Submits what `who` defines, with the lines that tell of it, and waits until it stands. Gives the LSN of the last record.
    pub(super) fn submit_for(&self, who: &Principal, submission: Submission) -> Result<Lsn> {
        let deeds = match self.rooms.audit.is_on() {
            true => deeds_of(&submission.records, &self.rooms.ledger.state.read()),
            false => Vec::new(),
        };
        self.telling(who, deeds, |told| {
            let Submission { rows, telling, .. } = told;
            // They lie behind the records.
            let lines: u64 = rows.iter().map(|part| u64::from(part.rows)).sum();
            let lsn = self.rooms.ledger.log.submit(Submission { rows, telling, ..submission })?.wait()?.lsn;
            Ok(Lsn(lsn.0.saturating_sub(lines)))
        })
    }

    /// Has `act` go on from a submission that holds the lines of these deeds. What fails is told of, too.
    pub(super) fn telling<T>(
        &self,
        who: &Principal,
        deeds: Vec<Deed>,
        act: impl FnOnce(Submission) -> Result<T>,
    ) -> Result<T> {
        act(self.told(who, &deeds)?).inspect_err(|error| {
            // What is busy is tried again.
            if !matches!(error, Error::Busy(_)) {
                self.rooms.audit.failed(&self.rooms.ledger.access, who, deeds, error);
            }
        })
    }

    fn told(&self, who: &Principal, deeds: &[Deed]) -> Result<Submission> {
        if deeds.is_empty() || !self.rooms.audit.is_on() {
            return Ok(Submission::default());
        }
        let Rooms { audit, ledger, .. } = self.rooms.as_ref();
        let lines: Vec<AuditLine> =
            deeds.iter().map(|deed| audit.line(&ledger.access, who, deed.clone(), Outcome::Done)).collect();
        self.submission_of(&lines)
    }

    fn submission_of(&self, lines: &[AuditLine]) -> Result<Submission> {
        let table = self.audit_table().ok_or_else(|| Error::Internal("the audit table is not there".to_owned()))?;
        let part = self.rooms.appender.whole(&table, PARTITION, &audit_rows(lines)?)?;
        Ok(Submission { rows: vec![part], telling: true, ..Submission::default() })
    }

    fn audit_table(&self) -> Option<Arc<TableInfo>> {
        self.rooms.ledger.state.read().catalog().table_named(SYSTEM_NAMESPACE, AUDIT_TABLE).cloned()
    }

    /// At opening: where there are users, where there is such a table already, or if it is wanted.
    pub(super) fn start_audit(&self) -> Result<()> {
        match self.has_users() || self.audit_table().is_some() || self.rooms.ledger.options.audit.always {
            true => self.begin_audit(),
            false => Ok(()),
        }
    }

    /// Makes the table, if it is not there, and has lines kept from now on.
    pub(super) fn begin_audit(&self) -> Result<()> {
        if self.rooms.audit.is_on() {
            return Ok(());
        }
        let submit = |change| match self.rooms.ledger.log.submit(Submission::of([change]))?.wait() {
            Err(Error::AlreadyExists { .. }) => Ok(()),
            done => done.map(drop),
        };
        let name = SYSTEM_NAMESPACE.to_owned();
        if !self.rooms.ledger.state.read().catalog().has_namespace(&name) {
            submit(Change::NamespaceCreated { name, limits: NamespaceLimits::default() })?;
        }
        let retention_ms = Some(u64::from(self.rooms.ledger.options.audit.retention_days) * DAY_MS);
        match self.audit_table() {
            None => submit(Change::TableCreated(table_info(retention_ms)))?,
            Some(table) if table.options.retention_ms != retention_ms => {
                submit(Change::RetentionSet { table: table.id, retention_ms })?;
            }
            Some(_) => {}
        }
        self.rooms.audit.begin(|waiting| {
            let weak = Arc::downgrade(&self.rooms);
            self.rooms.ledger.threads.start_again("audit", move || run(&waiting, &weak))
        })
    }
}

fn table_info(retention_ms: Option<u64>) -> TableInfo {
    TableInfo {
        id: TableId(0),
        namespace: SYSTEM_NAMESPACE.to_owned(),
        name: AUDIT_TABLE.to_owned(),
        schemas: vec![audit_columns()],
        options: TableOptions { time_column: Some("at".to_owned()), retention_ms, ..TableOptions::default() },
        owner: Principal::system(),
        created: Lsn(0),
    }
}

fn run(waiting: &WaitingLines, rooms: &Weak<Rooms>) {
    loop {
        let (lines, is_last) = waiting.next();
        let Some(rooms) = rooms.upgrade() else { return };
        for lines in lines.chunks(LINES_TOGETHER) {
            if let Err(error) = write(&rooms, lines) {
                waiting.lose(lines.len());
                tracing::warn!(
                    "{} lines of {SYSTEM_NAMESPACE}.{AUDIT_TABLE} could not be written: {error}",
                    lines.len()
                );
            }
        }
        if is_last {
            return;
        }
    }
}

/// As rows that somebody appends, which need free disk space.
fn write(rooms: &Arc<Rooms>, lines: &[AuditLine]) -> Result<()> {
    let submission = Submission { telling: false, ..Engine::within(rooms).submission_of(lines)? };
    rooms.ledger.log.submit(submission)?.wait().map(drop)
}
