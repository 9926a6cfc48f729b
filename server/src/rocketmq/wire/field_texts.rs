//! Fields of a header by their names, in the order in which they are signed.

/// Each name once, in their order.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct FieldTexts(Vec<(String, String)>);

impl FieldTexts {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let at = self.0.binary_search_by(|(other, _)| other.as_str().cmp(name)).ok()?;
        self.0.get(at).map(|(_, text)| text.as_str())
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, text)| (name.as_str(), text.as_str()))
    }
}

/// Of those of one name the last one counts.
impl From<Vec<(String, String)>> for FieldTexts {
    fn from(mut fields: Vec<(String, String)>) -> FieldTexts {
        fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        fields.dedup_by(|later, kept| {
            let is_same = later.0 == kept.0;
            if is_same {
                std::mem::swap(later, kept);
            }
            is_same
        });
        FieldTexts(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_name_counts_and_all_are_in_their_order() {
        let fields = [("b", "1"), ("a", "2"), ("b", "3"), ("A", "4"), ("b", "5"), ("", "6")];
        let fields = fields.map(|(name, text)| (name.to_owned(), text.to_owned())).to_vec();
        let fields = FieldTexts::from(fields);
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("", "6"), ("A", "4"), ("a", "2"), ("b", "5")]);
        for (name, text) in fields.iter() {
            assert_eq!(fields.get(name), Some(text));
        }
        assert_eq!((fields.get("c"), fields.get("B"), FieldTexts::default().get("")), (None, None, None));
    }
}
