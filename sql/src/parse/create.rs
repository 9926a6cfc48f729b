//! CREATE.

use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use super::{
    CreateCheckback, CreateConsumer, CreateFunction, CreatePlugin, CreateTable, CreateTopic, Cursor, Definition,
    Options, PluginSource, Statement, TableColumns, TransformCall, identities,
};
use crate::{Error, Position, Result};

pub(super) fn parse_create(cursor: &mut Cursor, start: Position) -> Result<Statement> {
    cursor.expect_words(&["CREATE"])?;
    let replace = cursor.words(&["OR", "REPLACE"]);
    if cursor.words(&["PLUGIN"]) {
        return parse_create_plugin(cursor, replace);
    }
    if replace {
        return Err(cursor.expected("PLUGIN (only plugins can be replaced; a topic is changed by RELOAD TOPIC)"));
    }
    if cursor.words(&["FUNCTION"]) {
        return parse_create_function(cursor);
    }
    if cursor.words(&["CONSUMER"]) {
        return parse_create_consumer(cursor);
    }
    if cursor.words(&["CHECKBACK"]) {
        return parse_create_checkback(cursor);
    }
    if cursor.words(&["TABLE"]) {
        return parse_create_table(cursor);
    }
    if cursor.words(&["TOPIC"]) {
        return Ok(Statement::CreateTopic(Box::new(parse_create_topic(cursor)?)));
    }
    if cursor.words(&["SCHEMA"]) || cursor.words(&["NAMESPACE"]) || cursor.words(&["DATABASE"]) {
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let name = cursor.name()?;
        return Ok(Statement::CreateNamespace { name, if_not_exists, options: Options::parse(cursor)? });
    }
    if let Some(statement) = identities::parse_create(cursor)? {
        return Ok(statement);
    }
    let what = cursor.sql().peek_token().token.to_string().to_uppercase();
    let reason = match what.as_str() {
        "VIEW" | "MATERIALIZED" => "a topic is the stored form of a SELECT: CREATE TOPIC … AS SELECT …",
        "EXTERNAL" => "files are read by COPY table FROM 'file'",
        "INDEX" => "segments carry statistics and blooms of their own",
        "TEMPORARY" | "TEMP" | "UNLOGGED" => "every table is durable",
        _ => {
            return Err(cursor.expected(
                "TABLE, TOPIC, PLUGIN, FUNCTION, CONSUMER, CHECKBACK, SCHEMA, USER, ROLE, TOKEN or ACCESS KEY",
            ));
        }
    };
    Err(Error::Unsupported { message: format!("CREATE {what} is not offered: {reason}"), position: Some(start) })
}

fn parse_create_table(cursor: &mut Cursor) -> Result<Statement> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name()?;
    if cursor.peek_word(0, "AS") {
        return Err(Error::Unsupported {
            message: "CREATE TABLE … AS is not offered: create the table, then INSERT INTO it".to_owned(),
            position: Some(cursor.position()),
        });
    }
    if cursor.words(&["OF", "MESSAGES"]) {
        let (columns, options) = (TableColumns::OfMessages, Options::parse(cursor)?);
        return Ok(Statement::CreateTable(CreateTable { name, if_not_exists, columns, options }));
    }
    cursor.expect(&Token::LParen)?;
    let mut columns = Vec::new();
    while !cursor.consume(&Token::RParen) {
        for constraint in ["PRIMARY", "UNIQUE", "FOREIGN", "CONSTRAINT", "CHECK"] {
            if cursor.peek_word(0, constraint) && !matches!(cursor.sql().peek_nth_token(1).token, Token::Comma) {
                return Err(Error::Unsupported {
                    message: format!("{constraint} is not offered: a table is an append-only log"),
                    position: Some(cursor.position()),
                });
            }
        }
        columns.push(cursor.with(|parser| parser.parse_column_def())?);
        if !cursor.consume(&Token::Comma) {
            cursor.expect(&Token::RParen)?;
            break;
        }
    }
    let (columns, options) = (TableColumns::Listed(columns), Options::parse(cursor)?);
    Ok(Statement::CreateTable(CreateTable { name, if_not_exists, columns, options }))
}

/// After `CREATE TOPIC`.
pub(super) fn parse_create_topic(cursor: &mut Cursor) -> Result<CreateTopic> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name()?;
    let options = Options::parse(cursor)?;
    cursor.expect_words(&["AS"])?;
    Ok(CreateTopic { name, if_not_exists, options, definition: parse_definition(cursor)? })
}

/// A SELECT, or `TRANSFORM p(…) OF (SELECT …)`.
pub(super) fn parse_definition(cursor: &mut Cursor) -> Result<Definition> {
    if !cursor.words(&["TRANSFORM"]) {
        let (query, tokens) = parse_select(cursor)?;
        return Ok(Definition { transform: None, query, tokens, emit: parse_emit(cursor)? });
    }
    let plugin = cursor.identifier()?;
    let mut columns = Vec::new();
    if cursor.consume(&Token::LParen) && !cursor.consume(&Token::RParen) {
        columns = cursor.with(|parser| parser.parse_comma_separated(|parser| parser.parse_identifier()))?;
        cursor.expect(&Token::RParen)?;
    }
    cursor.expect_words(&["OF"])?;
    cursor.expect(&Token::LParen)?;
    let (query, tokens) = parse_select(cursor)?;
    cursor.expect(&Token::RParen)?;
    Ok(Definition { transform: Some(TransformCall { plugin, columns }), query, tokens, emit: None })
}

fn parse_select(cursor: &mut Cursor) -> Result<(Query, Vec<TokenWithSpan>)> {
    let mark = cursor.mark();
    let query = *cursor.with(|parser| parser.parse_query())?;
    Ok((query, cursor.since(mark)))
}

/// `EMIT ON WINDOW CLOSE`, and where it stands.
fn parse_emit(cursor: &mut Cursor) -> Result<Option<Position>> {
    let position = cursor.position();
    if cursor.words(&["EMIT", "CHANGES"]) {
        let message = "EMIT CHANGES is refused: a topic over windows gives a window's rows once, when it closes; leave it out, or \
                       write EMIT ON WINDOW CLOSE, and for a look at open windows query the table with the same SELECT";
        return Err(Error::Unsupported { message: message.to_owned(), position: Some(position) });
    }
    Ok(cursor.words(&["EMIT", "ON", "WINDOW", "CLOSE"]).then_some(position))
}

/// After `CREATE FUNCTION`.
fn parse_create_function(cursor: &mut Cursor) -> Result<Statement> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name()?;
    cursor.expect(&Token::LParen)?;
    let mut parameters = Vec::new();
    while !cursor.consume(&Token::RParen) {
        let parameter = cursor.identifier()?;
        parameters.push((parameter, cursor.with(|parser| parser.parse_data_type())?));
        if !cursor.consume(&Token::Comma) {
            cursor.expect(&Token::RParen)?;
            break;
        }
    }
    cursor.expect_words(&["RETURNS"])?;
    let returns = cursor.with(|parser| parser.parse_data_type())?;
    cursor.expect_words(&["USING", "PLUGIN"])?;
    let plugin = cursor.name()?;
    Ok(Statement::CreateFunction(CreateFunction { name, if_not_exists, parameters, returns, plugin }))
}

/// After `CREATE CONSUMER`.
fn parse_create_consumer(cursor: &mut Cursor) -> Result<Statement> {
    if cursor.peek_word(0, "GROUP") && !cursor.peek_word(1, "ON") {
        cursor.expect_words(&["GROUP"])?;
        let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
        let group = cursor.name()?;
        return Ok(Statement::CreateGroup { group, if_not_exists, options: Options::parse(cursor)? });
    }
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name()?;
    cursor.expect_words(&["ON"])?;
    let _ = cursor.words(&["TOPIC"]);
    let topic = cursor.name()?;
    cursor.expect_words(&["USING", "PLUGIN"])?;
    let plugin = cursor.name()?;
    let group = if cursor.words(&["GROUP"]) { Some(cursor.name()?) } else { None };
    let options = Options::parse(cursor)?;
    Ok(Statement::CreateConsumer(CreateConsumer { name, if_not_exists, topic, plugin, group, options }))
}

/// After `CREATE CHECKBACK`.
fn parse_create_checkback(cursor: &mut Cursor) -> Result<Statement> {
    let if_not_exists = cursor.words(&["IF", "NOT", "EXISTS"]);
    let name = cursor.name()?;
    cursor.expect_words(&["ON"])?;
    let _ = cursor.words(&["TABLE"]);
    let table = cursor.name()?;
    cursor.expect_words(&["USING", "PLUGIN"])?;
    let plugin = cursor.name()?;
    let options = Options::parse(cursor)?;
    Ok(Statement::CreateCheckback(CreateCheckback { name, if_not_exists, table, plugin, options }))
}

fn parse_create_plugin(cursor: &mut Cursor, replace: bool) -> Result<Statement> {
    let name = cursor.name()?;
    cursor.expect_words(&["FROM"])?;
    let source = match cursor.sql().peek_token().token {
        Token::HexStringLiteral(digits) => {
            let position = cursor.position();
            cursor.sql().advance_token();
            let bytes = from_hex(&digits).ok_or_else(|| Error::Invalid {
                message: "x'…' takes an even number of hexadecimal digits".to_owned(),
                position: Some(position),
            })?;
            PluginSource::Bytes(bytes.into())
        }
        Token::SingleQuotedString(path) => {
            cursor.sql().advance_token();
            PluginSource::Path(path)
        }
        _ if cursor.words(&["UPLOAD"]) => PluginSource::Upload,
        _ if replace && cursor.words(&["VERSION"]) => PluginSource::Version(cursor.number()?),
        _ if cursor.peek_word(0, "VERSION") => {
            let message =
                "CREATE OR REPLACE PLUGIN … FROM VERSION goes back to a version that the plugin has had".to_owned();
            return Err(Error::Unsupported { message, position: Some(cursor.position()) });
        }
        _ => return Err(cursor.expected("'path.wasm', x'bytes', UPLOAD or VERSION n")),
    };
    Ok(Statement::CreatePlugin(CreatePlugin { name, replace, source, options: Options::parse(cursor)? }))
}

fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits.as_bytes().chunks_exact(2).map(|pair| Some(nibble(pair[0])? << 4 | nibble(pair[1])?)).collect()
}
