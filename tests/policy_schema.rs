//! The JSON schema of the policy file says what the parser says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use docker_firewall::policy::{COMMENT_MAX, DefaultAccess, Document, Hook, ROOT_KEYS, RULE_KEYS, Unseen, Verdict};
use serde_json::{Value, json};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn schema() -> Value {
    serde_json::from_str(&fs::read_to_string(root().join("plugin-metadata/policy.schema.json")).unwrap()).unwrap()
}

/// TOML as the JSON that editors check: a moment is a string there.
fn json_of(item: &toml_edit::Item) -> Value {
    fn value(value: &toml_edit::Value) -> Value {
        match value {
            toml_edit::Value::String(text) => json!(text.value()),
            toml_edit::Value::Integer(number) => json!(number.value()),
            toml_edit::Value::Float(number) => json!(number.value()),
            toml_edit::Value::Boolean(on) => json!(on.value()),
            toml_edit::Value::Datetime(moment) => json!(moment.value().to_string()),
            toml_edit::Value::Array(array) => array.iter().map(value_of).collect(),
            toml_edit::Value::InlineTable(_) => json!({}),
        }
    }
    match item {
        toml_edit::Item::Value(one) => value(one),
        toml_edit::Item::Table(table) => table.iter().map(|(key, item)| (key.to_owned(), json_of(item))).collect(),
        toml_edit::Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| Value::Object(table.iter().map(|(key, item)| (key.to_owned(), json_of(item))).collect()))
            .collect(),
        toml_edit::Item::None => Value::Null,
    }
}

fn value_of(value: &toml_edit::Value) -> Value {
    json_of(&toml_edit::Item::Value(value.clone()))
}

/// Whether `value` fits `schema`, by the words of JSON schema that ours uses; any other word is a failure.
fn fits(schema: &Value, whole: &Value, value: &Value) -> bool {
    schema.as_object().unwrap().iter().all(|(word, wanted)| match word.as_str() {
        "$schema" | "title" | "description" | "default" | "definitions" | "format" => true,
        "$ref" => fits(whole.pointer(wanted.as_str().unwrap().trim_start_matches('#')).unwrap(), whole, value),
        "type" => match wanted.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_i64(),
            "boolean" => value.is_boolean(),
            other => panic!("type {other}"),
        },
        "const" => value == wanted,
        "enum" => wanted.as_array().unwrap().contains(value),
        "required" => wanted.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
        "additionalProperties" => {
            assert_eq!(wanted, &json!(false));
            value.as_object().is_none_or(|object| object.keys().all(|key| schema["properties"].get(key).is_some()))
        }
        "properties" => wanted
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, inner)| value.get(key).is_none_or(|value| fits(inner, whole, value))),
        "items" => value.as_array().is_none_or(|array| array.iter().all(|value| fits(wanted, whole, value))),
        "anyOf" => wanted.as_array().unwrap().iter().any(|inner| fits(inner, whole, value)),
        "minLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 >= wanted.as_u64().unwrap()),
        "maxLength" => value.as_str().is_none_or(|text| text.chars().count() as u64 <= wanted.as_u64().unwrap()),
        "minItems" => value.as_array().is_none_or(|array| array.len() as u64 >= wanted.as_u64().unwrap()),
        "minimum" => value.as_i64().is_none_or(|number| number >= wanted.as_i64().unwrap()),
        "maximum" => value.as_i64().is_none_or(|number| number <= wanted.as_i64().unwrap()),
        other => panic!("the schema uses {other}, which this test does not know"),
    })
}

fn by_schema(text: &str) -> bool {
    let Ok(document) = text.parse::<toml_edit::DocumentMut>() else { return false };
    let schema = schema();
    fits(&schema, &schema, &json_of(&toml_edit::Item::Table(document.as_table().clone())))
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn it_has_the_keys_of_the_parser_and_no_others() {
    let schema = schema();
    assert_eq!(keys(&schema["properties"]), ROOT_KEYS.into_iter().collect());
    assert_eq!(keys(&schema["definitions"]["rule"]["properties"]), RULE_KEYS.into_iter().collect());
}

#[test]
fn it_has_the_words_of_the_parser() {
    let schema = schema();
    let words = |path: &str| -> BTreeSet<String> {
        let words = schema.pointer(path).unwrap().as_array().unwrap();
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let set = |names: Vec<&str>| -> BTreeSet<String> { names.into_iter().map(str::to_owned).collect() };
    assert_eq!(words("/properties/default/enum"), set(DefaultAccess::ALL.map(DefaultAccess::name).to_vec()));
    assert_eq!(words("/properties/unseen/enum"), set(Unseen::ALL.map(Unseen::name).to_vec()));
    assert_eq!(words("/properties/hook/enum"), set(Hook::ALL.map(Hook::name).to_vec()));
    let verdicts = [Verdict::Allow, Verdict::Deny].map(Verdict::name).to_vec();
    assert_eq!(words("/definitions/rule/properties/verdict/enum"), set(verdicts));
    assert_eq!(schema["properties"]["default"]["default"], DefaultAccess::default().name());
    assert_eq!(schema["properties"]["unseen"]["default"], Unseen::default().name());
    assert_eq!(schema["properties"]["hook"]["default"], Hook::default().name());
    assert_eq!(schema["definitions"]["rule"]["properties"]["comment"]["maxLength"], COMMENT_MAX);
}

const RULE: &str = "version = 1\n[[rule]]\nverdict = \"allow\"\ntarget = \"web\"\nfrom = \"any\"\n";

/// What the parser takes the schema takes, and what is wrong in shape both refuse.
#[test]
fn both_agree() {
    let with = |line: &str| format!("{RULE}{line}\n");
    for text in [
        "version = 1".to_owned(),
        "version = 1\ndefault = \"closed\"\nunseen = \"open\"\nhook = \"forward\"".to_owned(),
        Document::empty().text(),
        with("port = 443"),
        with("port = [80, \"53/udp\", \"8000-8010\"]"),
        with("published = \"8443/tcp\"\ninterface = \"eth0\""),
        with("expires = 2030-01-31T18:00:00Z\npending = true"),
        with("expires = \"2030-01-31T18:00:00Z\"\ncomment = \"why\""),
        RULE.replace("\"web\"", "[\"web\", \"shop/api\"]"),
        RULE.replace("allow", "deny") + "log = true\n",
        "version = 1\nlog = true".to_owned(),
    ] {
        assert!(Document::parse(&text).is_ok(), "{text}: {}", Document::parse(&text).unwrap_err());
        assert!(by_schema(&text), "{text}");
    }
    let long = format!("comment = \"{}\"", "x".repeat(COMMENT_MAX + 1));
    for text in [
        String::new(),
        "version = 2".to_owned(),
        "version = 1\ncolour = 1".to_owned(),
        "version = 1\ndefault = \"shut\"".to_owned(),
        "version = 1\nrule = 1".to_owned(),
        with("colour = 1"),
        with("port = true"),
        with("port = 70000"),
        with("port = 0"),
        with("port = []"),
        with("interface = \"\""),
        with("interface = \"sixteen-bytes-ab\""),
        with("pending = \"yes\""),
        with("log = \"yes\""),
        "version = 1\nlog = 1".to_owned(),
        with(&long),
        RULE.replace("\"web\"", "[]"),
        RULE.replace("\"web\"", "1"),
        RULE.replace("allow", "permit"),
        RULE.replace("from = \"any\"\n", ""),
    ] {
        assert!(Document::parse(&text).is_err(), "the parser takes\n{text}");
        assert!(!by_schema(&text), "the schema takes\n{text}");
    }
}

/// The policies in the documents.
#[test]
fn examples_are_valid() {
    let mut documents = vec![root().join("README.md")];
    documents.extend(fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    let mut count = 0;
    for path in documents.iter().filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = fs::read_to_string(path).unwrap();
        for block in text.split("```toml\n").skip(1) {
            let block = block.split("```").next().unwrap();
            if !block.contains("[[rule]]") && !block.contains("version") {
                continue;
            }
            let block = if block.contains("version") { block.to_owned() } else { format!("version = 1\n{block}") };
            assert!(Document::parse(&block).is_ok(), "{}: {block}", path.display());
            assert!(by_schema(&block), "{}: {block}", path.display());
            count += 1;
        }
    }
    assert!(count >= 1, "are they still found?");
}
