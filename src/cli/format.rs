//! How lists are printed: `-q`, `--format`, `--no-trunc`, `--filter`.

use serde_json::Value;

use super::failure::Failure;
use crate::policy::nearest;
use crate::template::Template;

/// What `--format` takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Columns under headings.
    Table,
    /// One compact object a line.
    Json,
    /// One page for a browser; of `ls` only.
    Html,
    /// A line for each, as the template says.
    Lines(Template),
    /// `table TEMPLATE`: columns, parted by tabs in the template.
    Columns(Template),
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

impl Format {
    /// Understands the words behind `--format`, of which [`super::values::parse_format`] has seen to the first.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let template = |text: &str| Template::parse(text).map_err(|error| Failure::user(error.to_string()));
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            "html" => Ok(Self::Html),
            _ => {
                match text.strip_prefix("table").filter(|rest| rest.starts_with([' ', '\t']) || rest.starts_with("\\t"))
                {
                    Some(columns) => template(columns.trim_start_matches("\\t").trim_start()).map(Self::Columns),
                    None => template(text).map(Self::Lines),
                }
            }
        }
    }

    /// What a template says of one thing.
    pub fn said(template: &Template, of: &Value) -> Result<String, Failure> {
        template.render(of).map_err(|error| Failure::user(error.to_string()))
    }
}

/// The flags that every list has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListStyle {
    /// `-q`.
    pub quiet: bool,
    /// `--format`, when given and not empty.
    pub format: Option<Format>,
    /// `--no-trunc`.
    pub no_trunc: bool,
}

/// `--filter`, any number of `key=value`; keys in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filters(pub Vec<(String, String)>);

impl Filters {
    /// Refuses keys that the command does not know.
    pub fn only(&self, known: &[&str]) -> Result<(), Failure> {
        let Some((key, _)) = self.0.iter().find(|(key, _)| !known.contains(&key.as_str())) else { return Ok(()) };
        let way = match nearest(key, known.iter().copied()) {
            Some(near) => format!("Did you mean {near}?"),
            None => format!("Filters are: {}", known.join(", ")),
        };
        Err(Failure::user(format!("invalid filter '{}'", super::text::printable(key))).hinted(way))
    }

    /// Refuses other values of `key` than these.
    pub fn only_values(&self, key: &str, known: &[&str]) -> Result<(), Failure> {
        match self.0.iter().find(|(own, value)| own == key && !known.contains(&value.as_str())) {
            None => Ok(()),
            Some((_, value)) => {
                let written: Vec<String> = known.iter().map(|known| format!("{key}={known}")).collect();
                Err(Failure::user(format!("invalid filter '{key}={}'", super::text::printable(value)))
                    .hinted(format!("Write {}", written.join(" or "))))
            }
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
    fn formats_are_words_or_templates() {
        let said = |text: &str| match Format::parse(text).unwrap() {
            Format::Lines(template) => template.render(&serde_json::json!({"A": "x"})).unwrap(),
            Format::Columns(template) => format!("columns {:?}", template.columns()),
            other => format!("{other:?}"),
        };
        assert_eq!(said("json"), "Json");
        assert_eq!(said("{{.A}}"), "x");
        assert_eq!(said("tables {{.A}}"), "tables x");
        for text in ["table {{.A}}", "table\t{{.A}}", r"table\t{{.A}}"] {
            assert_eq!(said(text), "columns [Some(\"A\")]");
        }
        assert_eq!(Format::parse("{{.A").unwrap_err().message, "template error: unclosed action");
    }

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
        let failure = filters.only(&["name", "ports"]).unwrap_err();
        assert_eq!(failure.message, "invalid filter 'port'");
        assert_eq!(failure.hints, ["Did you mean ports?"]);
        assert_eq!(filters.only(&["name"]).unwrap_err().hints, ["Filters are: name"]);
        assert_eq!(filters.only_values("port", &["81"]).unwrap_err().hints, ["Write port=81"]);
    }
}
