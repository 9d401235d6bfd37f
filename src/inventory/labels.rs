//! Labels of containers and services.

use std::collections::BTreeMap;

/// Labels by key, sorted. They are most of what is known of a container, so they are kept as one text: a copy is two pieces of
/// memory, however many labels there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels {
    /// A key, its value, the next key and so on.
    text: Box<str>,
    /// Where each of them ends, in bytes.
    ends: Box<[usize]>,
}

impl Labels {
    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter().find_map(|(own, value)| (own == key).then_some(value))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut begin = 0;
        let mut next = move |end| {
            let part = self.text.get(begin..end).unwrap_or_default();
            begin = end;
            part
        };
        self.ends.chunks_exact(2).filter_map(move |pair| match pair {
            [key, value] => Some((next(*key), next(*value))),
            _ => None,
        })
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(labels: BTreeMap<String, String>) -> Self {
        let (mut text, mut ends) = (String::new(), Vec::new());
        for part in labels.iter().flat_map(|(key, value)| [key, value]) {
            text.push_str(part);
            ends.push(text.len());
        }
        Self { text: text.into(), ends: ends.into() }
    }
}

impl FromIterator<(String, String)> for Labels {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(labels: T) -> Self {
        labels.into_iter().collect::<BTreeMap<_, _>>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_a_key_counts_and_order_does_not() {
        let of = |pairs: &[(&str, &str)]| -> Labels {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let labels = of(&[("tier", "back"), ("a", ""), ("tier", "front")]);
        assert_eq!(labels, of(&[("a", ""), ("tier", "front")]));
        assert_eq!([labels.get("a"), labels.get("tier"), labels.get("tie")], [Some(""), Some("front"), None]);
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("a", ""), ("tier", "front")]);
        assert!(!labels.is_empty() && Labels::default().is_empty());
    }
}
