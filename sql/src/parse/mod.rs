//! Text to [`Statement`]s: a small parser of our own statements in front of DataFusion's.
//!
//! Both work on the same tokens, so every error can name its line and column.

mod alter;
mod create;
mod cursor;
mod guard;
mod identities;
mod options;
mod show;
mod statement;
mod verbs;
mod windows;

use datafusion::sql::parser::DFParserBuilder;
use datafusion::sql::sqlparser::ast::Query;
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Span, Token, TokenWithSpan, Tokenizer};

use crate::{Error, Position, Result};

pub(crate) use cursor::Cursor;
pub(crate) use identities::{GrantOn, IdentityStatement};
pub(crate) use options::{OptionValue, Options, parse_duration_ms as duration_ms};
pub(crate) use statement::{
    AlterTable, CopyFrom, CopyTo, CreateCheckback, CreateConsumer, CreateFunction, CreatePlugin, CreateTable,
    CreateTopic, Definition, PluginSource, Show, Statement, TableColumns, Target, TransformCall,
};

/// Parses statements separated by `;`.
pub(crate) fn parse_script(sql: &str) -> Result<Vec<Statement>> {
    let mut cursor = Cursor::new(tokenize(sql)?)?;
    let mut statements = Vec::new();
    loop {
        while cursor.consume(&Token::SemiColon) {}
        if cursor.at_end() {
            return Ok(statements);
        }
        statements.push(verbs::parse_statement(&mut cursor)?);
        if cursor.peek_word(0, "EMIT") {
            return Err(Error::Unsupported {
                message: "EMIT belongs to CREATE TOPIC: a query without it gives what the topic gives once all windows are closed"
                    .to_owned(),
                position: Some(cursor.position()),
            });
        }
        if !cursor.at_end() && !cursor.peek_is(&Token::SemiColon) {
            return Err(cursor.expected("the end of the statement"));
        }
    }
}

/// Parses exactly one statement.
pub(crate) fn parse_one(sql: &str) -> Result<Statement> {
    let mut statements = parse_script(sql)?;
    match (statements.pop(), statements.is_empty()) {
        (Some(statement), true) => Ok(statement),
        (None, _) => Err(Error::Syntax {
            message: "the statement is empty".to_owned(),
            position: Position { line: 1, column: 1 },
        }),
        (Some(_), false) => Err(Error::Unsupported {
            message: "several statements where one is expected; send them one by one, or as a script".to_owned(),
            position: None,
        }),
    }
}

/// Parses a query of our own.
pub(crate) fn parse_query(sql: &str) -> Result<Query> {
    let mut cursor = Cursor::new(tokenize(sql)?)?;
    let query = *cursor.with(|parser| parser.parse_query())?;
    if cursor.at_end() { Ok(query) } else { Err(cursor.expected("the end of the query")) }
}

/// Parses a query of our own that stands for what was written at a place.
pub(crate) fn parse_query_at(sql: &str, span: Span) -> Result<Query> {
    let mut tokens = tokenize(sql)?;
    for token in &mut tokens {
        token.span = span;
    }
    let mut cursor = Cursor::new(tokens)?;
    Ok(*cursor.with(|parser| parser.parse_query())?)
}

/// Parses a topic's stored definition.
pub(crate) fn parse_definition(sql: &str) -> Result<Definition> {
    let mut cursor = Cursor::new(tokenize(sql)?)?;
    let definition = create::parse_definition(&mut cursor)?;
    if cursor.at_end() { Ok(definition) } else { Err(cursor.expected("the end of the definition")) }
}

/// Tokens with their places, comments and white space left out, `?` numbered as `$1`, `$2`, … in each statement.
fn tokenize(sql: &str) -> Result<Vec<TokenWithSpan>> {
    guard::check_size(sql)?;
    let tokens = Tokenizer::new(&GenericDialect {}, sql)
        .tokenize_with_location()
        .map_err(|error| cursor::syntax(&error.to_string()))?;
    let mut next_parameter = 0_u32;
    let mut kept = Vec::with_capacity(tokens.len() / 2);
    for mut token in tokens {
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::SemiColon => next_parameter = 0,
            Token::Placeholder(text) if text == "?" => {
                next_parameter += 1;
                token.token = Token::Placeholder(format!("${next_parameter}"));
            }
            _ => {}
        }
        kept.push(token);
    }
    guard::check_depth(&kept)?;
    Ok(windows::prepare(kept))
}

/// A message of sqlparser as an error with its place.
pub(crate) fn syntax_error(message: &str) -> Error {
    cursor::syntax(message)
}

/// A parser over tokens that were already checked: its own bound is out of their reach, since a token takes it few calls
/// deeper.
fn builder(tokens: Vec<TokenWithSpan>) -> DFParserBuilder<'static, 'static> {
    DFParserBuilder::new(tokens).with_recursion_limit(10 * guard::MAX_DEPTH)
}
