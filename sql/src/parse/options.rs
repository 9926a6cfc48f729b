//! `WITH (key = value, …)`.

use datafusion::sql::sqlparser::tokenizer::Token;

use super::Cursor;
use crate::names::fold;
use crate::{Error, Position, Result};

/// Takes a setting away again.
const DEFAULT: &str = "default";

/// The value of an option.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OptionValue {
    Text(String),
    Number(String),
    Bool(bool),
    /// A list of identifiers in parentheses.
    Names(Vec<String>),
}

/// The options of one statement; each is taken out by name, and what is left at the end is an error.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    entries: Vec<(String, OptionValue, Position)>,
}

impl Options {
    /// Parses `WITH (…)` if it comes next.
    pub(super) fn parse(cursor: &mut Cursor) -> Result<Options> {
        if cursor.words(&["WITH"]) { Options::parse_list(cursor) } else { Ok(Options::default()) }
    }

    /// Parses `(key = value, …)`.
    pub(super) fn parse_list(cursor: &mut Cursor) -> Result<Options> {
        cursor.expect(&Token::LParen)?;
        let mut options = Options::default();
        loop {
            let position = cursor.position();
            let key = option_name(cursor)?;
            cursor.expect(&Token::Eq)?;
            let value = option_value(cursor)?;
            if options.entries.iter().any(|(known, _, _)| *known == key) {
                let message = format!("option {key} is given twice");
                return Err(Error::Invalid { message, position: Some(position) });
            }
            options.entries.push((key, value, position));
            if !cursor.consume(&Token::Comma) {
                break;
            }
        }
        cursor.expect(&Token::RParen)?;
        Ok(options)
    }

    /// Takes an option out.
    pub(crate) fn take(&mut self, key: &str) -> Option<(OptionValue, Position)> {
        let index = self.entries.iter().position(|(name, _, _)| name == key)?;
        let (_, value, position) = self.entries.remove(index);
        Some((value, position))
    }

    /// Takes the options `PREFIX.name`, which are strings, by their names.
    pub(crate) fn texts_under(&mut self, prefix: &str) -> Result<Vec<(String, String)>> {
        let under = |key: &String| key.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')).map(str::to_owned);
        let names: Vec<String> = self.entries.iter().filter_map(|(key, _, _)| under(key)).collect();
        let mut texts = Vec::with_capacity(names.len());
        for name in names {
            let text = self.text(&format!("{prefix}.{name}"))?;
            texts.extend(text.map(|text| (name, text)));
        }
        Ok(texts)
    }

    /// Puts a taken option back.
    pub(crate) fn put_back(&mut self, key: &str, value: OptionValue, position: Position) {
        self.entries.push((key.to_owned(), value, position));
    }

    /// Takes an option that is a string.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>> {
        self.convert(key, "a string in quotes", |value| match value {
            OptionValue::Text(text) => Some(text),
            _ => None,
        })
    }

    /// Takes an option that is a whole number.
    pub(crate) fn number(&mut self, key: &str) -> Result<Option<u64>> {
        self.convert(key, "a whole number", |value| match value {
            OptionValue::Number(text) | OptionValue::Text(text) => text.trim().parse().ok(),
            _ => None,
        })
    }

    /// Takes an option that is true or false.
    pub(crate) fn boolean(&mut self, key: &str) -> Result<Option<bool>> {
        self.convert(key, "true or false", |value| match value {
            OptionValue::Bool(value) => Some(value),
            _ => None,
        })
    }

    /// Takes a number of bytes: a number, or text such as `'64 MiB'`.
    pub(crate) fn bytes(&mut self, key: &str) -> Result<Option<u64>> {
        self.convert(key, "a number of bytes such as 1048576 or '64 MiB'", |value| match value {
            OptionValue::Number(text) => text.parse().ok(),
            OptionValue::Text(text) => parse_bytes(&text),
            _ => None,
        })
    }

    /// Takes a share of CPU in thousandths of a core: a number of cores with up to three decimals.
    pub(crate) fn cpu_milli(&mut self, key: &str) -> Result<Option<u32>> {
        self.convert(key, "a number of cores such as 0.5 or 2, with up to three decimals", |value| match value {
            OptionValue::Number(text) | OptionValue::Text(text) => millstream_engine::cpu_milli(&text),
            _ => None,
        })
    }

    /// Takes a duration in ms: a number of milliseconds, or text such as `'3 days'`.
    pub(crate) fn duration_ms(&mut self, key: &str) -> Result<Option<u64>> {
        self.convert(key, "a duration such as '3 days', '12h' or a number of milliseconds", |value| match value {
            OptionValue::Number(text) => text.parse().ok(),
            OptionValue::Text(text) => parse_duration_ms(&text),
            _ => None,
        })
    }

    /// Takes durations in ms: text with commas such as `'10s, 30s, 1m'`; none at all for the word `default`.
    pub(crate) fn durations_ms(&mut self, key: &str) -> Result<Option<Vec<u64>>> {
        self.convert(key, "durations such as '10s, 30s, 1m', or default", |value| match value {
            OptionValue::Text(text) if text == DEFAULT => Some(Vec::new()),
            OptionValue::Text(text) => text.split(',').map(parse_duration_ms).collect(),
            _ => None,
        })
    }

    /// Takes a whole number; 0 for the word `default`.
    pub(crate) fn number_or_default(&mut self, key: &str) -> Result<Option<u64>> {
        self.convert(key, "a whole number from 1 on, or default", |value| match value {
            OptionValue::Text(text) if text == DEFAULT => Some(0),
            OptionValue::Number(text) | OptionValue::Text(text) => {
                text.trim().parse().ok().filter(|number: &u64| *number > 0)
            }
            _ => None,
        })
    }

    /// Takes names: a list in parentheses, or text with commas.
    pub(crate) fn names(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        self.convert(key, "column names such as (a, b) or 'a, b'", |value| match value {
            OptionValue::Names(names) => Some(names),
            OptionValue::Text(text) if text.trim().is_empty() => Some(Vec::new()),
            OptionValue::Text(text) => Some(text.split(',').map(|name| name.trim().to_owned()).collect()),
            _ => None,
        })
    }

    fn convert<T>(
        &mut self,
        key: &str,
        wanted: &str,
        convert: impl FnOnce(OptionValue) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some((value, position)) = self.take(key) else { return Ok(None) };
        match convert(value) {
            Some(value) => Ok(Some(value)),
            None => Err(Error::Invalid { message: format!("option {key} takes {wanted}"), position: Some(position) }),
        }
    }

    /// Fails if an option is left that nobody took.
    pub(crate) fn finish(self, statement: &str, known: &[&str]) -> Result<()> {
        match self.entries.into_iter().next() {
            None => Ok(()),
            Some((key, _, position)) => Err(Error::Invalid {
                message: format!("{statement} has no option {key:?}; it knows {}", known.join(", ")),
                position: Some(position),
            }),
        }
    }
}

fn option_name(cursor: &mut Cursor) -> Result<String> {
    if let Token::SingleQuotedString(name) = cursor.sql().peek_token().token {
        cursor.sql().advance_token();
        return Ok(name);
    }
    let mut name = fold(&cursor.identifier()?);
    while cursor.consume(&Token::Period) {
        name = format!("{name}.{}", fold(&cursor.identifier()?));
    }
    Ok(name)
}

fn option_value(cursor: &mut Cursor) -> Result<OptionValue> {
    if cursor.consume(&Token::LParen) {
        let names = cursor.with(|parser| parser.parse_comma_separated(|parser| parser.parse_identifier()))?;
        cursor.expect(&Token::RParen)?;
        return Ok(OptionValue::Names(names.iter().map(fold).collect()));
    }
    let value = match cursor.sql().peek_token().token {
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => OptionValue::Text(text),
        Token::Number(text, _) => OptionValue::Number(text),
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("true") => {
            OptionValue::Bool(true)
        }
        Token::Word(word) if word.quote_style.is_none() && word.value.eq_ignore_ascii_case("false") => {
            OptionValue::Bool(false)
        }
        Token::Word(word) if word.quote_style.is_some() => OptionValue::Text(word.value),
        Token::Word(word) => OptionValue::Text(word.value.to_ascii_lowercase()),
        _ => return Err(cursor.expected("a value: a string, a number, true, false or a list of names")),
    };
    cursor.sql().advance_token();
    Ok(value)
}

/// `'64 MiB'`, `'1gb'`, `'512'`; units of 1000 and of 1024.
fn parse_bytes(text: &str) -> Option<u64> {
    let (number, unit) = split_unit(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// `'3 days'`, `'12h'`, `'500ms'`, `'90 seconds'`; a sum of parts such as `'1h 30m'`.
pub(crate) fn parse_duration_ms(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, after) = rest.split_at(digits);
        let after = after.trim_start();
        let letters = after.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, after) = after.split_at(letters);
        let factor: u64 = match unit.to_ascii_lowercase().as_str() {
            "ms" | "millisecond" | "milliseconds" => 1,
            "s" | "sec" | "second" | "seconds" => 1_000,
            "m" | "min" | "minute" | "minutes" => 60_000,
            "h" | "hour" | "hours" => 3_600_000,
            "d" | "day" | "days" => 86_400_000,
            "w" | "week" | "weeks" => 604_800_000,
            "" if total == 0 && after.is_empty() => 1,
            _ => return None,
        };
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(factor)?)?;
        rest = after.trim_start();
    }
    Some(total)
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let text = text.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_duration_ms(text), expected, "{text:?}");
        check("3 days", Some(259_200_000));
        check("12h", Some(43_200_000));
        check("1h 30m", Some(5_400_000));
        check("500 ms", Some(500));
        check("1000", Some(1000));
        check("", None);
        check("days", None);
        check("3 fortnights", None);
        check("99999999999999999 weeks", None);
    }

    #[test]
    fn bytes() {
        let check = |text: &str, expected: Option<u64>| assert_eq!(parse_bytes(text), expected, "{text:?}");
        check("64 MiB", Some(64 << 20));
        check("1gb", Some(1_000_000_000));
        check("512", Some(512));
        check("MiB", None);
        check("1 parsec", None);
    }
}
