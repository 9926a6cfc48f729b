//! Words, literals and symbols of a selector.

use std::borrow::Cow;

use crate::{Error, Position, Result};

/// What an expression may be long.
pub(super) const MAX_BYTES: usize = 32 << 10;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token<'t> {
    /// A name, or a reserved word in whatever case.
    Word(&'t str),
    Text(Cow<'t, str>),
    /// Digits.
    Whole(&'t str),
    /// A number with a point or an exponent.
    Real(&'t str),
    /// `= <> < <= > >= + - ( ) ,`
    Symbol(&'static str),
    End,
}

/// A token and where it begins.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Placed<'t> {
    pub(super) token: Token<'t>,
    pub(super) position: Position,
}

const SYMBOLS: [&str; 11] = ["<>", "<=", ">=", "=", "<", ">", "+", "-", "(", ")", ","];

pub(super) fn syntax(message: impl Into<String>, position: Position) -> Error {
    Error::Syntax { message: message.into(), position }
}

/// All tokens of a text; the last one is the end.
pub(super) fn tokens(text: &str) -> Result<Vec<Placed<'_>>> {
    if text.len() > MAX_BYTES {
        let message = format!("the expression has {} bytes; it may have {MAX_BYTES}", text.len());
        return Err(Error::Invalid { message, position: None });
    }
    let mut lexer = Lexer { text, at: 0, seen: 0, position: Position { line: 1, column: 1 } };
    let mut tokens = Vec::new();
    loop {
        lexer.pass_blanks()?;
        let position = lexer.position();
        let token = lexer.next(position)?;
        let ends = token == Token::End;
        tokens.push(Placed { token, position });
        if ends {
            return Ok(tokens);
        }
    }
}

struct Lexer<'t> {
    text: &'t str,
    at: usize,
    /// Up to where lines and columns were counted, and what they are there.
    seen: usize,
    position: Position,
}

impl<'t> Lexer<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn position(&mut self) -> Position {
        for passed in self.text.get(self.seen..self.at).unwrap_or("").chars() {
            match passed {
                '\n' => self.position = Position { line: self.position.line + 1, column: 1 },
                _ => self.position.column += 1,
            }
        }
        self.seen = self.at;
        self.position
    }

    /// Blanks and comments. `--` begins one only where a line's end follows: else it is two signs.
    fn pass_blanks(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let text = rest.trim_start_matches([' ', '\t', '\n', '\r', '\x0c']);
            self.at += rest.len() - text.len();
            if let Some(comment) = text.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    let position = self.position();
                    return Err(syntax("a comment /* is not ended by */", position));
                };
                self.at += end + 4;
            } else if let Some(end) = text.strip_prefix("--").and_then(|comment| comment.find(['\n', '\r'])) {
                self.at += end + 3;
            } else {
                return Ok(());
            }
        }
    }

    fn take(&mut self, bytes: usize) -> &'t str {
        let taken = self.rest().get(..bytes).unwrap_or("");
        self.at += taken.len();
        taken
    }

    fn next(&mut self, position: Position) -> Result<Token<'t>> {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok(Token::End) };
        if first == '\'' {
            return self.quoted(position);
        }
        if is_word_start(first) {
            let end = rest.find(|next: char| !is_word_start(next) && !next.is_ascii_digit()).unwrap_or(rest.len());
            return Ok(Token::Word(self.take(end)));
        }
        let number = number_bytes(rest);
        if let Some((bytes, is_real)) = number {
            let text = self.take(bytes);
            return Ok(if is_real { Token::Real(text) } else { Token::Whole(text) });
        }
        if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
            self.take(symbol.len());
            return Ok(Token::Symbol(symbol));
        }
        Err(syntax(format!("{first:?} has no meaning here; texts stand in single quotes"), position))
    }

    /// A text in quotes; two quotes in it are one.
    fn quoted(&mut self, position: Position) -> Result<Token<'t>> {
        let body = self.rest().get(1..).unwrap_or("");
        let mut from = 0;
        loop {
            let Some(quote) = body.get(from..).and_then(|rest| rest.find('\'')) else {
                return Err(syntax("a text is not ended by a quote", position));
            };
            let quote = from + quote;
            if body.as_bytes().get(quote + 1) == Some(&b'\'') {
                from = quote + 2;
                continue;
            }
            let text = body.get(..quote).unwrap_or("");
            self.at += quote + 2;
            return Ok(Token::Text(if from == 0 { Cow::Borrowed(text) } else { Cow::Owned(text.replace("''", "'")) }));
        }
    }
}

fn is_word_start(first: char) -> bool {
    first.is_ascii_alphabetic() || first == '_' || first == '$'
}

/// How long a number is that a text begins with, and whether it has a point or an exponent: `5`, `0`, `5L`, `5.`, `.5`, `5.5E-10`.
fn number_bytes(text: &str) -> Option<(usize, bool)> {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes.get(from..).unwrap_or(&[]).iter().take_while(|byte| byte.is_ascii_digit()).count();
    let is = |at: usize, wanted: &[u8]| bytes.get(at).is_some_and(|byte| wanted.contains(byte));
    let exponent = |at: usize| {
        let sign = usize::from(is(at + 1, b"+-"));
        let count = if is(at, b"eE") { digits(at + 1 + sign) } else { 0 };
        if count > 0 { 1 + sign + count } else { 0 }
    };
    let whole = digits(0);
    if is(whole, b".") {
        let fraction = digits(whole + 1);
        let end = whole + 1 + fraction;
        return (whole + fraction > 0).then(|| (end + exponent(end), true));
    }
    match (whole, exponent(whole)) {
        (0, _) => None,
        (_, exponent) if exponent > 0 => Some((whole + exponent, true)),
        // No number begins with a zero that has a digit behind it.
        _ if is(0, b"0") => Some((1, false)),
        _ => Some((whole + usize::from(is(whole, b"lL")), false)),
    }
}
