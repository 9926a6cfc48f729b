//! The statements we tell apart. Names are as written; they are resolved when the statement is executed.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    ColumnDef, DataType, Expr, Ident, Insert, ObjectName, Query, UnaryOperator, visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::TokenWithSpan;
use millstream_engine::{SeekTo, VersionStart};

use super::{IdentityStatement, Options};
use crate::Position;
use crate::names::{fold, quote};

/// A parsed statement.
#[derive(Debug, Clone)]
pub(crate) enum Statement {
    /// SELECT, VALUES, WITH …, and EXPLAIN of those.
    Query(Box<DfStatement>),
    Insert(Box<Insert>),
    /// The whole store.
    Backup {
        path: String,
    },
    CopyFrom(CopyFrom),
    CopyTo(Box<CopyTo>),
    CreateNamespace {
        name: ObjectName,
        if_not_exists: bool,
        options: Options,
    },
    AlterNamespace {
        name: ObjectName,
        options: Options,
    },
    DropNamespace {
        name: ObjectName,
        if_exists: bool,
    },
    Use {
        namespace: ObjectName,
    },
    CreateTable(CreateTable),
    AlterTable {
        name: ObjectName,
        change: AlterTable,
    },
    DropTable {
        name: ObjectName,
        if_exists: bool,
        force: bool,
    },
    CreateTopic(Box<CreateTopic>),
    ExplainCreateTopic(Box<CreateTopic>),
    ExplainTopic {
        name: ObjectName,
    },
    DropTopic {
        name: ObjectName,
        if_exists: bool,
        force: bool,
    },
    ReloadTopic {
        name: ObjectName,
        /// Plugin versions; all else stays as it is. None: everything that is newest.
        to: Vec<(Ident, u64)>,
        /// Where they begin; all else stays as it is. `None`: for all rows.
        at: Option<VersionStart>,
    },
    /// Of a continuous topic.
    PauseTopic {
        name: ObjectName,
        paused: bool,
    },
    /// Of a continuous topic.
    RebuildTopic {
        name: ObjectName,
    },
    ShadowTopic {
        name: ObjectName,
        plugin: Ident,
        version: u64,
    },
    UnshadowTopic {
        name: ObjectName,
    },
    CreatePlugin(CreatePlugin),
    DropPlugin {
        name: ObjectName,
        if_exists: bool,
    },
    ResumePlugin {
        name: ObjectName,
    },
    CreateFunction(CreateFunction),
    DropFunction {
        name: ObjectName,
        if_exists: bool,
    },
    CreateCheckback(CreateCheckback),
    DropCheckback {
        name: ObjectName,
        if_exists: bool,
    },
    Identity(IdentityStatement),
    CreateConsumer(CreateConsumer),
    AlterConsumer {
        name: ObjectName,
        options: Options,
    },
    PauseConsumer {
        name: ObjectName,
        paused: bool,
    },
    ReloadConsumer {
        name: ObjectName,
        version: Option<u64>,
        at: Option<Target>,
    },
    DropConsumer {
        name: ObjectName,
        if_exists: bool,
        force: bool,
    },
    CreateGroup {
        group: ObjectName,
        if_not_exists: bool,
        options: Options,
    },
    AlterGroup {
        group: ObjectName,
        options: Options,
    },
    SetOffsets {
        group: ObjectName,
        to: Target,
        topic: Option<ObjectName>,
        partition: Option<u64>,
    },
    DropGroup {
        group: ObjectName,
        if_exists: bool,
        force: bool,
    },
    CommitOffsets {
        topic: ObjectName,
        group: ObjectName,
        client: Option<String>,
    },
    EndTransaction {
        /// Of a half message.
        id: String,
        table: ObjectName,
        commit: bool,
    },
    /// The messages of a table that a query gives, which are all of its columns.
    Resend {
        table: ObjectName,
        query: Box<Query>,
    },
    RecallMessage {
        id: String,
        table: ObjectName,
        /// When it would be delivered, a timestamp.
        due: Option<String>,
    },
    Show(Show),
}

/// `CREATE TABLE`.
#[derive(Debug, Clone)]
pub(crate) struct CreateTable {
    pub(crate) name: ObjectName,
    pub(crate) if_not_exists: bool,
    pub(crate) columns: TableColumns,
    pub(crate) options: Options,
}

/// What columns a table is to have.
#[derive(Debug, Clone)]
pub(crate) enum TableColumns {
    Listed(Vec<ColumnDef>),
    /// `OF MESSAGES`.
    OfMessages,
}

/// What `ALTER TABLE` does.
#[derive(Debug, Clone)]
pub(crate) enum AlterTable {
    AddColumns {
        columns: Vec<(ColumnDef, bool)>,
    },
    Set {
        options: Options,
    },
    /// To a time, as it is written.
    AdvanceWatermark {
        to: String,
    },
}

/// `CREATE TOPIC`.
#[derive(Debug, Clone)]
pub(crate) struct CreateTopic {
    pub(crate) name: ObjectName,
    pub(crate) if_not_exists: bool,
    pub(crate) options: Options,
    pub(crate) definition: Definition,
}

/// What a topic is: a SELECT, or a transform of one.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) transform: Option<TransformCall>,
    pub(crate) query: Query,
    /// The query's tokens, for the places of clauses that the syntax tree has no place for.
    pub(crate) tokens: Vec<TokenWithSpan>,
    /// Where `EMIT ON WINDOW CLOSE` stands.
    pub(crate) emit: Option<Position>,
}

/// `TRANSFORM p(a, b)`.
#[derive(Debug, Clone)]
pub(crate) struct TransformCall {
    pub(crate) plugin: Ident,
    /// Columns of the SELECT, in the order of the plugin's parameters; none: those that have the parameters' names.
    pub(crate) columns: Vec<Ident>,
}

/// Canonical text: one line that reads back as the same.
impl fmt::Display for Definition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut query = self.query.clone();
        // Two signs in a row would be written as the beginning of a comment.
        let _ = visit_expressions_mut(&mut query, |expr| {
            if let Expr::UnaryOp { op: UnaryOperator::Minus, expr: operand } = expr
                && operand.to_string().starts_with('-')
            {
                **operand =
                    Expr::Nested(Box::new(std::mem::replace(operand.as_mut(), Expr::Identifier(Ident::new("")))));
            }
            ControlFlow::<()>::Continue(())
        });
        let Some(TransformCall { plugin, columns }) = &self.transform else {
            query.fmt(f)?;
            return if self.emit.is_some() { f.write_str(" EMIT ON WINDOW CLOSE") } else { Ok(()) };
        };
        let columns: Vec<String> = columns.iter().map(|column| quote(&fold(column))).collect();
        write!(f, "TRANSFORM {}({}) OF ({})", quote(&fold(plugin)), columns.join(", "), query)
    }
}

/// `CREATE PLUGIN`.
#[derive(Debug, Clone)]
pub(crate) struct CreatePlugin {
    pub(crate) name: ObjectName,
    pub(crate) replace: bool,
    pub(crate) source: PluginSource,
    pub(crate) options: Options,
}

/// `CREATE FUNCTION f(a DOUBLE) RETURNS DOUBLE USING PLUGIN p`.
#[derive(Debug, Clone)]
pub(crate) struct CreateFunction {
    pub(crate) name: ObjectName,
    pub(crate) if_not_exists: bool,
    pub(crate) parameters: Vec<(Ident, DataType)>,
    pub(crate) returns: DataType,
    pub(crate) plugin: ObjectName,
}

/// `CREATE CONSUMER c ON topic USING PLUGIN p GROUP g WITH (…)`.
#[derive(Debug, Clone)]
pub(crate) struct CreateConsumer {
    pub(crate) name: ObjectName,
    pub(crate) if_not_exists: bool,
    pub(crate) topic: ObjectName,
    pub(crate) plugin: ObjectName,
    pub(crate) group: Option<ObjectName>,
    pub(crate) options: Options,
}

/// `CREATE CHECKBACK c ON table USING PLUGIN p WITH (…)`.
#[derive(Debug, Clone)]
pub(crate) struct CreateCheckback {
    pub(crate) name: ObjectName,
    pub(crate) if_not_exists: bool,
    pub(crate) table: ObjectName,
    pub(crate) plugin: ObjectName,
    pub(crate) options: Options,
}

/// Where a plugin's module comes from.
#[derive(Debug, Clone)]
pub(crate) enum PluginSource {
    /// A file of the server's machine.
    Path(String),
    /// A version that the plugin has had.
    Version(u64),
    Bytes(Arc<[u8]>),
    /// It comes beside the statement.
    Upload,
}

/// `COPY t FROM 'file'`.
#[derive(Debug, Clone)]
pub(crate) struct CopyFrom {
    pub(crate) table: ObjectName,
    pub(crate) columns: Vec<Ident>,
    pub(crate) path: String,
    pub(crate) options: Options,
}

/// `COPY … TO 'file'`.
#[derive(Debug, Clone)]
pub(crate) struct CopyTo {
    pub(crate) query: Query,
    pub(crate) path: String,
    pub(crate) options: Options,
}

/// Where `SET OFFSET TO` goes, and where a version begins.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Seek(SeekTo),
    /// A timestamp literal, read when executed.
    Timestamp(String),
}

/// Listings.
#[derive(Debug, Clone)]
pub(crate) enum Show {
    Namespaces,
    Tables,
    Topics,
    Plugins,
    Groups,
    Consumers,
    PluginConsumers,
    Checkbacks,
    Subscriptions,
    Segments,
    Functions,
    Users,
    Roles,
    Tokens,
    AccessKeys,
    /// Of a user or role, what he has through roles included; `None`: the caller's.
    Grants(Option<String>),
    Describe(ObjectName),
    CreateTable(ObjectName),
    CreateTopic(ObjectName),
    CreateFunction(ObjectName),
    CreateCheckback(ObjectName),
    /// One of PostgreSQL's settings.
    Setting(&'static str),
}
