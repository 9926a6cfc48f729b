//! Which parser a statement goes to, by its first words.

use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Ident, ObjectName, Query, SetExpr, Statement as Ast, TableObject, Value,
};
use datafusion::sql::sqlparser::tokenizer::Token;
use millstream_engine::VersionStart;

use super::{CopyFrom, CopyTo, Cursor, Options, Statement, alter, create, identities, show};
use crate::{Error, Position, Result};

/// Parses the statement that begins at the cursor.
pub(super) fn parse_statement(cursor: &mut Cursor) -> Result<Statement> {
    let start = cursor.position();
    if cursor.peek_word(0, "CREATE") {
        return create::parse_create(cursor, start);
    }
    if cursor.peek_word(0, "ALTER") {
        return alter::parse_alter(cursor, start);
    }
    if cursor.peek_word(0, "DROP") {
        return alter::parse_drop(cursor, start);
    }
    if cursor.peek_word(0, "SHOW") || cursor.peek_word(0, "DESCRIBE") || cursor.peek_word(0, "DESC") {
        return show::parse_show(cursor);
    }
    if cursor.peek_word(0, "EXPLAIN") && (cursor.peek_word(1, "TOPIC") || cursor.peek_word(1, "CREATE")) {
        return show::parse_explain_topic(cursor);
    }
    if cursor.words(&["EXPLAIN", "GRANT"]) {
        return identities::parse_explain(cursor);
    }
    if cursor.words(&["GRANT"]) {
        return identities::parse_grant(cursor);
    }
    if cursor.words(&["REVOKE"]) {
        return identities::parse_revoke(cursor);
    }
    if cursor.words(&["RELOAD", "TOPIC"]) {
        return parse_reload_topic(cursor);
    }
    if cursor.words(&["RELOAD", "CONSUMER"]) {
        let name = cursor.name()?;
        let version = if cursor.words(&["TO", "VERSION"]) { Some(cursor.number()?) } else { None };
        let at = if cursor.words(&["AT"]) { Some(alter::parse_target(cursor)?) } else { None };
        return Ok(Statement::ReloadConsumer { name, version, at });
    }
    if cursor.words(&["COMMIT", "OFFSETS"]) {
        return alter::parse_commit_offsets(cursor);
    }
    if cursor.words(&["RECALL", "MESSAGE"]) {
        let id = cursor.string()?;
        cursor.expect_words(&["FROM"])?;
        let table = cursor.name()?;
        let due = if cursor.words(&["DUE", "TIMESTAMP"]) { Some(cursor.string()?) } else { None };
        return Ok(Statement::RecallMessage { id, table, due });
    }
    if cursor.words(&["RESEND"]) {
        return parse_resend(cursor);
    }
    for (verb, commit) in [("COMMIT", true), ("ROLLBACK", false)] {
        let is_one = cursor.peek_word(0, verb) && cursor.peek_word(1, "TRANSACTION");
        if is_one && matches!(cursor.sql().peek_nth_token(2).token, Token::SingleQuotedString(_)) {
            cursor.expect_words(&[verb, "TRANSACTION"])?;
            let id = cursor.string()?;
            cursor.expect_words(&["ON"])?;
            return Ok(Statement::EndTransaction { id, table: cursor.name()?, commit });
        }
    }
    if cursor.words(&["BACKUP", "TO"]) {
        return Ok(Statement::Backup { path: cursor.string()? });
    }
    if cursor.words(&["COPY"]) {
        return parse_copy(cursor);
    }
    if cursor.words(&["USE"]) {
        return Ok(Statement::Use { namespace: cursor.name()? });
    }
    if cursor.peek_word(0, "SET") {
        return parse_set(cursor, start);
    }
    parse_other(cursor, start)
}

/// `RESEND MESSAGE 'id' FROM t`, `RESEND MESSAGES FROM t [WHERE …]`.
fn parse_resend(cursor: &mut Cursor) -> Result<Statement> {
    let id = match cursor.words(&["MESSAGES"]) {
        true => None,
        false => {
            cursor.expect_words(&["MESSAGE"])?;
            Some(cursor.string()?)
        }
    };
    cursor.expect_words(&["FROM"])?;
    let table = cursor.name()?;
    let mut query = super::parse_query(&format!("SELECT * FROM {table}"))?;
    let condition = match id {
        Some(id) => Some(Expr::BinaryOp {
            left: Box::new(Expr::Identifier(Ident::new("message_id"))),
            op: BinaryOperator::Eq,
            right: Box::new(Expr::value(Value::SingleQuotedString(id))),
        }),
        None if cursor.words(&["WHERE"]) => Some(cursor.with(|parser| parser.parse_expr())?),
        None => None,
    };
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.selection = condition;
    }
    Ok(Statement::Resend { table, query: Box::new(query) })
}

/// `RELOAD TOPIC t [TO PLUGIN p VERSION n, PLUGIN q VERSION m] [AT LATEST | AT offset]`, `RELOAD TOPIC t REBUILD`.
fn parse_reload_topic(cursor: &mut Cursor) -> Result<Statement> {
    let name = cursor.name()?;
    if cursor.words(&["REBUILD"]) {
        return Ok(Statement::RebuildTopic { name });
    }
    let mut to = Vec::new();
    if cursor.words(&["TO"]) {
        loop {
            cursor.expect_words(&["PLUGIN"])?;
            let plugin = cursor.identifier()?;
            cursor.expect_words(&["VERSION"])?;
            to.push((plugin, cursor.number()?));
            if !cursor.consume(&Token::Comma) {
                break;
            }
        }
    }
    let at = if !cursor.words(&["AT"]) {
        None
    } else if cursor.words(&["LATEST"]) {
        Some(VersionStart::Latest)
    } else if matches!(cursor.sql().peek_token().token, Token::Number(..)) {
        Some(VersionStart::Offset(cursor.number()?))
    } else {
        return Err(
            cursor.expected("LATEST or an offset, as rows that are there keep the version that they were read with")
        );
    };
    Ok(Statement::ReloadTopic { name, to, at })
}

/// A query, an INSERT, or something we refuse.
fn parse_other(cursor: &mut Cursor, start: Position) -> Result<Statement> {
    let verb = cursor.sql().peek_token().token.to_string().to_uppercase();
    if !matches!(cursor.sql().peek_token().token, Token::Word(_) | Token::LParen) {
        return Err(cursor.expected("a statement"));
    }
    if let Some(reason) = refused(&verb) {
        return Err(Error::Unsupported { message: format!("{verb} is not offered: {reason}"), position: Some(start) });
    }
    let parsed = cursor.datafusion_statement()?;
    classify(parsed, &verb, start)
}

fn classify(parsed: DfStatement, verb: &str, start: Position) -> Result<Statement> {
    let unsupported = || {
        let message = format!("{verb} is not a statement of Millstream; docs/sql.md lists those that are");
        Error::Unsupported { message, position: Some(start) }
    };
    match parsed {
        DfStatement::Statement(statement) => match *statement {
            Ast::Query(query) if is_read(&query.body) => {
                Ok(Statement::Query(Box::new(DfStatement::Statement(Box::new(Ast::Query(query))))))
            }
            Ast::Insert(insert) if matches!(insert.table, TableObject::TableName(_)) => {
                Ok(Statement::Insert(Box::new(insert)))
            }
            _ => Err(unsupported()),
        },
        DfStatement::Explain(explain) => match explain.statement.as_ref() {
            DfStatement::Statement(inner) if matches!(inner.as_ref(), Ast::Query(query) if is_read(&query.body)) => {
                Ok(Statement::Query(Box::new(DfStatement::Explain(explain))))
            }
            _ => Err(Error::Unsupported {
                message: "EXPLAIN takes a query, or CREATE TOPIC, or TOPIC and a name".to_owned(),
                position: Some(start),
            }),
        },
        _ => Err(unsupported()),
    }
}

/// Data-changing statements can hide in a query's body (`WITH … UPDATE`).
fn is_read(body: &SetExpr) -> bool {
    match body {
        SetExpr::Select(select) => select.into.is_none(),
        SetExpr::Query(query) => is_read(&query.body),
        SetExpr::SetOperation { left, right, .. } => is_read(left) && is_read(right),
        SetExpr::Values(_) | SetExpr::Table(_) => true,
        SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => false,
    }
}

/// Statements of other systems that people try, and why they are not here.
fn refused(verb: &str) -> Option<&'static str> {
    Some(match verb {
        "UPDATE" | "DELETE" | "MERGE" | "REPLACE" => "tables are append-only; append a row that supersedes the old one",
        "TRUNCATE" => "rows go by retention; DROP TABLE removes all of them",
        "BEGIN" | "START" | "COMMIT" | "ROLLBACK" | "SAVEPOINT" | "RELEASE" | "END" => {
            "there are no transactions over several statements; one INSERT up to the commit size is atomic"
        }
        "PREPARE" | "EXECUTE" | "DEALLOCATE" => "prepare statements through the client's protocol",
        "VACUUM" | "ANALYZE" | "OPTIMIZE" => "segments are kept in shape in the background",
        "LOCK" | "UNLOCK" | "CALL" | "KILL" | "FLUSH" | "LISTEN" | "NOTIFY" | "RESET" => "Millstream has no such thing",
        _ => return None,
    })
}

fn parse_copy(cursor: &mut Cursor) -> Result<Statement> {
    if cursor.consume(&Token::LParen) {
        let query = *cursor.with(|parser| parser.parse_query())?;
        cursor.expect(&Token::RParen)?;
        cursor.expect_words(&["TO"])?;
        return copy_to(cursor, query);
    }
    let table = cursor.name()?;
    let columns = if cursor.consume(&Token::LParen) {
        let columns = cursor.with(|parser| parser.parse_comma_separated(|parser| parser.parse_identifier()))?;
        cursor.expect(&Token::RParen)?;
        columns
    } else {
        Vec::new()
    };
    if cursor.words(&["FROM"]) {
        let path = cursor.string()?;
        return Ok(Statement::CopyFrom(CopyFrom { table, columns, path, options: Options::parse(cursor)? }));
    }
    if !columns.is_empty() {
        return Err(cursor.expected("FROM (to write some columns, COPY (SELECT …) TO)"));
    }
    if !cursor.words(&["TO"]) {
        return Err(cursor.expected("FROM or TO"));
    }
    let query = select_all(&table)?;
    copy_to(cursor, query)
}

fn copy_to(cursor: &mut Cursor, query: Query) -> Result<Statement> {
    let path = cursor.string()?;
    Ok(Statement::CopyTo(Box::new(CopyTo { query, path, options: Options::parse(cursor)? })))
}

fn select_all(table: &ObjectName) -> Result<Query> {
    let mut cursor = Cursor::new(super::tokenize(&format!("SELECT * FROM {table}"))?)?;
    Ok(*cursor.with(|parser| parser.parse_query())?)
}

/// `SET NAMESPACE [=|TO] n`, `SET SCHEMA n`.
fn parse_set(cursor: &mut Cursor, start: Position) -> Result<Statement> {
    for word in ["NAMESPACE", "SCHEMA", "search_path"] {
        if cursor.words(&["SET", word]) {
            let _ = cursor.consume(&Token::Eq) || cursor.words(&["TO"]);
            let namespace = cursor.name()?;
            return Ok(Statement::Use { namespace });
        }
    }
    let message = "SET changes the namespace only: SET NAMESPACE = name, or USE name".to_owned();
    Err(Error::Unsupported { message, position: Some(start) })
}
