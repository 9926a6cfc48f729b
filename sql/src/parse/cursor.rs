//! A position in a statement's tokens.

use std::collections::VecDeque;

use datafusion::sql::parser::{DFParser, Statement as DfStatement};
use datafusion::sql::sqlparser::ast::{Ident, ObjectName};
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::{Error, Position, Result};

/// Steps over tokens; where a part is plain SQL it hands over to sqlparser.
pub(crate) struct Cursor {
    parser: DFParser<'static>,
    tokens: Vec<TokenWithSpan>,
}

impl Cursor {
    pub(super) fn new(tokens: Vec<TokenWithSpan>) -> Result<Cursor> {
        let parser = super::builder(tokens.clone()).build().map_err(|error| syntax(&error.to_string()))?;
        Ok(Cursor { parser, tokens })
    }

    /// sqlparser, at the current token.
    pub(crate) fn sql(&mut self) -> &mut Parser<'static> {
        &mut self.parser.parser
    }

    /// Parses a statement of DataFusion's own dialect.
    pub(crate) fn datafusion_statement(&mut self) -> Result<DfStatement> {
        self.parser.parse_statement().map_err(|error| syntax(&error.to_string()))
    }

    /// Steps over the next token if it is `token`.
    pub(crate) fn consume(&mut self, token: &Token) -> bool {
        self.sql().consume_token(token)
    }

    pub(crate) fn peek_is(&self, token: &Token) -> bool {
        self.parser.parser.peek_token_ref().token == *token
    }

    pub(crate) fn at_end(&self) -> bool {
        self.peek_is(&Token::EOF)
    }

    /// Whether the token `ahead` tokens from here is the unquoted word `word`.
    pub(crate) fn peek_word(&self, ahead: usize, word: &str) -> bool {
        matches!(&self.parser.parser.peek_nth_token_ref(ahead).token,
            Token::Word(found) if found.quote_style.is_none() && found.value.eq_ignore_ascii_case(word))
    }

    /// Steps over `words` if they come next, in order.
    pub(crate) fn words(&mut self, words: &[&str]) -> bool {
        let all = words.iter().enumerate().all(|(ahead, word)| self.peek_word(ahead, word));
        if all {
            for _ in words {
                self.sql().advance_token();
            }
        }
        all
    }

    /// Steps over `words` or fails.
    pub(crate) fn expect_words(&mut self, words: &[&str]) -> Result<()> {
        if self.words(words) { Ok(()) } else { Err(self.expected(&words.join(" "))) }
    }

    /// Steps over `token` or fails.
    pub(crate) fn expect(&mut self, token: &Token) -> Result<()> {
        if self.consume(token) { Ok(()) } else { Err(self.expected(&token.to_string())) }
    }

    /// Where the next token stands.
    pub(crate) fn position(&self) -> Position {
        let next = self.parser.parser.peek_token_ref();
        match (next.span.start.line, self.tokens.last()) {
            (0, Some(last)) => Position { line: last.span.end.line, column: last.span.end.column },
            (0, None) => Position { line: 1, column: 1 },
            (line, _) => Position { line, column: next.span.start.column },
        }
    }

    /// The error of a statement that should go on with `what`.
    pub(crate) fn expected(&self, what: &str) -> Error {
        let found = match &self.parser.parser.peek_token_ref().token {
            Token::EOF => "the end".to_owned(),
            token => format!("{token:.60}"),
        };
        Error::Syntax { message: format!("expected {what}, found {found}"), position: self.position() }
    }

    /// A table's, topic's or other thing's name, with or without its namespace.
    pub(crate) fn name(&mut self) -> Result<ObjectName> {
        self.with(|parser| parser.parse_object_name(false))
    }

    /// One identifier.
    pub(crate) fn identifier(&mut self) -> Result<Ident> {
        self.with(|parser| parser.parse_identifier())
    }

    /// A string in single quotes.
    pub(crate) fn string(&mut self) -> Result<String> {
        self.with(|parser| parser.parse_literal_string())
    }

    /// A whole number.
    pub(crate) fn number(&mut self) -> Result<u64> {
        self.with(|parser| parser.parse_literal_uint())
    }

    /// Runs a piece of sqlparser.
    pub(crate) fn with<T>(&mut self, parse: impl FnOnce(&mut Parser<'static>) -> Result<T, ParserError>) -> Result<T> {
        parse(self.sql()).map_err(|error| syntax(&error.to_string()))
    }

    /// What number the next token has; a later call of [`Self::since`] gives the tokens from there on.
    pub(crate) fn mark(&self) -> usize {
        self.parser.parser.index()
    }

    /// The tokens stepped over since `mark`.
    pub(crate) fn since(&self, mark: usize) -> Vec<TokenWithSpan> {
        self.tokens.get(mark..self.mark().min(self.tokens.len())).unwrap_or_default().to_vec()
    }
}

/// Turns a message of sqlparser or of the tokenizer into ours: they carry the place as text at the end.
pub(super) fn syntax(message: &str) -> Error {
    let message = message
        .trim_start_matches("SQL error: ")
        .trim_start_matches("ParserError(\"")
        .trim_start_matches("TokenizerError(\"")
        .trim_start_matches("sql parser error: ")
        .trim_end_matches("\")");
    let (text, position) = split_position(message);
    Error::Syntax { message: lower_first(text.trim()), position: position.unwrap_or(Position { line: 1, column: 1 }) }
}

fn split_position(message: &str) -> (&str, Option<Position>) {
    let Some((text, place)) = message.rsplit_once(" at Line: ") else { return (message, None) };
    let mut numbers = place.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let mut number = || numbers.next().and_then(|part| part.parse().ok());
    match (number(), number()) {
        (Some(line), Some(column)) => (text, Some(Position { line, column })),
        _ => (message, None),
    }
}

fn lower_first(text: &str) -> String {
    let mut words: VecDeque<char> = text.chars().collect();
    let shouted = text.split_whitespace().next().is_some_and(|word| word.len() > 1 && word == word.to_uppercase());
    if let (Some(first), false) = (words.pop_front(), shouted) {
        return first.to_lowercase().chain(words).collect();
    }
    text.to_owned()
}
