//! Which messages a subscription lets pass: by their tags, or by a condition over their properties.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use millstream_engine::{ErrorKind, Principal};
use millstream_sql::{MessageFilter, MessageProperty, PropertyNames};

use super::answer::Refusal;
use super::names::CLUSTER;
use super::stored::ADDED;
use super::wire::codes;
use super::wire::properties::{KEYS, SHARDING_KEY, TAGS, UNIQUE_KEY};
use crate::door::Door;

pub(super) const SQL92: &str = "SQL92";

/// Properties that clients see and that lie in columns, or are the same for all messages.
const PROPERTIES: PropertyNames = &[
    (UNIQUE_KEY, MessageProperty::MessageId),
    (TAGS, MessageProperty::Tag),
    (KEYS, MessageProperty::Keys),
    (SHARDING_KEY, MessageProperty::Group),
    (ADDED[0].0, MessageProperty::Is(ADDED[0].1)),
    (ADDED[1].0, MessageProperty::Is(ADDED[1].1)),
    (ADDED[2].0, MessageProperty::Is(CLUSTER)),
];

/// How an expression is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FilterKind {
    Tags,
    Selector,
}

/// What passes.
#[derive(Debug, Clone)]
pub(super) enum Filter {
    All,
    /// These tags, exactly.
    Tags(BTreeSet<String>),
    Selector(Arc<MessageFilter>),
}

impl FilterKind {
    pub(super) fn read(kind: Option<&str>) -> Result<FilterKind, Refusal> {
        match kind {
            None | Some("" | "TAG") => Ok(FilterKind::Tags),
            Some(SQL92) => Ok(FilterKind::Selector),
            Some(other) => Err(Refusal::new(
                codes::SUBSCRIPTION_PARSE_FAILED,
                format!("subscriptions are by TAG or by {SQL92}, and not by {other:.40}"),
            )),
        }
    }
}

impl Filter {
    /// `*`, or tags with `||` between.
    pub(super) fn by_tags(expression: &str) -> Filter {
        let expression = expression.trim();
        if matches!(expression, "" | "*") {
            return Filter::All;
        }
        let tags = expression.split("||").map(str::trim).filter(|tag| !tag.is_empty());
        Filter::Tags(tags.map(str::to_owned).collect())
    }

    /// A filter for messages of a namespace. One by a condition may take a while to make, if it calls plugins.
    pub(super) fn read(
        (door, who): (&Door, &Principal),
        namespace: &str,
        kind: FilterKind,
        expression: &str,
    ) -> Result<Filter, Refusal> {
        if kind == FilterKind::Tags {
            return Ok(Filter::by_tags(expression));
        }
        let made = door.sql.message_filter(who, namespace, expression, PROPERTIES);
        made.map(Filter::Selector).map_err(|error| match error.kind() {
            ErrorKind::Retry | ErrorKind::Throttled => Refusal::new(codes::SYSTEM_BUSY, error.to_string()),
            _ => Refusal::new(codes::SUBSCRIPTION_PARSE_FAILED, format!("{expression:.200}: {error}")),
        })
    }

    /// How long to wait before it is asked, because a plugin of it is over its share of the machine.
    pub(super) fn throttled(&self) -> Option<Duration> {
        match self {
            Filter::All | Filter::Tags(_) => None,
            Filter::Selector(filter) => filter.throttled(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_read() {
        assert!(matches!(Filter::by_tags("*"), Filter::All) && matches!(Filter::by_tags(" "), Filter::All));
        let Filter::Tags(tags) = Filter::by_tags("a || b||") else { panic!("by tags") };
        assert_eq!(tags.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(FilterKind::read(None).unwrap(), FilterKind::Tags);
        assert_eq!(FilterKind::read(Some("SQL92")).unwrap(), FilterKind::Selector);
        assert_eq!(FilterKind::read(Some("sql92")).unwrap_err().code, 23);
    }

    #[test]
    fn what_is_added_to_messages_can_be_asked_for() {
        assert_eq!(ADDED.len() + 4, PROPERTIES.len());
        assert_eq!(ADDED[2].1, CLUSTER);
    }
}
