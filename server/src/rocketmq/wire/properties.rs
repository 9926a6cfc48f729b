//! A message's properties as one text: `name \x01 value \x02`, for each.

const NAME_END: char = '\u{1}';
const PROPERTY_END: char = '\u{2}';

/// The longest text: its length is written in 16 bits.
pub(crate) const MAX_PROPERTIES_BYTES: usize = i16::MAX as usize;

pub(crate) const UNIQUE_KEY: &str = "UNIQ_KEY";
pub(crate) const TAGS: &str = "TAGS";
pub(crate) const KEYS: &str = "KEYS";
pub(crate) const SHARDING_KEY: &str = "__SHARDINGKEY";
pub(crate) const DELAY_LEVEL: &str = "DELAY";
pub(crate) const START_DELIVER_TIME: &str = "__STARTDELIVERTIME";
pub(crate) const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
pub(crate) const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
pub(crate) const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
/// Whether the producer waits until the message is on disk.
pub(crate) const WAIT: &str = "WAIT";
pub(crate) const RETRY_TOPIC: &str = "RETRY_TOPIC";
pub(crate) const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
/// Of dead letters: the topic that they were in, and their ids there.
pub(crate) const LETTER_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
pub(crate) const LETTER_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";
pub(crate) const REAL_TOPIC: &str = "REAL_TOPIC";
pub(crate) const REAL_QUEUE_ID: &str = "REAL_QID";
pub(crate) const TRANSACTION: &str = "TRAN_MSG";
pub(crate) const CHECK_IMMUNITY: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
pub(crate) const CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
/// Of a message that was popped: its receipt, and when it was handed out first.
pub(crate) const POP_RECEIPT: &str = "POP_CK";
pub(crate) const FIRST_POP_TIME: &str = "1ST_POP_TIME";

/// The pairs in their order. What has no end of its name is nobody's, and is left out, as Apache's clients leave it out.
pub(crate) fn read(text: &str) -> Vec<(String, String)> {
    let pairs = text.split(PROPERTY_END).filter_map(|pair| pair.split_once(NAME_END));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// One text of pairs.
#[derive(Debug, Default)]
pub(crate) struct PropertiesText(String);

impl PropertiesText {
    /// Adds a pair; what would read as the end of one becomes a space.
    pub(crate) fn put(&mut self, name: &str, value: &str) {
        self.put_words(name, std::iter::once(value));
    }

    /// The same of a value in words, with spaces between them.
    pub(crate) fn put_words<'a>(&mut self, name: &str, words: impl IntoIterator<Item = &'a str>) {
        self.put_clean(name);
        self.0.push(NAME_END);
        for (place, word) in words.into_iter().enumerate() {
            if place > 0 {
                self.0.push(' ');
            }
            self.put_clean(word);
        }
        self.0.push(PROPERTY_END);
    }

    fn put_clean(&mut self, text: &str) {
        for (place, part) in text.split([NAME_END, PROPERTY_END]).enumerate() {
            if place > 0 {
                self.0.push(' ');
            }
            self.0.push_str(part);
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_go_there_and_back() {
        let pairs = read("UNIQ_KEY\u{1}ab\u{2}TAGS\u{1}\u{2}x\u{1}a=b c\u{2}");
        let mut text = PropertiesText::default();
        pairs.iter().for_each(|(name, value)| text.put(name, value));
        assert_eq!(read(text.as_str()), pairs);
        assert_eq!(pairs[2], ("x".to_owned(), "a=b c".to_owned()));
        assert_eq!(read("\u{2}\u{2}half\u{2}").len(), 0);
        assert_eq!(read("last\u{1}without end").len(), 1);
        let mut text = PropertiesText::default();
        text.put("a\u{1}b", "c\u{2}d");
        text.put_words("k", ["e", "f\u{1}g"]);
        assert_eq!(text.as_str(), "a b\u{1}c d\u{2}k\u{1}e f g\u{2}");
    }
}
