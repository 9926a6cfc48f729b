//! Which messages a subscription lets pass, by their tags.

use std::collections::BTreeSet;

use super::answer::Refusal;
use super::wire::codes;

/// Tags that pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TagFilter {
    All,
    These(BTreeSet<String>),
}

impl TagFilter {
    /// `*`, or tags with `||` between.
    pub(super) fn read(kind: Option<&str>, expression: Option<&str>) -> Result<TagFilter, Refusal> {
        if let Some(kind) = kind.filter(|kind| !matches!(*kind, "" | "TAG")) {
            return Err(Refusal::new(
                codes::SUBSCRIPTION_PARSE_FAILED,
                format!(
                    "subscriptions by {kind} are not served yet; subscribe by tags, or to a topic that SQL makes (CREATE TOPIC)"
                ),
            ));
        }
        let expression = expression.map_or("", str::trim);
        if matches!(expression, "" | "*") {
            return Ok(TagFilter::All);
        }
        let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
        Ok(TagFilter::These(tags.map(str::to_owned).collect()))
    }

    pub(super) fn passes(&self, tag: Option<&str>) -> bool {
        match self {
            TagFilter::All => true,
            TagFilter::These(tags) => tag.is_some_and(|tag| tags.contains(tag)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_pass_exactly() {
        let read = |expression| TagFilter::read(Some("TAG"), Some(expression)).unwrap();
        assert_eq!((read("*"), read(" ")), (TagFilter::All, TagFilter::All));
        assert_eq!(TagFilter::read(None, None).unwrap(), TagFilter::All);
        let filter = read("a || b||");
        assert!(filter.passes(Some("a")) && filter.passes(Some("b")));
        assert!(!filter.passes(Some("a || b")) && !filter.passes(None) && !filter.passes(Some("")));
        // The hash of both is the same.
        assert!(read("Aa").passes(Some("Aa")) && !read("Aa").passes(Some("BB")));
        assert_eq!(TagFilter::read(Some("SQL92"), Some("a > 1")).unwrap_err().code, 23);
    }
}
