//! [`Tree`]: settings as they are written, in a TOML file and in variables of the environment over it. What they mean is not known
//! here.

use std::collections::{BTreeMap, btree_map::Entry};

use toml::de::{DeTable, DeValue};

use super::{error::ConfigError, key::joined};

/// Settings by their names, and sections of them.
pub(super) type Tree = BTreeMap<String, Node>;

#[derive(Debug)]
pub(super) enum Node {
    Setting(Setting),
    Section(Tree, String),
}

/// A value as it was written.
#[derive(Debug)]
pub(super) struct Setting {
    /// What it says: a string without its quotes, or the number.
    pub(super) text: String,
    /// How it was written.
    pub(super) shown: String,
    /// Where.
    pub(super) origin: String,
}

/// Reads TOML; `file` names it in what is said of mistakes.
///
/// # Errors
/// Where it is no TOML.
pub(super) fn read(source: &str, file: &str) -> Result<Tree, ConfigError> {
    let table = DeTable::parse(source).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        ConfigError::one(
            origin(source, file, at),
            "this is not TOML",
            error.message(),
        )
    })?;
    Ok(section(table.get_ref(), source, file))
}

/// Sets what these variables say, in place of what was there: `PREFIX_GRPC__LISTEN` is `grpc.listen`. Those without the prefix are
/// not looked at.
///
/// # Errors
/// A variable for what is a section, or for something within a setting.
pub(super) fn overlay(
    tree: &mut Tree,
    prefix: &str,
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    for (name, value) in variables {
        let Some(key) = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_prefix('_'))
        else {
            continue;
        };
        let path = path(key);
        let setting = Setting {
            shown: format!("{value:?}"),
            text: value,
            origin: name.clone(),
        };
        set(tree, &path, setting).map_err(|why| ConfigError::one(name, joined(&path), why))?;
    }
    Ok(())
}

fn section(table: &DeTable<'_>, source: &str, file: &str) -> Tree {
    let node = |value: &toml::Spanned<DeValue<'_>>, at| {
        let origin = origin(source, file, at);
        let text = match value.get_ref() {
            DeValue::Table(table) => {
                return Node::Section(section(table, source, file), origin);
            }
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            _ => written(value, source),
        };
        Node::Setting(Setting {
            text,
            shown: written(value, source),
            origin,
        })
    };
    table
        .iter()
        .map(|(key, value)| (key.get_ref().to_string(), node(value, key.span().start)))
        .collect()
}

fn written(value: &toml::Spanned<DeValue<'_>>, source: &str) -> String {
    source.get(value.span()).unwrap_or_default().to_owned()
}

fn origin(source: &str, file: &str, at: usize) -> String {
    let before = source.as_bytes().get(..at).unwrap_or_default();
    let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
    format!("{file}:{line}")
}

/// The key that a variable is for. Names are in lower case, but those of services are as they are.
fn path(key: &str) -> Vec<String> {
    let mut path: Vec<String> = Vec::new();
    for part in key.split("__") {
        let is_service = path == ["migration", "services"];
        path.push(if is_service {
            part.to_owned()
        } else {
            part.to_lowercase()
        });
    }
    path
}

fn set(tree: &mut Tree, path: &[String], setting: Setting) -> Result<(), &'static str> {
    let Some((first, rest)) = path.split_first() else {
        return Ok(());
    };
    if rest.is_empty() {
        return match tree.entry(first.clone()) {
            Entry::Occupied(entry) if matches!(entry.get(), Node::Section(..)) => {
                Err("that is a section, and a variable is for one setting in it")
            }
            Entry::Occupied(mut entry) => {
                entry.insert(Node::Setting(setting));
                Ok(())
            }
            Entry::Vacant(entry) => {
                entry.insert(Node::Setting(setting));
                Ok(())
            }
        };
    }
    let node = tree
        .entry(first.clone())
        .or_insert_with(|| Node::Section(Tree::new(), setting.origin.clone()));
    match node {
        Node::Section(inner, _) => set(inner, rest, setting),
        Node::Setting(_) => Err("there is nothing within a setting"),
    }
}
