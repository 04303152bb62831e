//! Attributes: `list` reads `key = value, ..`, `value` what is behind a key, `settings` says which keys there are and where, `plain` is
//! for tags and doc comments.

mod list;
mod plain;
mod settings;
mod value;

pub(crate) use plain::{docs, hidden, tag};
pub(crate) use settings::{SettingsOfVariant, of_error, of_method, of_service, of_variant};
