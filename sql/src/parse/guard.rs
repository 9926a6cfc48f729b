//! Bounds on a statement's size and shape, checked on its tokens before anything recursive looks at it.
//!
//! A chain such as `a OR b OR …` is parsed by a loop but gives a tree as deep as the chain is long; parsing, planning,
//! evaluating and freeing a tree need stack for each of its levels. No level comes from nothing: each takes at least one
//! keyword, operator or opening bracket. So these are counted along every path from the statement's root, whatever they
//! mean, and no construct can be forgotten. Names, literals and closing brackets never make a tree deeper by themselves.
//!
//! Only where the grammar can't go on with the same expression does counting begin anew: after a comma, at `;`, where a
//! clause of CASE ends, and at UNION and its like. What such a place separates lies side by side in the tree.

use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};

use crate::{Error, Position, Result};

/// Bytes of one text, string literals (and so `x'…'` modules) included.
const MAX_BYTES: usize = 64 << 20;
/// Bytes outside string literals: what becomes tokens and syntax tree.
const MAX_CODE_BYTES: usize = 4 << 20;
/// Brackets within brackets, CASE within CASE, types within types.
pub(crate) const MAX_NESTING: usize = 50;
/// Operators, keywords and opening brackets on one path.
pub(crate) const MAX_DEPTH: usize = 500;
/// WITH inside of WITH. The parser tries each of them twice, so its time doubles with every level.
const MAX_WITH: usize = 5;
/// Words that the parser tries in two ways, within each other: its time doubles, or worse, with every level.
const MAX_RETRIED: usize = 8;
/// What UNION and its like count for: a set operation takes a plan several levels deeper.
const SET_OPERATION: usize = 2;

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

/// Refuses statements whose tree would be too deep. The tokens are without white space.
pub(super) fn check_depth(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut guard = Guard::default();
    for token in tokens {
        guard.step(&token.token);
        if let Some(message) = guard.complaint() {
            let position = Position { line: token.span.start.line, column: token.span.start.column };
            return Err(Error::Unsupported { message, position: Some(position) });
        }
    }
    Ok(())
}

#[derive(Default)]
struct Guard {
    /// The levels around the current one, outermost first.
    outer: Vec<Level>,
    here: Level,
    /// The open levels with a WITH.
    with: usize,
    /// The open levels of which a retried word stands before the bracket.
    retried: usize,
    /// INTERVALs since the last operand.
    intervals: usize,
    /// Whether the token before was a retried word.
    after_retried: bool,
    /// Whether the token before was the end of an operand.
    operand: bool,
    /// Whether the token before was a period: what follows is a name, whatever it looks like.
    period: bool,
    /// Whether the token before was ARRAY, STRUCT or MAP: `<` after it opens their element types.
    type_name: bool,
}

/// What opened a level.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Bracket {
    #[default]
    None,
    /// `(`, `[` or `{`.
    Round,
    /// `<` of a type.
    Angle,
    Case,
}

/// The tokens between two brackets.
#[derive(Default)]
struct Level {
    bracket: Bracket,
    /// What stands above the level in the tree.
    above: usize,
    /// What set operations count for: they stand above all parts.
    set_operations: usize,
    /// Tokens of the current part.
    count: usize,
    /// The deepest bracket of the current part.
    inner: usize,
    /// The deepest part before the current one.
    done: usize,
    /// Whether a WITH was seen.
    with: bool,
    /// Whether a retried word stands before the bracket.
    retried: bool,
}

impl Level {
    fn depth(&self) -> usize {
        self.set_operations + self.done.max(self.count + self.inner)
    }

    /// What comes next lies beside what came before.
    fn next_part(&mut self) {
        self.done = self.done.max(self.count + self.inner);
        (self.count, self.inner) = (0, 0);
    }
}

impl Guard {
    fn complaint(&self) -> Option<String> {
        if self.outer.len() > MAX_NESTING {
            Some(format!("the statement nests more than {MAX_NESTING} levels deep"))
        } else if self.with > MAX_WITH {
            Some(format!("WITH stands inside of WITH more than {MAX_WITH} levels deep; list them one after the other"))
        } else if self.retried + self.intervals > MAX_RETRIED {
            Some(format!("the statement nests CAST, INTERVAL and their like more than {MAX_RETRIED} levels deep"))
        } else if self.here.above + self.here.depth() > MAX_DEPTH {
            Some(format!(
                "the statement chains more than {MAX_DEPTH} operators and keywords; use IN (…), or put parts of the \
                 chain into parentheses"
            ))
        } else {
            None
        }
    }

    fn step(&mut self, token: &Token) {
        let (after_operand, after_period, after_type) = (self.operand, self.period, self.type_name);
        (self.operand, self.period, self.type_name) = (true, *token == Token::Period, false);
        let after_retried = std::mem::take(&mut self.after_retried);
        match token {
            Token::Word(word) if word.quote_style.is_some() || word.keyword == Keyword::NoKeyword => {}
            Token::Word(_) if after_period => {}
            Token::Word(word) => self.keyword(word.keyword, after_operand),
            Token::RParen | Token::RBracket | Token::RBrace => self.close(),
            literal if is_literal(literal) => {}
            other => {
                self.operand = false;
                self.operator(other, after_operand, after_type);
                if after_retried && *other == Token::LParen {
                    self.here.retried = true;
                    self.retried += 1;
                }
            }
        }
        if self.operand {
            self.intervals = 0;
        }
    }

    fn keyword(&mut self, keyword: Keyword, after_operand: bool) {
        self.operand = matches!(keyword, Keyword::NULL | Keyword::TRUE | Keyword::FALSE | Keyword::END);
        match keyword {
            Keyword::CASE => return self.open(Bracket::Case),
            Keyword::END if self.close_if(Bracket::Case) => return,
            // A clause begins only where an operand has ended; elsewhere the word is a name within an expression.
            Keyword::WHEN | Keyword::THEN | Keyword::ELSE if after_operand && self.here.bracket == Bracket::Case => {
                self.here.next_part();
            }
            Keyword::UNION | Keyword::EXCEPT | Keyword::INTERSECT | Keyword::MINUS => {
                if after_operand {
                    self.here.next_part();
                }
                self.here.set_operations += SET_OPERATION;
            }
            Keyword::WITH if !self.here.with => {
                self.here.with = true;
                self.with += 1;
            }
            _ => {}
        }
        self.intervals += usize::from(keyword == Keyword::INTERVAL);
        self.after_retried = is_retried(keyword);
        self.type_name = matches!(keyword, Keyword::ARRAY | Keyword::STRUCT | Keyword::MAP);
        self.here.count += 1;
    }

    fn operator(&mut self, token: &Token, after_operand: bool, after_type: bool) {
        match token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                // Behind an operand it is a call or a subscript, which may go on as a chain; else it is an operand itself.
                self.here.count += usize::from(after_operand);
                self.open(Bracket::Round);
            }
            Token::Lt if after_type => self.open(Bracket::Angle),
            Token::Comma => self.here.next_part(),
            Token::SemiColon => *self = Guard::default(),
            Token::Gt | Token::ShiftRight => {
                self.here.count += 1;
                let angles = if *token == Token::Gt { 1 } else { 2 };
                for _ in 0..angles {
                    self.close_if(Bracket::Angle);
                }
            }
            _ => self.here.count += 1,
        }
    }

    fn open(&mut self, bracket: Bracket) {
        let above = self.here.above + self.here.set_operations + self.here.count;
        let level = Level { bracket, above, count: 1, ..Level::default() };
        self.outer.push(std::mem::replace(&mut self.here, level));
    }

    /// Closes the last bracket, and what was left open within it.
    fn close(&mut self) {
        while !self.outer.is_empty() && self.pop() != Bracket::Round {}
    }

    fn close_if(&mut self, bracket: Bracket) -> bool {
        self.here.bracket == bracket && self.pop() == bracket
    }

    fn pop(&mut self) -> Bracket {
        let outer = self.outer.pop().unwrap_or_default();
        let level = std::mem::replace(&mut self.here, outer);
        self.with -= usize::from(level.with);
        self.retried -= usize::from(level.retried);
        match level.bracket {
            // CASE and `<` may also be a name and a comparison: what seems to lie within them then goes on after them. So
            // their depths add up, while those of true brackets lie side by side.
            Bracket::Angle | Bracket::Case => self.here.count += level.depth(),
            Bracket::Round | Bracket::None => self.here.inner = self.here.inner.max(level.depth()),
        }
        level.bracket
    }
}

/// Words of a grammar of their own that may also be a function's name: where the one fails, the parser tries the other.
fn is_retried(keyword: Keyword) -> bool {
    use Keyword::*;
    matches!(
        keyword,
        CAST | TRY_CAST | SAFE_CAST | CONVERT | EXTRACT | CEIL | FLOOR | POSITION | SUBSTRING | SUBSTR | OVERLAY | TRIM
    )
}

/// Tokens that are an operand by themselves.
fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::Number(..)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::TripleSingleQuotedString(_)
            | Token::TripleDoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::DoubleQuotedByteStringLiteral(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::Placeholder(_)
    )
}

#[cfg(test)]
mod tests {
    use super::MAX_DEPTH;
    use crate::parse::{parse_one, tokenize};

    fn admits(sql: &str) -> bool {
        tokenize(sql).is_ok()
    }

    #[test]
    fn long_chains_and_deep_nesting_are_refused_without_using_the_stack() {
        let chain = vec!["a = 1"; 100_000].join(" OR ");
        let error = parse_one(&format!("SELECT * FROM t WHERE {chain}")).unwrap_err();
        assert!(error.to_string().contains("chains more than"), "{error}");
        assert!(error.position().is_some_and(|position| position.line == 1 && position.column > 1000), "{error}");
        let nested = format!("SELECT {}1{}", "(".repeat(100_000), ")".repeat(100_000));
        let error = parse_one(&nested).unwrap_err();
        assert!(error.to_string().contains("nest"), "{error}");
        let dots = format!("SELECT {}", vec!["a"; 100_000].join("."));
        assert!(parse_one(&dots).is_err());
    }

    /// Each link may hide behind something that looks like the end of a part, and is none.
    #[test]
    fn nothing_hides_a_chain() {
        let links = [
            "(1) + ",
            "f(1, 2) + ",
            "[1, 2] || ",
            "CASE a WHEN 1 THEN 2 ELSE 3 END + ",
            "then + ",
            "CASE WHEN end = ",
            "CASE WHEN NOT NOT end = ",
            "array < ",
            "array < 1 > ",
            "struct < 1 >> ",
            "union + ",
            "(a, b) IN ",
            "t.case + ",
            "CAST(1 AS ARRAY<INT>) || ",
            "NOT ",
            "{a: 1}.a + ",
            "'a' LIKE ",
            "a -> b -> ",
        ];
        for link in links {
            for lead in [
                "SELECT ",
                "SELECT a.case, ",
                "SELECT CASE WHEN ",
                "SELECT ARRAY< ",
                "SELECT f((",
                "SELECT a AS union, ",
            ] {
                let sql = format!("{lead}{}1", link.repeat(MAX_DEPTH + 1));
                assert!(!admits(&sql), "{lead}{link}…");
            }
        }
    }

    #[test]
    fn words_that_the_parser_tries_twice_do_not_nest_deeply() {
        for word in ["INTERVAL ", "INTERVAL - ", "CAST(", "SUBSTRING(", "POSITION(", "CAST((", "CAST(INTERVAL "] {
            let error = parse_one(&format!("SELECT {} !", word.repeat(40))).unwrap_err();
            assert!(error.to_string().contains("CAST, INTERVAL and their like"), "{word}: {error}");
            assert!(admits(&format!("SELECT {} 1", word.repeat(4))), "{word}");
        }
        assert!(admits(&format!("SELECT {}1", "CAST('1' AS INT) + INTERVAL '1 day' + ".repeat(40))));
    }

    #[test]
    fn what_lies_side_by_side_is_not_deep() {
        let wide = |part: &str, separator: &str| vec![part; 10_000].join(separator);
        for sql in [
            format!("INSERT INTO t VALUES {}", wide("(1, -2, 'x', NULL)", ", ")),
            format!("SELECT {} FROM t", wide("a + b * 2 AS c", ", ")),
            format!("SELECT * FROM t WHERE a IN ({})", wide("-1", ", ")),
            format!("SELECT CASE {} ELSE 'none' END FROM t", wide("WHEN a = 1 AND b < 2 THEN 'x'", " ")),
            format!("SELECT CASE a {} END FROM t", wide("WHEN 1 THEN NULL", " ")),
            wide("SELECT a FROM t", "; "),
            format!(
                "CREATE TABLE t ({})",
                wide("c STRUCT<a ARRAY<INT>, b MAP(VARCHAR, ARRAY<ARRAY<INT>>)> NOT NULL", ", ")
            ),
        ] {
            assert!(admits(&sql), "{sql:.100}");
        }
        assert!(admits(&format!("SELECT * FROM t WHERE {}", vec!["(a = 1 AND b = 2)"; 450].join(" OR "))));
    }

    #[test]
    fn huge_texts_are_refused_but_huge_literals_are_not() {
        let huge = format!("SELECT {}", "1,".repeat(3 << 20));
        assert!(parse_one(&huge).unwrap_err().to_string().contains("too long"));
        let literal = format!("SELECT '{}'", "a".repeat(8 << 20));
        assert!(parse_one(&literal).is_ok());
    }
}
