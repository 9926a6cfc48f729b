//! Carrying out statements that are not queries. Everything here blocks, and runs on threads that may.

mod backup;
mod checkbacks;
mod consumers;
mod continuous;
mod copy_from;
mod copy_to;
mod define;
mod files;
mod functions;
mod groups;
mod identities;
mod insert;
mod messages;
mod namespaces;
mod new_file;
mod plugins;
mod reach;
mod resend;
mod tables;
mod topic_reloads;
mod topics;

use millstream_engine::{Engine, Principal};

use crate::parse::Statement;
use crate::query::Reader;
use crate::{Error, Outcome, Result};

pub(crate) use copy_to::copy_to;
pub(crate) use identities::{rows as identity_rows, schema as identity_schema};
pub(crate) use insert::{Appender, insert_columns, own_columns};
pub(crate) use resend::{message_table, resend};
pub(crate) use topics::{explain_create_topic, explain_topic};

/// What a statement acts on and for whom.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) reader: Reader,
    pub(crate) namespace: String,
}

impl Scene {
    pub(crate) fn engine(&self) -> &Engine {
        &self.reader.engine
    }

    pub(crate) fn who(&self) -> &Principal {
        &self.reader.who
    }
}

/// Carries out a definition or another statement without rows.
pub(crate) fn run(scene: &Scene, statement: Statement) -> Result<Outcome> {
    match statement {
        Statement::CreateNamespace { name, if_not_exists, options } => {
            namespaces::create_namespace(scene, &name, if_not_exists, options)
        }
        Statement::AlterNamespace { name, options } => namespaces::alter_namespace(scene, &name, options),
        Statement::DropNamespace { name, if_exists } => namespaces::drop_namespace(scene, &name, if_exists),
        Statement::CreateTable(create) => tables::create_table(scene, create),
        Statement::AlterTable { name, change } => tables::alter_table(scene, &name, change),
        Statement::DropTable { name, if_exists, force } => tables::drop_table(scene, &name, if_exists, force),
        Statement::CreateTopic(create) => topics::create_topic(scene, *create),
        Statement::DropTopic { name, if_exists, force } => topics::drop_topic(scene, &name, if_exists, force),
        Statement::ReloadTopic { name, to, at } => topic_reloads::reload_topic(scene, &name, &to, at),
        Statement::PauseTopic { name, paused } => continuous::pause_topic(scene, &name, paused),
        Statement::RebuildTopic { name } => continuous::rebuild_topic(scene, &name),
        Statement::ShadowTopic { name, plugin, version } => topics::shadow_topic(scene, &name, &plugin, version),
        Statement::UnshadowTopic { name } => topics::unshadow_topic(scene, &name),
        Statement::CreatePlugin(create) => plugins::create_plugin(scene, create),
        Statement::DropPlugin { name, if_exists } => plugins::drop_plugin(scene, &name, if_exists),
        Statement::ResumePlugin { name } => plugins::resume_plugin(scene, &name),
        Statement::CreateFunction(create) => functions::create_function(scene, create),
        Statement::DropFunction { name, if_exists } => functions::drop_function(scene, &name, if_exists),
        Statement::CreateCheckback(create) => checkbacks::create_checkback(scene, create),
        Statement::DropCheckback { name, if_exists } => checkbacks::drop_checkback(scene, &name, if_exists),
        Statement::CreateConsumer(create) => consumers::create_consumer(scene, create),
        Statement::AlterConsumer { name, options } => consumers::alter_consumer(scene, &name, options),
        Statement::PauseConsumer { name, paused } => consumers::pause_consumer(scene, &name, paused),
        Statement::ReloadConsumer { name, version, at } => consumers::reload_consumer(scene, &name, version, at),
        Statement::DropConsumer { name, if_exists, force } => consumers::drop_consumer(scene, &name, if_exists, force),
        Statement::CreateGroup { group, if_not_exists, options } => {
            groups::create_group(scene, &group, if_not_exists, options)
        }
        Statement::AlterGroup { group, options } => groups::alter_group(scene, &group, options),
        Statement::SetOffsets { group, to, topic, partition } => {
            groups::set_offsets(scene, &group, to, topic.as_ref(), partition)
        }
        Statement::DropGroup { group, if_exists, force } => groups::drop_group(scene, &group, if_exists, force),
        Statement::CommitOffsets { topic, group, client } => groups::commit_offsets(scene, &topic, &group, client),
        Statement::EndTransaction { id, table, commit } => messages::end_transaction(scene, &id, &table, commit),
        Statement::RecallMessage { id, table, due } => messages::recall_message(scene, &id, &table, due.as_deref()),
        Statement::Identity(statement) => identities::run(scene, statement),
        Statement::Backup { path } => backup::backup(scene, &path),
        Statement::CopyFrom(copy) => copy_from::copy_from(scene, copy),
        other => Err(Error::Internal(format!("statement {other:?} has a path of its own"))),
    }
}

/// A definition that was carried out.
fn done(message: impl Into<String>) -> Result<Outcome> {
    Ok(Outcome::Done { rows: 0, message: message.into() })
}
