//! The client verbs, a module for each group of them.

pub(crate) mod account;
pub(crate) mod channels;
pub(crate) mod fetch;
pub(crate) mod look;
pub(crate) mod project;
pub(crate) mod publish;
pub(crate) mod releases;
pub(crate) mod token;
pub(crate) mod whatis;

use serde_json::Value;

use crate::failure::Failure;

/// A member that is text, where it is there.
pub(crate) fn find_text<'a>(document: &'a Value, member: &str) -> Option<&'a str> {
    document.get(member).and_then(Value::as_str)
}

/// A member that is text; an answer without it is none of Ingot's.
pub(crate) fn text<'a>(document: &'a Value, member: &str) -> Result<&'a str, Failure> {
    find_text(document, member).ok_or_else(|| lacks(member))
}

/// A member that is a list; an answer without it is none of Ingot's.
pub(crate) fn list<'a>(document: &'a Value, member: &str) -> Result<&'a [Value], Failure> {
    let list = document.get(member).and_then(Value::as_array).ok_or_else(|| lacks(member))?;
    Ok(list)
}

/// The texts of a list, where they are there.
pub(crate) fn texts(document: &Value, member: &str) -> Vec<String> {
    let list = document.get(member).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(|text| text.as_str().map(str::to_owned)).collect()
}

/// The text of a member for a table: `-` where there is none.
pub(crate) fn cell(document: &Value, member: &str) -> String {
    match document.get(member) {
        None | Some(Value::Null) => "-".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn lacks(member: &str) -> Failure {
    Failure::strange(format!("the server's answer lacks `{member}`"))
}
