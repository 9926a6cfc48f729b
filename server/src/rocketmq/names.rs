//! Names of topics and groups. Clients of 4.x put a namespace before a name (`ns%topic`, `%RETRY%ns%group`), those of 5.x into a
//! field of its own.

use super::answer::Refusal;
use super::fields::Fields;
use super::wire::codes;

/// The topic that unknown topics are made after: who may make topics asks for it.
pub(super) const DEFAULT_TOPIC: &str = "TBW102";
pub(super) const RETRY: &str = "%RETRY%";
pub(super) const DEAD_LETTERS: &str = "%DLQ%";
/// This broker and its cluster, as clients name them.
pub(super) const BROKER: &str = "millstream";
pub(super) const CLUSTER: &str = "millstream";
/// Where answers to messages are sent to; they go to who waits for them, and nothing is stored.
pub(super) const REPLY_TOPIC: &str = "millstream_REPLY_TOPIC";
/// What clients without a namespace are in.
const DEFAULT_NAMESPACE: &str = "public";
const MAX_TOPIC_BYTES: usize = 127;

/// A name within its namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ScopedName {
    pub(super) namespace: String,
    pub(super) name: String,
}

impl ScopedName {
    /// A topic's, or a group's, as it is written in requests with these fields.
    pub(super) fn read(wire: &str, fields: Fields<'_>) -> ScopedName {
        let namespace = fields.get("ns").filter(|namespace| !namespace.is_empty());
        match namespace.filter(|_| fields.get("nsd") == Some("true")) {
            Some(namespace) => ScopedName { namespace: namespace.to_owned(), name: wire.to_owned() },
            None => ScopedName::parse(wire),
        }
    }

    /// As [`Self::wire`] writes it.
    pub(super) fn parse(wire: &str) -> ScopedName {
        let prefix = [RETRY, DEAD_LETTERS].into_iter().find(|prefix| wire.starts_with(prefix)).unwrap_or("");
        let rest = wire.strip_prefix(prefix).unwrap_or(wire);
        match rest.split_once('%') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() => {
                ScopedName { namespace: namespace.to_owned(), name: format!("{prefix}{name}") }
            }
            _ => ScopedName { namespace: DEFAULT_NAMESPACE.to_owned(), name: wire.to_owned() },
        }
    }

    /// The group whose messages to be consumed again are here.
    pub(super) fn retried_group(&self) -> Option<ScopedName> {
        let name = self.name.strip_prefix(RETRY)?.to_owned();
        Some(ScopedName { namespace: self.namespace.clone(), name })
    }

    /// Of a group: where its messages are that are to be consumed again.
    pub(super) fn retry_topic(&self) -> ScopedName {
        ScopedName { namespace: self.namespace.clone(), name: format!("{RETRY}{}", self.name) }
    }

    /// Of a group: where the messages are that it has given up.
    pub(super) fn dead_letter_topic(&self) -> ScopedName {
        ScopedName { namespace: self.namespace.clone(), name: format!("{DEAD_LETTERS}{}", self.name) }
    }

    /// As clients of 4.x write it.
    pub(super) fn wire(&self) -> String {
        if self.is_default() {
            return self.name.clone();
        }
        let prefix = [RETRY, DEAD_LETTERS].into_iter().find(|prefix| self.name.starts_with(prefix)).unwrap_or("");
        let rest = self.name.strip_prefix(prefix).unwrap_or(&self.name);
        format!("{prefix}{}%{rest}", self.namespace)
    }

    /// Whether it is in the namespace of those who name none.
    pub(super) fn is_default(&self) -> bool {
        self.namespace == DEFAULT_NAMESPACE
    }

    /// Whether a topic of this name may be made.
    pub(super) fn check_topic(&self) -> Result<(), Refusal> {
        if self.name == DEFAULT_TOPIC {
            return Err(Refusal::illegal(format!(
                "the topic {DEFAULT_TOPIC} stands for unknown ones; send to another"
            )));
        }
        if self.name.len() > MAX_TOPIC_BYTES {
            let bytes = self.name.len();
            let message = format!("a topic's name has at most {MAX_TOPIC_BYTES} bytes; this one has {bytes}");
            return Err(Refusal::new(codes::INVALID_PARAMETER, message));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_both_releases_are_read_and_written() {
        for (wire, namespace, name) in [
            ("t", "public", "t"),
            ("ns%t", "ns", "t"),
            ("%RETRY%g", "public", "%RETRY%g"),
            ("%RETRY%ns%g", "ns", "%RETRY%g"),
            ("%DLQ%ns%g", "ns", "%DLQ%g"),
            ("%t", "public", "%t"),
        ] {
            let read = ScopedName::parse(wire);
            assert_eq!((read.namespace.as_str(), read.name.as_str()), (namespace, name), "{wire}");
            assert_eq!(read.wire(), wire);
        }
        let retry = ScopedName::parse("ns%g").retry_topic();
        assert_eq!(retry.retried_group(), Some(ScopedName::parse("ns%g")));
        assert_eq!(retry.wire(), "%RETRY%ns%g");
        assert!(ScopedName::parse(DEFAULT_TOPIC).check_topic().is_err());
        assert!(ScopedName::parse(&"x".repeat(128)).check_topic().is_err());
    }
}
