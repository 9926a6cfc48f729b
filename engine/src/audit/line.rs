//! A line, and the table's columns.

use std::net::IpAddr;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::model::{Error, Principal, Result};

/// Characters of a detail; what is behind them is cut.
const MAX_DETAIL: usize = 1_000;

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Done,
    /// Who asked may not.
    Refused,
    /// He may, and it could not be done.
    Failed,
}

impl Outcome {
    fn name(self) -> &'static str {
        match self {
            Outcome::Done => "done",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
        }
    }
}

/// What is done to which object. Texts that are empty are null in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deed {
    pub action: &'static str,
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// Never what somebody has sent to prove who he is.
    pub detail: String,
}

impl Deed {
    pub(crate) fn new(action: &'static str, kind: &'static str, namespace: &str, name: &str) -> Deed {
        Deed { action, kind, namespace: namespace.to_owned(), name: name.to_owned(), detail: String::new() }
    }

    pub(crate) fn with(self, detail: impl Into<String>) -> Deed {
        Deed { detail: detail.into(), ..self }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuditLine {
    pub at_us: i64,
    /// `None`: somebody who is not known.
    pub principal: Option<String>,
    /// How he has logged in, without the secret; `None` while nobody has to, and of the server.
    pub login: Option<String>,
    pub ip: Option<IpAddr>,
    /// Empty where he came by none.
    pub door: &'static str,
    pub deed: Deed,
    pub outcome: Outcome,
}

impl AuditLine {
    pub(super) fn of_the_server(at_us: i64, deed: Deed) -> AuditLine {
        let principal = Some(Principal::system().name().to_owned());
        AuditLine { at_us, principal, login: None, ip: None, door: "", deed, outcome: Outcome::Done }
    }
}

/// The table's columns; `at` is its time.
pub(crate) fn audit_columns() -> SchemaRef {
    let text = |name| Field::new(name, DataType::Utf8, false);
    let text_or_null = |name| Field::new(name, DataType::Utf8, true);
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        text_or_null("principal"),
        text_or_null("login"),
        text_or_null("address"),
        text_or_null("door"),
        text("action"),
        text("kind"),
        text_or_null("namespace"),
        text_or_null("name"),
        text("outcome"),
        text_or_null("detail"),
    ]))
}

pub(crate) fn audit_rows(lines: &[AuditLine]) -> Result<RecordBatch> {
    let text = |of: &dyn Fn(&AuditLine) -> Option<String>| -> ArrayRef {
        Arc::new(lines.iter().map(of).map(|text| text.filter(|text| !text.is_empty())).collect::<StringArray>())
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(lines.iter().map(|line| line.at_us)).with_timezone("UTC")),
        text(&|line| line.principal.clone()),
        text(&|line| line.login.clone()),
        text(&|line| line.ip.map(|ip| ip.to_string())),
        text(&|line| Some(line.door.to_owned())),
        text(&|line| Some(line.deed.action.to_owned())),
        text(&|line| Some(line.deed.kind.to_owned())),
        text(&|line| Some(line.deed.namespace.clone())),
        text(&|line| Some(line.deed.name.clone())),
        text(&|line| Some(line.outcome.name().to_owned())),
        text(&|line| Some(line.deed.detail.chars().take(MAX_DETAIL).collect())),
    ];
    RecordBatch::try_new(audit_columns(), columns)
        .map_err(|error| Error::Internal(format!("lines of the audit table make no batch: {error}")))
}
