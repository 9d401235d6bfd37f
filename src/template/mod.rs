//! Templates as Docker's users type them after `--format`: the part of Go's `text/template` that lists need. Pure.
//!
//! Fields, pipelines, variables, `if`, `range`, `with`, and the functions of Docker's CLI (`templates/templates.go`).
//! What is not known is an error, never nothing: a script must not read silence for "nobody".

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

use crate::text::{printable, shorten};

mod eval;
mod functions;
mod lex;
mod parse;

/// Longest complaint: labels may be longer than anybody reads.
const LONGEST: usize = 400;

/// Why a template is none, or says nothing of a value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("template error: {0}")]
pub struct TemplateError(pub String);

impl TemplateError {
    /// Values that it quotes come from others.
    fn new(what: impl AsRef<str>) -> Self {
        Self(printable(&shorten(what.as_ref(), LONGEST)).into_owned())
    }
}

/// A template that was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    nodes: Vec<Node>,
}

/// One piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Text(String),
    Output(Pipeline),
    Set(String, Pipeline),
    /// Pairs of a condition and what it leads to, then what holds without any.
    If(Vec<(Pipeline, Vec<Node>)>, Vec<Node>),
    With(Pipeline, Vec<Node>, Vec<Node>),
    Range(Range),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Range {
    index: Option<String>,
    element: Option<String>,
    over: Pipeline,
    body: Vec<Node>,
    empty: Vec<Node>,
}

/// Commands joined by `|`: the result of each is the last argument of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Pipeline(Vec<Vec<Operand>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    /// `.`, `.A.B`.
    Field(Vec<String>),
    /// `$`, `$name.A`.
    Variable(String, Vec<String>),
    Literal(Value),
    Function(String),
    /// `(pipeline).A`.
    Group(Pipeline, Vec<String>),
}

impl Template {
    /// Understands a template. `\t` and `\n` written as two characters are a tab and a line's end, as in Docker.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        Ok(Self { nodes: parse::nodes(lex::pieces(&text)?)? })
    }

    /// What it says of `value`. Values are written so that no terminal obeys them; the template's own text is as it is.
    pub fn render(&self, value: &Value) -> Result<String, TemplateError> {
        eval::render(&self.nodes, value)
    }

    /// The parts between tabs with the field that each is about, for the headings of `table ...`.
    pub fn columns(&self) -> Vec<Option<String>> {
        let mut columns = vec![None];
        for node in &self.nodes {
            match node {
                Node::Text(text) => columns.extend(text.matches('\t').map(|_| None)),
                Node::Output(pipeline) => {
                    if let Some(last @ None) = columns.last_mut() {
                        *last = pipeline.first_field();
                    }
                }
                _ => {}
            }
        }
        columns
    }
}

impl Pipeline {
    fn first_field(&self) -> Option<String> {
        self.0.iter().flatten().find_map(|operand| match operand {
            Operand::Field(path) => path.first().cloned(),
            Operand::Group(inner, _) => inner.first_field(),
            _ => None,
        })
    }
}

/// Names and their values while a template is read off.
type Variables = BTreeMap<String, Value>;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn say(template: &str) -> Result<String, String> {
        let value = json!({
            "Container": "web", "From": "ipfriends, lan", "Port": "80/tcp", "Rules": ["1", "2"], "Count": 3,
            "Managed": "true", "Until": null, "Empty": "", "Hostile": "a\u{1b}[31m\u{202e}\n",
            "Labels": {"tier": "front"},
        });
        Template::parse(template).and_then(|template| template.render(&value)).map_err(|error| error.to_string())
    }

    #[test]
    fn says_what_docker_would_say() {
        for (template, said) in [
            ("", ""),
            ("plain", "plain"),
            ("{{.Container}}\\t{{.From}}", "web\tipfriends, lan"),
            ("{{ .Container | upper }}", "WEB"),
            ("{{upper .Container}}:{{title .Container}}:{{lower \"ABC\"}}", "WEB:Web:abc"),
            ("{{json .Rules}} {{json .Container}}", r#"["1","2"] "web""#),
            (r#"{{join (split .From ", ") "+"}}"#, "ipfriends+lan"),
            ("{{truncate .From 4}}|{{pad .Container 1 2}}|", "ipfr| web  |"),
            ("{{range .Rules}}<{{.}}>{{end}}", "<1><2>"),
            ("{{range $i, $rule := .Rules}}{{$i}}={{$rule}} {{$.Container}};{{end}}", "0=1 web;1=2 web;"),
            ("{{range .Empty}}x{{else}}none{{end}}", "none"),
            (r#"{{if eq .Container "db" "web"}}yes{{else}}no{{end}}"#, "yes"),
            ("{{if .Empty}}a{{else if and .Container (not .Until)}}b{{else}}c{{end}}", "b"),
            ("{{with .Labels}}{{.tier}}{{.missing}}{{end}}", "front<no value>"),
            (r#"{{index .Rules 1}} {{index .Labels "tier"}} {{len .Rules}}"#, "2 front 2"),
            (r#"{{printf "%-6s|%3d|%q|%v|%%" .Container .Count .Port .Rules}}"#, r#"web   |  3|"80/tcp"|[1 2]|%"#),
            ("a {{- /* remark */ -}} b", "ab"),
            ("a {{- .Container -}} b", "awebb"),
            ("{{$x := .Container}}{{$x}}{{$x = \"y\"}}{{$x}}", "weby"),
            ("{{.Hostile}}", "a\\x1b[31m\\u{202e}\\n"),
            ("{{json .Hostile}}", r#""a\u001b[31m\u202e\n""#),
            ("{{if gt .Count 2}}many{{end}}{{if le 2 1}}never{{end}}", "many"),
            ("{{`raw {{`}}{{true}}{{'a'}}", "raw {{true97"),
            ("{{println .Container}}{{print 1 2}}", "web\n1 2"),
            ("{{(index .Labels \"tier\") | printf \"%s!\"}}", "front!"),
        ] {
            assert_eq!(say(template).as_deref(), Ok(said), "{template}");
        }
    }

    #[test]
    fn complains_of_what_it_does_not_know() {
        for (template, complaint) in [
            ("{{.Contaner}}", "no field Contaner; did you mean Container?"),
            ("{{.Zzz}}", "no field Zzz; the fields are: Container, Count, Empty, From"),
            ("{{.Container.Name}}", "web has no field Name"),
            ("{{.Hostile.Name}}", "a\\x1b[31m\\u{202e}\\n has no field Name"),
            ("{{.Container", "unclosed action"),
            ("{{if .A}}", "no {{end}}"),
            ("{{end}}", "unexpected {{end}}"),
            ("{{else}}", "unexpected {{else}}"),
            ("{{nope .A}}", "function nope is not defined"),
            ("{{\"abc}}", "a string without an end"),
            ("{{}}", "missing value"),
            ("{{.A | }}", "missing value"),
            ("{{template \"x\"}}", "template is not supported"),
            ("{{range .Container}}{{end}}", "range cannot iterate over web"),
            ("{{upper}}", "upper takes 1 argument"),
            ("{{truncate .Container \"x\"}}", "truncate wants a number"),
            ("{{printf \"%999999999s\" .Container}}", "printf: a width above 1000"),
            ("{{printf \"%d\" .Container}}", "printf: %d wants a number"),
            ("{{pad .Container 99999999 1}}", "pad takes at most 1000 blanks"),
            ("{{index .Rules 7}}", "index out of range"),
            ("{{$x}}", "undefined variable $x"),
            ("{{.Container .From}}", "takes no arguments"),
            ("{{1 | .Container}}", "takes no arguments"),
            ("{{lt 1 \"a\"}}", "cannot be compared"),
        ] {
            let said = say(template).unwrap_err();
            assert!(said.starts_with("template error: ") && said.contains(complaint), "{template}: {said}");
        }
        assert!(say(&"{{if 1}}".repeat(10_000)).unwrap_err().contains("too deep"));
        assert!(say(&format!("{{{{{}", "(".repeat(10_000))).is_err());
        let deep = format!("{{{{{}1{}}}}}", "(".repeat(10_000), ")".repeat(10_000));
        assert!(say(&deep).unwrap_err().contains("too deep"));
    }

    #[test]
    fn columns_are_what_stands_between_tabs() {
        let columns = Template::parse(r"{{.A}}:{{.B}}\t{{upper .C}}\tx").unwrap().columns();
        assert_eq!(columns, [Some("A".to_owned()), Some("C".to_owned()), None]);
    }
}
