//! Pieces become a tree.

use std::vec::IntoIter;

use super::lex::{Piece, Word};
use super::{Node, Operand, Pipeline, Range, TemplateError, functions};

/// How deep actions and parentheses may nest: more is no format that somebody typed.
const DEPTH: usize = 50;

/// What ended a list of nodes.
enum Stop {
    /// The text did.
    Nothing,
    /// `{{end}}`.
    Here,
    /// `{{else}}`, with the words behind it.
    Else(Vec<Word>),
}

/// The tree of a whole template.
pub(super) fn nodes(pieces: Vec<Piece>) -> Result<Vec<Node>, TemplateError> {
    match list(&mut pieces.into_iter(), 0)? {
        (nodes, Stop::Nothing) => Ok(nodes),
        (_, Stop::Here) => Err(TemplateError::new("unexpected {{end}}")),
        (_, Stop::Else(_)) => Err(TemplateError::new("unexpected {{else}}")),
    }
}

fn list(pieces: &mut IntoIter<Piece>, depth: usize) -> Result<(Vec<Node>, Stop), TemplateError> {
    if depth > DEPTH {
        return Err(TemplateError::new("actions are nested too deep"));
    }
    let mut nodes = Vec::new();
    while let Some(piece) = pieces.next() {
        let words = match piece {
            Piece::Text(text) => {
                nodes.push(Node::Text(text));
                continue;
            }
            Piece::Action(words) => words,
        };
        let keyword = match words.first() {
            Some(Word::Name(name)) => name.clone(),
            _ => String::new(),
        };
        let rest = || words.get(1..).unwrap_or_default();
        nodes.push(match keyword.as_str() {
            "end" if words.len() == 1 => return Ok((nodes, Stop::Here)),
            "else" => return Ok((nodes, Stop::Else(rest().to_vec()))),
            "if" => choice(pieces, rest(), depth)?,
            "with" => {
                let over = pipeline(rest())?;
                let (body, otherwise) = body(pieces, depth)?;
                Node::With(over, body, otherwise)
            }
            "range" => range(pieces, rest(), depth)?,
            "template" | "define" | "block" | "break" | "continue" => {
                return Err(TemplateError::new(format!("{keyword} is not supported")));
            }
            _ => match words.as_slice() {
                [Word::Variable(name, path), Word::Declare | Word::Assign, value @ ..] if path.is_empty() => {
                    Node::Set(name.clone(), pipeline(value)?)
                }
                words => Node::Output(pipeline(words)?),
            },
        });
    }
    Ok((nodes, Stop::Nothing))
}

fn no_end() -> TemplateError {
    TemplateError::new("an action is opened and there is no {{end}}")
}

/// What stands up to `{{end}}`, and what stands behind `{{else}}`.
fn body(pieces: &mut IntoIter<Piece>, depth: usize) -> Result<(Vec<Node>, Vec<Node>), TemplateError> {
    match list(pieces, depth + 1)? {
        (nodes, Stop::Here) => Ok((nodes, Vec::new())),
        (nodes, Stop::Else(words)) if words.is_empty() => match list(pieces, depth + 1)? {
            (otherwise, Stop::Here) => Ok((nodes, otherwise)),
            (_, Stop::Else(_)) => Err(TemplateError::new("unexpected {{else}}")),
            (_, Stop::Nothing) => Err(no_end()),
        },
        (_, Stop::Else(_)) => Err(TemplateError::new("{{else}} takes words only after {{if}}")),
        (_, Stop::Nothing) => Err(no_end()),
    }
}

fn choice(pieces: &mut IntoIter<Piece>, words: &[Word], depth: usize) -> Result<Node, TemplateError> {
    let mut arms = Vec::new();
    let mut condition = pipeline(words)?;
    loop {
        match list(pieces, depth + 1)? {
            (nodes, Stop::Here) => {
                arms.push((condition, nodes));
                return Ok(Node::If(arms, Vec::new()));
            }
            (nodes, Stop::Else(words)) => {
                arms.push((condition, nodes));
                match words.split_first() {
                    None => match list(pieces, depth + 1)? {
                        (otherwise, Stop::Here) => return Ok(Node::If(arms, otherwise)),
                        (_, Stop::Else(_)) => return Err(TemplateError::new("unexpected {{else}}")),
                        (_, Stop::Nothing) => return Err(no_end()),
                    },
                    Some((Word::Name(name), rest)) if name == "if" => condition = pipeline(rest)?,
                    Some(_) => return Err(TemplateError::new("{{else}} is followed by nothing or by if")),
                }
            }
            (_, Stop::Nothing) => return Err(no_end()),
        }
    }
}

fn range(pieces: &mut IntoIter<Piece>, words: &[Word], depth: usize) -> Result<Node, TemplateError> {
    let (index, element, over) = match words {
        [Word::Variable(index, _), Word::Comma, Word::Variable(element, _), Word::Declare, over @ ..] => {
            (Some(index.clone()), Some(element.clone()), over)
        }
        [Word::Variable(element, _), Word::Declare, over @ ..] => (None, Some(element.clone()), over),
        over => (None, None, over),
    };
    let over = pipeline(over)?;
    let (body, empty) = body(pieces, depth)?;
    Ok(Node::Range(Range { index, element, over, body, empty }))
}

fn pipeline(words: &[Word]) -> Result<Pipeline, TemplateError> {
    let mut words = words.iter();
    let (pipeline, closed) = commands(&mut words, 0)?;
    if closed.is_some() {
        return Err(TemplateError::new("unexpected )"));
    }
    Ok(pipeline)
}

/// A pipeline up to its end or to a closing parenthesis, whose fields are returned.
fn commands(
    words: &mut std::slice::Iter<'_, Word>,
    depth: usize,
) -> Result<(Pipeline, Option<Vec<String>>), TemplateError> {
    if depth > DEPTH {
        return Err(TemplateError::new("parentheses are nested too deep"));
    }
    let mut commands = Vec::new();
    let mut command: Vec<Operand> = Vec::new();
    let missing = || TemplateError::new("missing value for an action or behind |");
    loop {
        let word = words.next();
        match word {
            None | Some(Word::Pipe | Word::Close(_)) => {
                if command.is_empty() {
                    return Err(missing());
                }
                commands.push(std::mem::take(&mut command));
                match word {
                    None if depth > 0 => return Err(TemplateError::new("a parenthesis without an end")),
                    None => return Ok((Pipeline(commands), None)),
                    Some(Word::Close(path)) => return Ok((Pipeline(commands), Some(path.clone()))),
                    Some(_) => {}
                }
            }
            Some(Word::Field(path)) => command.push(Operand::Field(path.clone())),
            Some(Word::Variable(name, path)) => command.push(Operand::Variable(name.clone(), path.clone())),
            Some(Word::Literal(value)) => command.push(Operand::Literal(value.clone())),
            Some(Word::Name(name)) => {
                if !functions::NAMES.contains(&name.as_str()) {
                    let known = functions::NAMES.join(", ");
                    let what = format!("function {name} is not defined; the functions are: {known}");
                    return Err(TemplateError::new(what));
                }
                command.push(Operand::Function(name.clone()));
            }
            Some(Word::Open) => {
                let (inner, path) = self::commands(words, depth + 1)?;
                command.push(Operand::Group(inner, path.unwrap_or_default()));
            }
            Some(Word::Comma | Word::Declare | Word::Assign) => {
                return Err(TemplateError::new("unexpected comma or equals sign"));
            }
        }
    }
}
