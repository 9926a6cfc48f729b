//! What of windows' syntax sqlparser does not take: `TABLE t` as an argument, and EMIT.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

/// The functions that take a table.
const FUNCTIONS: [&str; 4] = ["TUMBLE", "HOP", "CUMULATE", "SESSION"];

/// Leaves out the word TABLE where a window's table is named, and has the parser stop at EMIT, which it would take for an alias.
pub(super) fn prepare(tokens: Vec<TokenWithSpan>) -> Vec<TokenWithSpan> {
    let is = |index: Option<usize>, word: &str| {
        index.and_then(|index| tokens.get(index)).is_some_and(|token| is_word(&token.token, word))
    };
    let token = |index: Option<usize>| index.and_then(|index| tokens.get(index)).map(|token| &token.token);
    let is_argument = |index: usize| {
        let (before, function) = (index.checked_sub(1), index.checked_sub(2));
        match token(before) {
            Some(Token::LParen) => FUNCTIONS.iter().any(|name| is(function, name)),
            Some(Token::RArrow) => is(function, "DATA"),
            _ => false,
        }
    };
    let begins_table = |index: usize| matches!(token(Some(index)), Some(Token::Word(_) | Token::LParen));
    let emits = |index: usize| {
        let at = |ahead: usize| Some(index + ahead);
        is(at(1), "CHANGES") || is(at(1), "ON") && is(at(2), "WINDOW") && is(at(3), "CLOSE")
    };
    let kept = tokens.iter().enumerate().filter_map(|(index, token)| {
        if is_word(&token.token, "TABLE") && is_argument(index) && begins_table(index + 1) {
            return None;
        }
        let mut token = token.clone();
        if let Token::Word(word) = &mut token.token
            && word.quote_style.is_none()
            && word.value.eq_ignore_ascii_case("EMIT")
            && emits(index)
        {
            // Never an alias, and begins no clause.
            word.keyword = Keyword::END;
        }
        Some(token)
    });
    kept.collect()
}

fn is_word(token: &Token, wanted: &str) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case(wanted))
}
