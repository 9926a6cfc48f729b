//! SHOW, DESCRIBE and EXPLAIN of topics.

use super::{Cursor, Show, Statement, create, identities};
use crate::Result;

/// Settings that tools ask for when they connect, by the names that PostgreSQL has for them.
const SETTINGS: [(&[&str], &str); 14] = [
    (&["SERVER_VERSION"], "server_version"),
    (&["SERVER_ENCODING"], "server_encoding"),
    (&["CLIENT_ENCODING"], "client_encoding"),
    (&["STANDARD_CONFORMING_STRINGS"], "standard_conforming_strings"),
    (&["INTEGER_DATETIMES"], "integer_datetimes"),
    (&["DATESTYLE"], "datestyle"),
    (&["TIMEZONE"], "timezone"),
    (&["TIME", "ZONE"], "timezone"),
    (&["SEARCH_PATH"], "search_path"),
    (&["TRANSACTION_ISOLATION"], "transaction_isolation"),
    (&["TRANSACTION", "ISOLATION", "LEVEL"], "transaction_isolation"),
    (&["DEFAULT_TRANSACTION_ISOLATION"], "default_transaction_isolation"),
    (&["DEFAULT_TRANSACTION_READ_ONLY"], "default_transaction_read_only"),
    (&["MAX_IDENTIFIER_LENGTH"], "max_identifier_length"),
];

pub(super) fn parse_show(cursor: &mut Cursor) -> Result<Statement> {
    if cursor.words(&["DESCRIBE"]) || cursor.words(&["DESC"]) {
        let _ = cursor.words(&["TABLE"]) || cursor.words(&["TOPIC"]);
        return Ok(Statement::Show(Show::Describe(cursor.name()?)));
    }
    cursor.expect_words(&["SHOW"])?;
    let listings: [(&[&str], Show); 19] = [
        (&["TABLES"], Show::Tables),
        (&["TOPICS"], Show::Topics),
        (&["PLUGINS"], Show::Plugins),
        (&["PLUGIN", "CONSUMERS"], Show::PluginConsumers),
        (&["CHECKBACKS"], Show::Checkbacks),
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
        (&["USERS"], Show::Users),
        (&["ROLES"], Show::Roles),
        (&["TOKENS"], Show::Tokens),
        (&["ACCESS", "KEYS"], Show::AccessKeys),
    ];
    for (words, show) in listings {
        if cursor.words(words) {
            return Ok(Statement::Show(show));
        }
    }
    if cursor.words(&["GRANTS"]) {
        let of = if cursor.words(&["FOR"]) { Some(identities::identity(cursor)?) } else { None };
        return Ok(Statement::Show(Show::Grants(of)));
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
    if cursor.words(&["CREATE", "CHECKBACK"]) {
        return Ok(Statement::Show(Show::CreateCheckback(cursor.name()?)));
    }
    if cursor.words(&["COLUMNS", "FROM"]) || cursor.words(&["COLUMNS", "IN"]) {
        return Ok(Statement::Show(Show::Describe(cursor.name()?)));
    }
    for (words, name) in SETTINGS {
        if cursor.words(words) {
            return Ok(Statement::Show(Show::Setting(name)));
        }
    }
    Err(cursor.expected(
        "TABLES, TOPICS, PLUGINS, PLUGIN CONSUMERS, CHECKBACKS, NAMESPACES, CONSUMER GROUPS, CONSUMERS, SUBSCRIPTIONS, SEGMENTS, FUNCTIONS, USERS, ROLES, TOKENS, ACCESS KEYS, GRANTS, \
         COLUMNS FROM, CREATE TABLE, CREATE TOPIC, CREATE FUNCTION or CREATE CHECKBACK",
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
