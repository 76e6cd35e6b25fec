//! What an edit means for the values of a file, whatever its text looks like.

use super::super::document::{Field, Refusal, Scalar};
use super::super::error::ConfigError;
use super::super::load;
use super::super::names::Segment;
use super::{NewProject, PROJECTS};
use serde_yaml::{Mapping, Value};
use std::path::Path;

/// The values of `text`; an empty mapping for an empty one.
pub(super) fn values(text: &str, path: &Path) -> Result<Value, ConfigError> {
    if load::blank(text) {
        return Ok(Value::Mapping(Mapping::new()));
    }
    let value: Value = load::from_yaml(path, text)?;
    Ok(if value.is_null() { Value::Mapping(Mapping::new()) } else { value })
}

/// Equal, also in the order of keys.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Mapping(a), Value::Mapping(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a.0, b.0) && same(a.1, b.1))
        }
        (Value::Sequence(a), Value::Sequence(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Tagged(a), Value::Tagged(b)) => a.tag == b.tag && same(&a.value, &b.value),
        _ => a == b,
    }
}

fn id_of(project: &Value) -> Option<&str> {
    project.get("id").and_then(Value::as_str)
}

/// Adds `project` unless its id is there. The answer is what to write.
pub(super) fn add_project(root: &mut Mapping, project: &NewProject) -> Vec<Field> {
    let mut fields = vec![Field::Text("id", project.id.clone()), Field::Text("repository", project.repository.clone())];
    fields.extend(project.clone_strategy.clone().map(|strategy| Field::Text("cloneStrategy", strategy)));
    let hints = [("credentialHelper", &project.credential_helper), ("sshKey", &project.ssh_key)];
    let hints: Vec<_> = hints.into_iter().filter_map(|(key, hint)| hint.clone().map(|hint| (key, hint))).collect();
    if !hints.is_empty() {
        fields.push(Field::Group("git", hints));
    }
    let projects = root.entry(PROJECTS.into()).or_insert(Value::Null);
    if projects.is_null() {
        *projects = Value::Sequence(Vec::new());
    }
    if let Value::Sequence(projects) = projects
        && !projects.iter().any(|known| id_of(known) == Some(&project.id))
    {
        projects.push(value_of(&fields));
    }
    fields
}

fn value_of(fields: &[Field]) -> Value {
    let pair = |field: &Field| match field {
        Field::Text(key, text) => (Value::from(*key), Value::from(text.as_str())),
        Field::Group(key, fields) => {
            let fields = fields.iter().map(|(key, text)| (Value::from(*key), Value::from(text.as_str())));
            (Value::from(*key), Value::Mapping(fields.collect()))
        }
    };
    Value::Mapping(fields.iter().map(pair).collect())
}

/// Removes the projects of that id. The answer is where they were, last first.
pub(super) fn remove_project(root: &mut Mapping, id: &str) -> Vec<usize> {
    let Some(Value::Sequence(projects)) = root.get_mut(PROJECTS) else { return Vec::new() };
    let indices = (0..projects.len()).rev().filter(|index| id_of(&projects[*index]) == Some(id)).collect();
    projects.retain(|project| id_of(project) != Some(id));
    indices
}

/// Puts `scalar` at `key` and creates what lies between, but never in place of something else.
pub(super) fn put(value: &mut Value, key: &[Segment], scalar: &Scalar) -> Result<(), Refusal> {
    let Some((first, rest)) = key.split_first() else {
        if value.is_mapping() || value.is_sequence() || matches!(value, Value::Tagged(_)) {
            return Err("there is more than one value there now".to_owned());
        }
        *value = match scalar {
            Scalar::Number(number) => Value::from(*number),
            Scalar::Text(text) => Value::from(text.as_str()),
        };
        return Ok(());
    };
    if value.is_null() {
        *value = match first {
            Segment::Key(_) => Value::Mapping(Mapping::new()),
            Segment::Index(_) => Value::Sequence(Vec::new()),
        };
    }
    match (first, value) {
        (Segment::Key(name), Value::Mapping(mapping)) => {
            put(mapping.entry(name.as_str().into()).or_insert(Value::Null), rest, scalar)
        }
        (Segment::Index(index), Value::Sequence(list)) => {
            // Only values can be added this way; a project has more than one key.
            if *index == list.len() && rest.is_empty() {
                list.push(Value::Null);
            }
            let length = list.len();
            let entry = list.get_mut(*index);
            put(entry.ok_or_else(|| format!("there are only {length} entries"))?, rest, scalar)
        }
        _ => Err("another kind of value is in the way".to_owned()),
    }
}
