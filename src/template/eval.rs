//! A tree and a value become text.

use serde_json::Value;

use super::{Node, Operand, Pipeline, Range, TemplateError, Variables, functions};
use crate::text::printable;

/// Says `nodes` of `value`.
pub(super) fn render(nodes: &[Node], value: &Value) -> Result<String, TemplateError> {
    let mut scene = Scene { root: value, out: String::new() };
    scene.say(nodes, value, &mut Variables::new())?;
    Ok(scene.out)
}

struct Scene<'a> {
    root: &'a Value,
    out: String,
}

impl Scene<'_> {
    fn say(&mut self, nodes: &[Node], dot: &Value, variables: &mut Variables) -> Result<(), TemplateError> {
        for node in nodes {
            match node {
                Node::Text(text) => self.out.push_str(text),
                Node::Output(pipeline) => self.output(pipeline, dot, variables)?,
                Node::Set(name, pipeline) => {
                    let value = self.value(pipeline, dot, variables)?;
                    variables.insert(name.clone(), value);
                }
                Node::If(arms, otherwise) => {
                    let mut chosen = otherwise;
                    for (condition, body) in arms {
                        if functions::is_true(&self.value(condition, dot, variables)?) {
                            chosen = body;
                            break;
                        }
                    }
                    self.say(chosen, dot, variables)?;
                }
                Node::With(pipeline, body, otherwise) => {
                    let value = self.value(pipeline, dot, variables)?;
                    if functions::is_true(&value) {
                        self.say(body, &value, variables)?;
                    } else {
                        self.say(otherwise, dot, variables)?;
                    }
                }
                Node::Range(range) => self.range(range, dot, variables)?,
            }
        }
        Ok(())
    }

    /// What `println` ends, and what `json` escaped itself, stays as it is.
    fn output(&mut self, pipeline: &Pipeline, dot: &Value, variables: &Variables) -> Result<(), TemplateError> {
        let text = functions::shown(&self.value(pipeline, dot, variables)?);
        let ends = matches!(pipeline.0.last().and_then(|last| last.first()), Some(Operand::Function(name)) if name == "println");
        match text.strip_suffix('\n').filter(|_| ends) {
            Some(line) => {
                self.out.push_str(&printable(line));
                self.out.push('\n');
            }
            None => self.out.push_str(&printable(&text)),
        }
        Ok(())
    }

    fn range(&mut self, range: &Range, dot: &Value, variables: &mut Variables) -> Result<(), TemplateError> {
        let over = self.value(&range.over, dot, variables)?;
        let pairs: Vec<(Value, Value)> = match &over {
            Value::Array(items) => items.iter().cloned().enumerate().map(|(i, item)| (i.into(), item)).collect(),
            Value::Object(items) => items.iter().map(|(key, item)| (key.as_str().into(), item.clone())).collect(),
            empty if !functions::is_true(empty) => Vec::new(),
            other => {
                let what =
                    format!("range cannot iterate over {}; split makes a list of a text", functions::shown(other));
                return Err(TemplateError::new(what));
            }
        };
        if pairs.is_empty() {
            return self.say(&range.empty, dot, variables);
        }
        for (index, item) in pairs {
            let mut inner = variables.clone();
            inner.extend(range.index.clone().map(|name| (name, index)));
            inner.extend(range.element.clone().map(|name| (name, item.clone())));
            self.say(&range.body, &item, &mut inner)?;
        }
        Ok(())
    }

    fn value(&self, pipeline: &Pipeline, dot: &Value, variables: &Variables) -> Result<Value, TemplateError> {
        let mut last = None;
        for command in &pipeline.0 {
            last = Some(self.command(command, last, dot, variables)?);
        }
        Ok(last.unwrap_or_default())
    }

    fn command(
        &self,
        command: &[Operand],
        piped: Option<Value>,
        dot: &Value,
        variables: &Variables,
    ) -> Result<Value, TemplateError> {
        let Some((first, rest)) = command.split_first() else { return Ok(Value::Null) };
        if let Operand::Function(name) = first {
            let mut arguments =
                rest.iter().map(|operand| self.operand(operand, dot, variables)).collect::<Result<Vec<_>, _>>()?;
            arguments.extend(piped);
            return functions::call(name, &arguments);
        }
        if !rest.is_empty() || piped.is_some() {
            return Err(TemplateError::new("what is no function takes no arguments"));
        }
        self.operand(first, dot, variables)
    }

    fn operand(&self, operand: &Operand, dot: &Value, variables: &Variables) -> Result<Value, TemplateError> {
        match operand {
            Operand::Field(path) => self.follow(dot, path),
            Operand::Variable(name, path) if name.is_empty() => self.follow(self.root, path),
            Operand::Variable(name, path) => match variables.get(name) {
                Some(value) => self.follow(value, path),
                None => Err(TemplateError::new(format!("undefined variable ${name}"))),
            },
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(name) => functions::call(name, &[]),
            Operand::Group(pipeline, path) => self.follow(&self.value(pipeline, dot, variables)?, path),
        }
    }

    /// The fields of what is listed are known, so that another one is a slip; keys within it, such as labels, are not.
    fn follow(&self, value: &Value, path: &[String]) -> Result<Value, TemplateError> {
        let mut here = value;
        for name in path {
            let Value::Object(fields) = here else {
                return Err(TemplateError::new(format!("{} has no field {name}", functions::shown(here))));
            };
            here = match fields.get(name) {
                Some(field) => field,
                None if std::ptr::eq(here, self.root) => {
                    let known: Vec<&str> = fields.keys().map(String::as_str).collect();
                    let way = match nearest(name, &known) {
                        Some(near) => format!("did you mean {near}?"),
                        None => format!("the fields are: {}", known.join(", ")),
                    };
                    return Err(TemplateError::new(format!("no field {name}; {way}")));
                }
                None => return Ok(Value::String("<no value>".to_owned())),
            };
        }
        Ok(here.clone())
    }
}

/// The field that differs in case only, or in one letter.
fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    let missing_one = |long: &str, short: &str| {
        long.char_indices().any(|(at, c)| long[..at].chars().chain(long[at + c.len_utf8()..].chars()).eq(short.chars()))
    };
    known.iter().copied().find(|field| {
        let field = field.to_lowercase();
        field == lower || missing_one(&field, &lower) || missing_one(&lower, &field)
    })
}
