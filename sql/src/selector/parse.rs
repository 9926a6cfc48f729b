//! Tokens to a condition. The levels are `OR`, `AND`, equality, comparison, signs and `NOT`: `NOT a = 1` is `(NOT a) = 1`.

use super::condition::{Argument, Called, Condition, Constant, Operand, Order, Parsed, Part};
use super::operands;
use super::token::{Placed, Token, syntax, tokens};
use crate::{Error, Position, Result};

/// How deep conditions stand in one another.
pub(super) const MAX_DEPTH: usize = 100;
/// Plugins in one expression.
const MAX_CALLS: usize = 16;
const RESERVED: [&str; 12] =
    ["NOT", "AND", "OR", "BETWEEN", "IN", "TRUE", "FALSE", "NULL", "IS", "CONTAINS", "STARTSWITH", "ENDSWITH"];

/// Reads an expression.
pub(super) fn parse(text: &str) -> Result<Parsed> {
    let mut parser = Parser { tokens: tokens(text)?, at: 0, nested: 0, properties: Vec::new(), calls: Vec::new() };
    let (whole, begins) = (parser.either()?, Position { line: 1, column: 1 });
    if *parser.token() != Token::End {
        return Err(parser.unexpected("AND, OR or the end"));
    }
    let condition = operands::condition(whole.operand, begins)?;
    Ok(Parsed { condition, properties: parser.properties, calls: parser.calls })
}

struct Parser<'t> {
    tokens: Vec<Placed<'t>>,
    at: usize,
    nested: usize,
    properties: Vec<String>,
    calls: Vec<Called>,
}

/// An operand, and how deep it is.
struct Deep {
    operand: Operand,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn here(&self) -> &Placed<'t> {
        // The last one is the end, which is never passed.
        &self.tokens[self.at.min(self.tokens.len() - 1)]
    }

    fn token(&self) -> &Token<'t> {
        &self.here().token
    }

    fn position(&self) -> Position {
        self.here().position
    }

    fn is_word(&self, ahead: usize, word: &str) -> bool {
        let found = self.tokens.get(self.at + ahead).map(|placed| &placed.token);
        matches!(found, Some(Token::Word(found)) if found.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(0, word);
        self.at += usize::from(is);
        is
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let is = matches!(self.token(), Token::Symbol(found) if *found == symbol);
        self.at += usize::from(is);
        is
    }

    fn expect_symbol(&mut self, symbol: &str) -> Result<()> {
        if self.take_symbol(symbol) { Ok(()) } else { Err(self.unexpected(symbol)) }
    }

    fn unexpected(&self, wanted: &str) -> Error {
        let found = match self.token() {
            Token::End => "the end".to_owned(),
            Token::Word(text) | Token::Whole(text) | Token::Real(text) => (*text).to_owned(),
            Token::Text(text) => format!("'{text}'"),
            Token::Symbol(symbol) => (*symbol).to_owned(),
        };
        syntax(format!("{wanted} is expected, and {found} found"), self.position())
    }

    fn deeper(&self, operand: Operand, depth: usize) -> Result<Deep> {
        if depth >= MAX_DEPTH {
            let message = format!("conditions stand in one another more than {MAX_DEPTH} deep");
            return Err(Error::Invalid { message, position: Some(self.position()) });
        }
        Ok(Deep { operand, depth: depth + 1 })
    }

    fn either(&mut self) -> Result<Deep> {
        self.joined("OR", Parser::both, Condition::Any)
    }

    fn both(&mut self) -> Result<Deep> {
        self.joined("AND", Parser::equality, Condition::All)
    }

    /// Conditions with a word between. Plugins are asked last, about what the others leave open.
    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Deep>,
        join: fn(Vec<Condition>) -> Condition,
    ) -> Result<Deep> {
        let position = self.position();
        let first = part(self)?;
        if !self.is_word(0, word) {
            return Ok(first);
        }
        let mut depth = first.depth;
        let mut parts = vec![operands::condition(first.operand, position)?];
        while self.take_word(word) {
            let position = self.position();
            let next = part(self)?;
            depth = depth.max(next.depth);
            parts.push(operands::condition(next.operand, position)?);
        }
        parts.sort_by_key(Condition::calls_plugin);
        self.deeper(Operand::Condition(Box::new(join(parts))), depth)
    }

    fn equality(&mut self) -> Result<Deep> {
        let position = self.position();
        let mut left = self.comparison()?;
        loop {
            let negated = match self.token() {
                Token::Symbol("=") => false,
                Token::Symbol("<>") => true,
                _ if self.is_word(0, "IS") => {
                    self.at += 1;
                    let negated = self.take_word("NOT");
                    if !self.take_word("NULL") {
                        return Err(self.unexpected("NULL"));
                    }
                    let is_null = Condition::Equal(left.operand, Operand::Constant(Constant::Null));
                    left = self.deeper(operands::negated_if(negated, is_null), left.depth)?;
                    continue;
                }
                _ => return Ok(left),
            };
            self.at += 1;
            let right = self.comparison()?;
            let equal = operands::equal(left.operand, right.operand, position)?;
            left = self.deeper(operands::negated_if(negated, equal), left.depth.max(right.depth))?;
        }
    }

    fn comparison(&mut self) -> Result<Deep> {
        let position = self.position();
        let mut left = self.unary()?;
        loop {
            let order = match self.token() {
                Token::Symbol("<") => Some(Order::Less),
                Token::Symbol("<=") => Some(Order::LessOrEqual),
                Token::Symbol(">") => Some(Order::Greater),
                Token::Symbol(">=") => Some(Order::GreaterOrEqual),
                _ => None,
            };
            if let Some(order) = order {
                self.at += 1;
                let right = self.unary()?;
                let depth = left.depth.max(right.depth);
                let compared = operands::order(order, left.operand, right.operand, position)?;
                left = self.deeper(Operand::Condition(Box::new(compared)), depth)?;
                continue;
            }
            let after_not = usize::from(self.is_word(0, "NOT"));
            let words = ["BETWEEN", "IN", "CONTAINS", "STARTSWITH", "ENDSWITH"];
            let Some(word) = words.into_iter().find(|word| self.is_word(after_not, word)) else { return Ok(left) };
            self.at += after_not + 1;
            left = self.predicate(word, after_not > 0, left, position)?;
        }
    }

    /// What follows one of the words that compare.
    fn predicate(&mut self, word: &str, negated: bool, left: Deep, position: Position) -> Result<Deep> {
        let mut depth = left.depth;
        let condition = match word {
            "BETWEEN" => {
                let low = self.unary()?;
                if !self.take_word("AND") {
                    return Err(self.unexpected("AND"));
                }
                let high = self.unary()?;
                depth = depth.max(low.depth).max(high.depth);
                operands::between(left.operand, (low.operand, high.operand), negated, position)?
            }
            "IN" => {
                let Operand::Property(property) = left.operand else {
                    return Err(operands::invalid("IN takes a property at its left", position));
                };
                self.expect_symbol("(")?;
                let mut texts = vec![self.text()?];
                while self.take_symbol(",") {
                    texts.push(self.text()?);
                }
                self.expect_symbol(")")?;
                texts.sort_unstable();
                texts.dedup();
                Condition::In { property, texts, negated }
            }
            "CONTAINS" => Condition::Part { part: Part::Anywhere, of: left.operand, text: self.text()?, negated },
            "STARTSWITH" => Condition::Part { part: Part::Start, of: left.operand, text: self.text()?, negated },
            _ => Condition::Part { part: Part::End, of: left.operand, text: self.text()?, negated },
        };
        self.deeper(Operand::Condition(Box::new(condition)), depth)
    }

    fn text(&mut self) -> Result<String> {
        let Token::Text(text) = self.token() else { return Err(self.unexpected("a text in quotes")) };
        let text = text.clone().into_owned();
        self.at += 1;
        Ok(text)
    }

    fn unary(&mut self) -> Result<Deep> {
        self.nested += 1;
        if self.nested > MAX_DEPTH {
            return self.deeper(Operand::Constant(Constant::Null), MAX_DEPTH);
        }
        let position = self.position();
        let given = if self.take_symbol("+") {
            self.unary()?
        } else if self.take_symbol("-") {
            let of = self.unary()?;
            if matches!(of.operand, Operand::Condition(_)) {
                return Err(operands::invalid("a minus stands before a number, not before a condition", position));
            }
            self.deeper(Operand::Negated(Box::new(of.operand)), of.depth)?
        } else if self.take_word("NOT") {
            let of = self.unary()?;
            let not = Condition::Not(Box::new(operands::condition(of.operand, position)?));
            self.deeper(Operand::Condition(Box::new(not)), of.depth)?
        } else if self.take_symbol("(") {
            let inner = self.either()?;
            self.expect_symbol(")")?;
            inner
        } else {
            Deep { operand: self.primary()?, depth: 0 }
        };
        self.nested -= 1;
        Ok(given)
    }

    fn primary(&mut self) -> Result<Operand> {
        if let Some(constant) = self.literal()? {
            return Ok(Operand::Constant(constant));
        }
        let position = self.position();
        let Token::Word(name) = *self.token() else { return Err(self.unexpected("a property or a value")) };
        if RESERVED.iter().any(|word| name.eq_ignore_ascii_case(word)) {
            return Err(self.unexpected("a property or a value"));
        }
        self.at += 1;
        if self.take_symbol("(") {
            return self.call(name, position);
        }
        let known = self.properties.iter().position(|property| property == name);
        Ok(Operand::Property(known.unwrap_or_else(|| {
            self.properties.push(name.to_owned());
            self.properties.len() - 1
        })))
    }

    fn literal(&mut self) -> Result<Option<Constant>> {
        let constant = match self.token() {
            Token::Text(text) => Constant::Text(text.clone().into_owned()),
            Token::Whole(text) => operands::whole(text, self.position())?,
            Token::Real(text) => operands::real(text, self.position())?,
            _ if self.is_word(0, "TRUE") => Constant::Bool(true),
            _ if self.is_word(0, "FALSE") => Constant::Bool(false),
            _ if self.is_word(0, "NULL") => Constant::Null,
            _ => return Ok(None),
        };
        self.at += 1;
        Ok(Some(constant))
    }

    /// The arguments of a plugin, and their end.
    fn call(&mut self, name: &str, position: Position) -> Result<Operand> {
        let mut arguments = Vec::new();
        while !self.take_symbol(")") {
            if !arguments.is_empty() {
                self.expect_symbol(",")?;
            }
            let negative = self.take_symbol("-");
            let argument = match (self.literal()?, self.token(), negative) {
                (Some(constant), _, false) => Argument::Constant(constant),
                (Some(constant), _, true) => {
                    Argument::Constant(operands::negative(constant).ok_or_else(|| self.unexpected("a number after -"))?)
                }
                (None, Token::Word(name), false) => {
                    let name = (*name).to_owned();
                    self.at += 1;
                    Argument::Named(name)
                }
                _ => return Err(self.unexpected("a column, a property or a value")),
            };
            arguments.push(argument);
        }
        if self.calls.len() >= MAX_CALLS {
            return Err(operands::invalid(format!("an expression calls {MAX_CALLS} plugins at most"), position));
        }
        self.calls.push(Called { name: name.to_ascii_lowercase(), position, arguments });
        Ok(Operand::Condition(Box::new(Condition::Call(self.calls.len() - 1))))
    }
}
