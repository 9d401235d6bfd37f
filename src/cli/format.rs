//! How lists are printed: `-q`, `--format`, `--no-trunc`, `--filter`.

use super::failure::Failure;

/// What `--format` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns under headings.
    Table,
    /// One compact object a line.
    Json,
}

/// What `--log-format` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One compact object a line.
    Json,
}

/// The one shape a list is printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Columns under headings.
    Table,
    /// One compact object a line.
    Json,
    /// One name or ID a line.
    Names,
}

/// The flags that every list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListStyle {
    /// `-q`.
    pub quiet: bool,
    /// `--format`, when given and not empty.
    pub format: Option<Format>,
    /// `--no-trunc`.
    pub no_trunc: bool,
}

impl ListStyle {
    /// What to print: an explicit format wins over `-q`, except that a quiet table is names, as in Docker.
    pub fn shape(self) -> Shape {
        match (self.format, self.quiet) {
            (Some(Format::Json), _) => Shape::Json,
            (_, true) => Shape::Names,
            _ => Shape::Table,
        }
    }
}

/// `--filter`, any number of `key=value`; keys in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(pub Vec<(String, String)>);

impl Filters {
    /// Refuses keys that the command does not know.
    pub fn only(&self, known: &[&str]) -> Result<(), Failure> {
        match self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            None => Ok(()),
            Some((key, _)) => Err(Failure::user(format!("invalid filter '{}'", super::text::printable(key)))
                .hinted(format!("Filters are: {}", known.join(", ")))),
        }
    }

    /// Refuses values of `key` that are neither `true` nor `false`.
    pub fn only_yes_or_no(&self, key: &str) -> Result<(), Failure> {
        match self.0.iter().find(|(own, value)| own == key && !matches!(value.as_str(), "true" | "false")) {
            None => Ok(()),
            Some((_, value)) => Err(Failure::user(format!("invalid filter '{key}={}'", super::text::printable(value)))
                .hinted(format!("Write {key}=true or {key}=false"))),
        }
    }

    /// Whether a thing passes: values of one key are alternatives, different keys must all hold.
    pub fn pass(&self, mut holds: impl FnMut(&str, &str) -> bool) -> bool {
        self.0.iter().all(|(key, _)| self.0.iter().any(|(other, value)| other == key && holds(other, value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_key_is_or_two_keys_are_and() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let filters = Filters(vec![pair("name", "a"), pair("name", "b"), pair("port", "80")]);
        let thing = |name: &'static str, port: &'static str| {
            filters.pass(move |key, value| match key {
                "name" => value == name,
                _ => value == port,
            })
        };
        assert!(thing("b", "80") && thing("a", "80"));
        assert!(!thing("c", "80") && !thing("a", "81"));
        assert!(Filters::default().pass(|_, _| false));
        assert_eq!(filters.only(&["name"]).unwrap_err().message, "invalid filter 'port'");
    }
}
