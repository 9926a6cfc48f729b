//! Bounds on a statement's size and shape, checked before anything recursive looks at it.
//!
//! A chain such as `a OR b OR …` is parsed by a loop but gives a tree as deep as the chain is long; walking and freeing
//! such a tree needs stack, so its depth is bounded here, on the tokens.

use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::{Error, Position, Result};

/// Bytes of one text, string literals (and so `x'…'` modules) included.
const MAX_BYTES: usize = 64 << 20;
/// Bytes outside string literals: what becomes tokens and syntax tree.
const MAX_CODE_BYTES: usize = 4 << 20;
/// Parentheses within parentheses, sub-queries within sub-queries.
pub(super) const MAX_NESTING: usize = 50;
/// Operators that one expression may chain, over all levels it is nested in.
const MAX_CHAIN: usize = 500;

/// Refuses texts that would take too much memory to parse.
pub(super) fn check_size(sql: &str) -> Result<()> {
    let code_bytes = || sql.split('\'').step_by(2).map(str::len).sum::<usize>();
    if sql.len() > MAX_BYTES || code_bytes() > MAX_CODE_BYTES {
        let message = format!(
            "the statement is too long: at most {} MiB, and {} MiB outside of string literals; send rows in several \
             statements, or by COPY",
            MAX_BYTES >> 20,
            MAX_CODE_BYTES >> 20
        );
        return Err(Error::Engine(millstream_engine::Error::InvalidInput(message)));
    }
    Ok(())
}

/// Refuses expressions that would nest too deeply.
pub(super) fn check_depth(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut levels = vec![0_usize];
    let mut chained = 0_usize;
    for token in tokens {
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => levels.push(0),
            Token::RParen | Token::RBracket | Token::RBrace => {
                chained -= levels.pop().unwrap_or(0);
                if levels.is_empty() {
                    levels.push(0);
                }
            }
            Token::Comma | Token::SemiColon => {
                if let Some(level) = levels.last_mut() {
                    chained -= *level;
                    *level = 0;
                }
            }
            token if chains(token) => {
                if let Some(level) = levels.last_mut() {
                    *level += 1;
                    chained += 1;
                }
            }
            _ => {}
        }
        if chained > MAX_CHAIN {
            return Err(Error::Unsupported {
                message: format!("the expression chains more than {MAX_CHAIN} operators; use IN (…) or split it"),
                position: Some(position_of(token)),
            });
        }
    }
    Ok(())
}

/// Whether a token lets a tree grow deeper by one.
fn chains(token: &Token) -> bool {
    match token {
        Token::Word(word) => {
            word.quote_style.is_none()
                && ["AND", "OR", "NOT", "UNION", "EXCEPT", "INTERSECT", "JOIN", "IS", "LIKE", "BETWEEN", "CASE"]
                    .iter()
                    .any(|keyword| word.value.eq_ignore_ascii_case(keyword))
        }
        Token::Plus
        | Token::Minus
        | Token::Mul
        | Token::Div
        | Token::Mod
        | Token::StringConcat
        | Token::DoubleColon
        | Token::Ampersand
        | Token::Pipe
        | Token::Caret
        | Token::Tilde
        | Token::ExclamationMark
        | Token::Period
        | Token::Arrow
        | Token::LongArrow
        | Token::ShiftLeft
        | Token::ShiftRight => true,
        _ => false,
    }
}

fn position_of(token: &TokenWithSpan) -> Position {
    Position { line: token.span.start.line, column: token.span.start.column }
}

#[cfg(test)]
mod tests {
    use crate::parse::parse_one;

    #[test]
    fn long_chains_and_deep_nesting_are_refused_without_using_the_stack() {
        let chain = vec!["a = 1"; 100_000].join(" OR ");
        let error = parse_one(&format!("SELECT * FROM t WHERE {chain}")).unwrap_err();
        assert!(error.to_string().contains("chains more than"), "{error}");
        let nested = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
        let error = parse_one(&nested).unwrap_err();
        assert!(error.to_string().contains("nest"), "{error}");
        let dots = format!("SELECT {}", vec!["a"; 100_000].join("."));
        assert!(parse_one(&dots).is_err());
    }

    #[test]
    fn ordinary_statements_pass() {
        let chain = vec!["a = 1"; 400].join(" OR ");
        assert!(parse_one(&format!("SELECT * FROM t WHERE {chain}")).is_ok());
        let rows = vec!["(1, -2, 'x')"; 10_000].join(", ");
        assert!(parse_one(&format!("INSERT INTO t VALUES {rows}")).is_ok());
    }

    #[test]
    fn huge_texts_are_refused_but_huge_literals_are_not() {
        let huge = format!("SELECT {}", "1,".repeat(3 << 20));
        assert!(parse_one(&huge).unwrap_err().to_string().contains("too long"));
        let literal = format!("SELECT '{}'", "a".repeat(8 << 20));
        assert!(parse_one(&literal).is_ok());
    }
}
