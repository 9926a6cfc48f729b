//! A JSON text taken apart. Numbers stay as they are written: no reader may take digits from them before it is known what
//! they are to become.

use std::borrow::Cow;

/// Arrays and objects within each other.
const MAX_DEPTH: usize = 64;

/// A JSON value that refers to its text.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    Null,
    Bool(bool),
    /// As it is written; `NaN`, `Infinity` and `-Infinity`, which Python writes, too.
    Number(&'a str),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    /// In the order of the text.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// Reads a whole text. The error says what is wrong, and after how many bytes.
    pub fn parse(text: &'a str) -> Result<Json<'a>, String> {
        let mut parser = Parser { text, at: 0 };
        let value = parser.value(0)?;
        parser.skip_space();
        if parser.at < text.len() { Err(parser.wrong("something stands behind the value")) } else { Ok(value) }
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn value(&mut self, depth: usize) -> Result<Json<'a>, String> {
        self.skip_space();
        if depth > MAX_DEPTH {
            return Err(self.wrong(&format!("values are nested more than {MAX_DEPTH} deep")));
        }
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => self.string().map(Json::String),
            Some(b'-' | b'0'..=b'9') => self.number(),
            Some(_) => self.word(),
            None => Err(self.wrong("a value is missing")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json<'a>, String> {
        self.at += 1;
        let mut members = Vec::new();
        self.skip_space();
        if self.take(b'}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.skip_space();
            if self.peek() != Some(b'"') {
                return Err(self.wrong("a name in quotes is missing"));
            }
            let name = self.string()?;
            self.skip_space();
            if !self.take(b':') {
                return Err(self.wrong("a colon is missing"));
            }
            members.push((name, self.value(depth + 1)?));
            self.skip_space();
            if self.take(b'}') {
                return Ok(Json::Object(members));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma or } is missing"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json<'a>, String> {
        self.at += 1;
        let mut items = Vec::new();
        self.skip_space();
        if self.take(b']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.skip_space();
            if self.take(b']') {
                return Ok(Json::Array(items));
            }
            if !self.take(b',') {
                return Err(self.wrong("a comma or ] is missing"));
            }
        }
    }

    fn number(&mut self) -> Result<Json<'a>, String> {
        let start = self.at;
        let _ = self.take(b'-');
        if self.rest().starts_with("Infinity") {
            self.at += "Infinity".len();
            return Ok(Json::Number(&self.text[start..self.at]));
        }
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        if whole == 0 || leading_zero && whole > 1 {
            return Err(self.wrong("a number is malformed"));
        }
        if self.take(b'.') && self.digits() == 0 {
            return Err(self.wrong("a number is malformed"));
        }
        if self.take(b'e') || self.take(b'E') {
            let _ = self.take(b'+') || self.take(b'-');
            if self.digits() == 0 {
                return Err(self.wrong("a number is malformed"));
            }
        }
        Ok(Json::Number(&self.text[start..self.at]))
    }

    fn digits(&mut self) -> usize {
        let count = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        self.at += count;
        count
    }

    fn word(&mut self) -> Result<Json<'a>, String> {
        for (word, value) in [
            ("null", Json::Null),
            ("true", Json::Bool(true)),
            ("false", Json::Bool(false)),
            ("NaN", Json::Number("NaN")),
            ("Infinity", Json::Number("Infinity")),
        ] {
            if self.rest().starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        Err(self.wrong("this is no value"))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, String> {
        self.at += 1;
        let start = self.at;
        let plain = self.rest().bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ');
        let plain = plain.ok_or_else(|| self.wrong("a text has no end"))?;
        self.at += plain;
        let before = &self.text[start..self.at];
        if self.take(b'"') {
            return Ok(Cow::Borrowed(before));
        }
        let mut text = before.to_owned();
        loop {
            let plain = self.rest().bytes().position(|byte| byte == b'"' || byte == b'\\' || byte < b' ');
            let plain = plain.ok_or_else(|| self.wrong("a text has no end"))?;
            text.push_str(&self.text[self.at..self.at + plain]);
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    self.at += 1;
                    text.push(self.escape()?);
                }
                _ => return Err(self.wrong("a text has a control character, which is to be written with \\u")),
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let escaped = self.peek().ok_or_else(|| self.wrong("a text has no end"))?;
        self.at += 1;
        Ok(match escaped {
            b'"' | b'\\' | b'/' => char::from(escaped),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.four_digits()?;
                let code = match first {
                    0xd800..=0xdbff if self.take(b'\\') && self.take(b'u') => {
                        let second = self.four_digits()?;
                        let low = second.checked_sub(0xdc00).filter(|low| *low < 0x400);
                        low.map_or(first, |low| 0x10000 + ((first - 0xd800) << 10) + low)
                    }
                    other => other,
                };
                char::from_u32(code).ok_or_else(|| self.wrong("half of a surrogate pair is no character"))?
            }
            _ => return Err(self.wrong("this escape is none")),
        })
    }

    fn four_digits(&mut self) -> Result<u32, String> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let value = digits.and_then(|digits| std::str::from_utf8(digits).ok());
        let value = value.and_then(|digits| u32::from_str_radix(digits, 16).ok());
        let value = value.ok_or_else(|| self.wrong("\\u takes four hexadecimal digits"))?;
        self.at += 4;
        Ok(value)
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        self.at += self.rest().bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).count();
    }

    fn wrong(&self, what: &str) -> String {
        format!("malformed JSON: {what}, after {} bytes", self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_what_is_written() {
        let parsed =
            Json::parse(" {\"a\": [1, -2.50e+3, true, null], \"b\\u00fc\": \"\\ud83d\\ude00\\n\", \"c\": {}} ")
                .unwrap();
        let Json::Object(members) = parsed else { panic!("no object") };
        assert_eq!(
            members[0].1,
            Json::Array(vec![Json::Number("1"), Json::Number("-2.50e+3"), Json::Bool(true), Json::Null])
        );
        assert_eq!((members[1].0.as_ref(), &members[1].1), ("bü", &Json::String("😀\n".into())));
        assert_eq!(members[2].1, Json::Object(vec![]));
        assert_eq!(
            Json::parse("[NaN,-Infinity]").unwrap(),
            Json::Array(vec![Json::Number("NaN"), Json::Number("-Infinity")])
        );
    }

    #[test]
    fn what_is_malformed() {
        for text in [
            "",
            "{",
            "[1",
            "[1,]",
            "{\"a\"}",
            "{a:1}",
            "{\"a\":1,}",
            "01",
            "1.",
            "-",
            "1e",
            "\"a",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\\u12\"",
            "\"\u{1}\"",
            "nul",
            "1 2",
            "'a'",
            "\"\\",
            "\"\\u00é0\"",
        ] {
            assert!(Json::parse(text).is_err(), "{text:?}");
        }
        let deep = "[".repeat(1_000_000);
        assert!(Json::parse(&deep).unwrap_err().contains("64 deep"));
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(text in ".*", number in proptest::num::f64::NORMAL) {
            let written = serde_json::json!({ text.clone(): [text.clone(), number] }).to_string();
            let Json::Object(members) = Json::parse(&written).unwrap() else { panic!("no object") };
            let Json::Array(items) = &members[0].1 else { panic!("no array") };
            assert_eq!((members[0].0.as_ref(), &items[0]), (text.as_str(), &Json::String(text.clone().into())));
            let Json::Number(found) = items[1] else { panic!("no number") };
            assert_eq!(found.parse::<f64>().unwrap(), number);
        }

        #[test]
        fn mutated_texts_never_panic(text in "[\\[\\]{}\":,\\\\u0-9a-fé -.]*") {
            let _ = Json::parse(&text);
        }
    }
}
