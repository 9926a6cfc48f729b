//! ALTER, DROP and COMMIT OFFSETS.

use datafusion::sql::sqlparser::tokenizer::Token;
use millstream_engine::SeekTo;

use super::{AlterTable, Cursor, Options, Statement, Target, identities};
use crate::{Error, Position, Result};

pub(super) fn parse_alter(cursor: &mut Cursor, start: Position) -> Result<Statement> {
    cursor.expect_words(&["ALTER"])?;
    if cursor.words(&["CONSUMER", "GROUP"]) {
        return parse_alter_group(cursor);
    }
    if cursor.words(&["CONSUMER"]) {
        let name = cursor.name()?;
        return match cursor.words(&["PAUSE"]) {
            true => Ok(Statement::PauseConsumer { name, paused: true }),
            false if cursor.words(&["RESUME"]) => Ok(Statement::PauseConsumer { name, paused: false }),
            false if cursor.words(&["SET"]) => {
                Ok(Statement::AlterConsumer { name, options: Options::parse_list(cursor)? })
            }
            false => Err(cursor.expected("PAUSE, RESUME or SET")),
        };
    }
    if cursor.words(&["TABLE"]) {
        let name = cursor.name()?;
        return Ok(Statement::AlterTable { name, change: parse_table_change(cursor, start)? });
    }
    if cursor.words(&["PLUGIN"]) {
        let name = cursor.name()?;
        if !cursor.words(&["RESUME"]) {
            return Err(cursor.expected("RESUME"));
        }
        return Ok(Statement::ResumePlugin { name });
    }
    if cursor.words(&["TOPIC"]) {
        return parse_alter_topic(cursor, start);
    }
    if cursor.words(&["SCHEMA"]) || cursor.words(&["NAMESPACE"]) || cursor.words(&["DATABASE"]) {
        let name = cursor.name()?;
        cursor.expect_words(&["SET"])?;
        return Ok(Statement::AlterNamespace { name, options: Options::parse_list(cursor)? });
    }
    if let Some(statement) = identities::parse_alter(cursor)? {
        return Ok(statement);
    }
    Err(cursor.expected("TABLE, TOPIC, PLUGIN, CONSUMER, CONSUMER GROUP, NAMESPACE, USER, TOKEN or ACCESS KEY"))
}

/// `ALTER TOPIC t SHADOW PLUGIN p VERSION n`, `ALTER TOPIC t DROP SHADOW`, `ALTER TOPIC t PAUSE | RESUME`.
fn parse_alter_topic(cursor: &mut Cursor, start: Position) -> Result<Statement> {
    let name = cursor.name()?;
    if cursor.words(&["DROP", "SHADOW"]) {
        return Ok(Statement::UnshadowTopic { name });
    }
    for (word, paused) in [("PAUSE", true), ("RESUME", false)] {
        if cursor.words(&[word]) {
            return Ok(Statement::PauseTopic { name, paused });
        }
    }
    if !cursor.words(&["SHADOW"]) {
        let message =
            "ALTER TOPIC takes SHADOW PLUGIN or DROP SHADOW, and of a topic over windows PAUSE and RESUME: RELOAD TOPIC takes over the \
             table's new columns and versions of plugins"
                .to_owned();
        return Err(Error::Unsupported { message, position: Some(start) });
    }
    cursor.expect_words(&["PLUGIN"])?;
    let plugin = cursor.identifier()?;
    cursor.expect_words(&["VERSION"])?;
    Ok(Statement::ShadowTopic { name, plugin, version: cursor.number()? })
}

fn parse_table_change(cursor: &mut Cursor, start: Position) -> Result<AlterTable> {
    if cursor.words(&["SET"]) {
        return Ok(AlterTable::Set { options: Options::parse_list(cursor)? });
    }
    if cursor.words(&["ADVANCE", "WATERMARK"]) {
        cursor.expect_words(&["TO", "TIMESTAMP"])?;
        return Ok(AlterTable::AdvanceWatermark { to: cursor.string()? });
    }
    if !cursor.peek_word(0, "ADD") {
        let message = "ALTER TABLE takes ADD COLUMN, SET (partitions = n) or ADVANCE WATERMARK: columns are never dropped or changed, \
                       because older rows keep them"
            .to_owned();
        return Err(Error::Unsupported { message, position: Some(start) });
    }
    let mut columns = Vec::new();
    loop {
        cursor.expect_words(&["ADD"])?;
        let _ = cursor.words(&["COLUMN"]);
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        columns.push((cursor.with(|parser| parser.parse_column_def())?, if_not_exists));
        if !cursor.consume(&Token::Comma) {
            return Ok(AlterTable::AddColumns { columns });
        }
    }
}

fn parse_alter_group(cursor: &mut Cursor) -> Result<Statement> {
    let group = cursor.name()?;
    cursor.expect_words(&["SET"])?;
    if !cursor.peek_word(0, "OFFSET") {
        return Ok(Statement::AlterGroup { group, options: Options::parse_list(cursor)? });
    }
    cursor.expect_words(&["OFFSET", "TO"])?;
    let to = parse_target(cursor)?;
    let (mut topic, mut partition) = (None, None);
    if cursor.words(&["ON"]) {
        let _ = cursor.words(&["TOPIC"]);
        topic = Some(cursor.name()?);
        if cursor.words(&["PARTITION"]) {
            partition = Some(cursor.number()?);
        }
    }
    Ok(Statement::SetOffsets { group, to, topic, partition })
}

/// EARLIEST, LATEST, TIMESTAMP '…' or a number.
pub(super) fn parse_target(cursor: &mut Cursor) -> Result<Target> {
    if cursor.words(&["EARLIEST"]) {
        Ok(Target::Seek(SeekTo::Start))
    } else if cursor.words(&["LATEST"]) {
        Ok(Target::Seek(SeekTo::End))
    } else if cursor.words(&["TIMESTAMP"]) {
        Ok(Target::Timestamp(cursor.string()?))
    } else if matches!(cursor.sql().peek_token().token, Token::Number(..)) {
        Ok(Target::Seek(SeekTo::Offset(cursor.number()?)))
    } else {
        Err(cursor.expected("EARLIEST, LATEST, TIMESTAMP '…' or an offset"))
    }
}

pub(super) fn parse_drop(cursor: &mut Cursor, start: Position) -> Result<Statement> {
    cursor.expect_words(&["DROP"])?;
    if cursor.words(&["CONSUMER", "GROUP"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        let group = cursor.name()?;
        return Ok(Statement::DropGroup { group, if_exists, force: cursor.words(&["FORCE"]) });
    }
    if cursor.words(&["CONSUMER"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        let name = cursor.name()?;
        return Ok(Statement::DropConsumer { name, if_exists, force: cursor.words(&["FORCE"]) });
    }
    if cursor.words(&["TABLE"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        let name = cursor.name()?;
        return Ok(Statement::DropTable { name, if_exists, force: cursor.words(&["FORCE"]) });
    }
    if cursor.words(&["TOPIC"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        let name = cursor.name()?;
        return Ok(Statement::DropTopic { name, if_exists, force: cursor.words(&["FORCE"]) });
    }
    if cursor.words(&["PLUGIN"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        return Ok(Statement::DropPlugin { name: cursor.name()?, if_exists });
    }
    if cursor.words(&["CHECKBACK"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        return Ok(Statement::DropCheckback { name: cursor.name()?, if_exists });
    }
    if cursor.words(&["FUNCTION"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        return Ok(Statement::DropFunction { name: cursor.name()?, if_exists });
    }
    if cursor.words(&["SCHEMA"]) || cursor.words(&["NAMESPACE"]) || cursor.words(&["DATABASE"]) {
        let if_exists = cursor.words(&["IF", "EXISTS"]);
        return Ok(Statement::DropNamespace { name: cursor.name()?, if_exists });
    }
    if let Some(statement) = identities::parse_drop(cursor)? {
        return Ok(statement);
    }
    let what = cursor.sql().peek_token().token.to_string().to_uppercase();
    match what.as_str() {
        "VIEW" | "INDEX" | "SEQUENCE" | "MATERIALIZED" => Err(Error::Unsupported {
            message: format!("DROP {what} is not offered: Millstream has no such thing"),
            position: Some(start),
        }),
        _ => Err(cursor.expected("TABLE, TOPIC, PLUGIN, FUNCTION, CONSUMER, CHECKBACK, SCHEMA, CONSUMER GROUP, USER, ROLE, TOKEN or ACCESS KEY")),
    }
}

/// After `COMMIT OFFSETS`.
pub(super) fn parse_commit_offsets(cursor: &mut Cursor) -> Result<Statement> {
    cursor.expect_words(&["ON"])?;
    let _ = cursor.words(&["TOPIC"]);
    let topic = cursor.name()?;
    cursor.expect_words(&["FOR"])?;
    let _ = cursor.words(&["CONSUMER"]);
    cursor.expect_words(&["GROUP"])?;
    let group = cursor.name()?;
    let client = match cursor.words(&["CLIENT"]) {
        false => None,
        true => Some(match cursor.sql().peek_token().token {
            Token::SingleQuotedString(_) => cursor.string()?,
            _ => crate::names::fold(&cursor.identifier()?),
        }),
    };
    Ok(Statement::CommitOffsets { topic, group, client })
}
