//! Takes a script apart at its semicolons, leaving those in quotes and comments alone.

/// Gathers text and gives statements as they become complete.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    pending: String,
    /// Line of the script at which `pending` begins, from 1.
    line: usize,
}

/// One statement without its semicolon.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) text: String,
    /// The line of the script on which it begins, from 1.
    pub(crate) line: usize,
}

impl Statements {
    pub(crate) fn new() -> Statements {
        Statements { pending: String::new(), line: 1 }
    }

    /// Adds text.
    pub(crate) fn push(&mut self, text: &str) {
        self.pending.push_str(text);
    }

    /// Takes the next statement that a semicolon has ended.
    pub(crate) fn take_complete(&mut self) -> Option<Statement> {
        loop {
            let end = semicolon(&self.pending)?;
            let rest = self.pending.split_off(end + 1);
            let mut text = std::mem::replace(&mut self.pending, rest);
            text.pop();
            if let Some(statement) = self.statement(text) {
                return Some(statement);
            }
        }
    }

    /// Takes what is left when the script has ended.
    pub(crate) fn take_last(&mut self) -> Option<Statement> {
        let text = std::mem::take(&mut self.pending);
        self.statement(text)
    }

    /// Whether a statement has been begun.
    pub(crate) fn is_empty(&self) -> bool {
        strip_blank(&self.pending).is_empty()
    }

    fn statement(&mut self, text: String) -> Option<Statement> {
        let lines = |text: &str| text.bytes().filter(|byte| *byte == b'\n').count();
        let begins = self.line;
        self.line += lines(&text);
        let body = strip_blank(&text);
        if body.is_empty() {
            return None;
        }
        let before = lines(text.get(..text.len() - body.len()).unwrap_or_default());
        Some(Statement { text: body.trim_end().to_owned(), line: begins + before })
    }
}

/// Skips white space and comments.
fn strip_blank(text: &str) -> &str {
    let mut rest = text.trim_start();
    while let Some(length) = comment(rest) {
        rest = rest.get(length..).unwrap_or_default().trim_start();
    }
    rest
}

/// The place of the first semicolon outside quotes and comments.
fn semicolon(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let first = rest.chars().next()?;
        at += match first {
            ';' => return Some(at),
            '\'' | '"' | '`' => quoted(rest, first)?,
            '$' => dollar_quoted(rest).unwrap_or(Some(1))?,
            _ => comment(rest).unwrap_or(first.len_utf8()),
        };
    }
    None
}

/// The length of a quoted text with its quotes, which are doubled inside; `None` while it is open.
fn quoted(text: &str, quote: char) -> Option<usize> {
    // A doubled quote reads as the end of one text and the beginning of the next.
    text.get(1..)?.find(quote).map(|end| end + 2)
}

/// `Some(length)` of `$tag$…$tag$`, `Some(None)` while it is open; `None` if this dollar sign begins no such text.
fn dollar_quoted(text: &str) -> Option<Option<usize>> {
    let tag_end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..tag_end)?;
    let name = tag.trim_matches('$');
    let is_tag =
        name.chars().all(|c| c.is_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit());
    if !is_tag {
        return None;
    }
    Some(text.get(tag_end..)?.find(tag).map(|end| tag_end + end + tag_end))
}

/// The length of the comment that `text` begins with; an open one goes to the end.
fn comment(text: &str) -> Option<usize> {
    if text.starts_with("--") {
        return Some(text.find('\n').map_or(text.len(), |end| end + 1));
    }
    if !text.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0usize, 0);
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with("*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return Some(at);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    Some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(script: &str, expected: &[(&str, usize)]) {
        let mut statements = Statements::new();
        statements.push(script);
        let mut found = Vec::new();
        found.extend(std::iter::from_fn(|| statements.take_complete()));
        found.extend(statements.take_last());
        let found: Vec<_> = found.iter().map(|statement| (statement.text.as_str(), statement.line)).collect();
        assert_eq!(found, expected, "{script}");
    }

    #[test]
    fn semicolons_part_statements() {
        check("", &[]);
        check(" ;; \n;", &[]);
        check("SELECT 1", &[("SELECT 1", 1)]);
        check("a;\nb\n;c", &[("a", 1), ("b", 2), ("c", 3)]);
        check("-- one\n\na -- two;\n;/* x; /* y; */ ; */ b", &[("a -- two;", 3), ("b", 4)]);
    }

    #[test]
    fn quotes_hold_semicolons() {
        check("SELECT ';''' , \"a;b\"; b", &[("SELECT ';''' , \"a;b\"", 1), ("b", 1)]);
        check(
            "SELECT $$a;b$$;SELECT $x$;$$;$x$; SELECT $1;",
            &[("SELECT $$a;b$$", 1), ("SELECT $x$;$$;$x$", 1), ("SELECT $1", 1)],
        );
        check("SELECT 'é;", &[("SELECT 'é;", 1)]);
    }

    #[test]
    fn text_may_come_in_pieces() {
        let mut statements = Statements::new();
        statements.push("SELECT ';\n");
        assert_eq!(statements.take_complete(), None);
        assert!(!statements.is_empty());
        statements.push("';");
        assert_eq!(statements.take_complete(), Some(Statement { text: "SELECT ';\n'".to_owned(), line: 1 }));
        assert!(statements.is_empty());
    }
}
