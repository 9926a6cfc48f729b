//! SHOW, DESCRIBE and EXPLAIN of topics.

use super::{Cursor, Show, Statement, create};
use crate::Result;

pub(super) fn parse_show(cursor: &mut Cursor) -> Result<Statement> {
    if cursor.words(&["DESCRIBE"]) || cursor.words(&["DESC"]) {
        let _ = cursor.words(&["TABLE"]) || cursor.words(&["TOPIC"]);
        return Ok(Statement::Show(Show::Describe(cursor.name()?)));
    }
    cursor.expect_words(&["SHOW"])?;
    let listings: [(&[&str], Show); 14] = [
        (&["TABLES"], Show::Tables),
        (&["TOPICS"], Show::Topics),
        (&["PLUGINS"], Show::Plugins),
        (&["PLUGIN", "CONSUMERS"], Show::PluginConsumers),
        (&["CONSUMER", "GROUPS"], Show::Groups),
        (&["GROUPS"], Show::Groups),
        (&["CONSUMERS"], Show::Consumers),
        (&["SUBSCRIPTIONS"], Show::Subscriptions),
        (&["SEGMENTS"], Show::Segments),
        (&["FUNCTIONS"], Show::Functions),
        (&["NAMESPACES"], Show::Namespaces),
        (&["SCHEMAS"], Show::Namespaces),
        (&["DATABASES"], Show::Namespaces),
        (&["CONSUMER", "SUBSCRIPTIONS"], Show::Subscriptions),
    ];
    for (words, show) in listings {
        if cursor.words(words) {
            return Ok(Statement::Show(show));
        }
    }
    if cursor.words(&["CREATE", "TABLE"]) {
        return Ok(Statement::Show(Show::CreateTable(cursor.name()?)));
    }
    if cursor.words(&["CREATE", "TOPIC"]) {
        return Ok(Statement::Show(Show::CreateTopic(cursor.name()?)));
    }
    if cursor.words(&["CREATE", "FUNCTION"]) {
        return Ok(Statement::Show(Show::CreateFunction(cursor.name()?)));
    }
    if cursor.words(&["COLUMNS", "FROM"]) || cursor.words(&["COLUMNS", "IN"]) {
        return Ok(Statement::Show(Show::Describe(cursor.name()?)));
    }
    Err(cursor.expected(
        "TABLES, TOPICS, PLUGINS, PLUGIN CONSUMERS, NAMESPACES, CONSUMER GROUPS, CONSUMERS, SUBSCRIPTIONS, SEGMENTS, FUNCTIONS, \
         COLUMNS FROM, CREATE TABLE, CREATE TOPIC or CREATE FUNCTION",
    ))
}

/// `EXPLAIN TOPIC n` and `EXPLAIN CREATE TOPIC …`.
pub(super) fn parse_explain_topic(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect_words(&["EXPLAIN"])?;
    if cursor.words(&["TOPIC"]) {
        return Ok(Statement::ExplainTopic { name: cursor.name()? });
    }
    cursor.expect_words(&["CREATE", "TOPIC"])?;
    Ok(Statement::ExplainCreateTopic(Box::new(create::parse_create_topic(cursor)?)))
}
