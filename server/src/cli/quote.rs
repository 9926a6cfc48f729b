//! Writes names and texts into statements.

/// A name as it stands, whatever is in it.
pub(crate) fn name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text in quotes.
pub(crate) fn text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled() {
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
        assert_eq!(name("Lab.flights"), "\"Lab.flights\"");
        assert_eq!(text("it's"), "'it''s'");
    }
}
