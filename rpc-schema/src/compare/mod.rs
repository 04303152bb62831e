//! Two schemas side by side: what of the newer one breaks those who know the older. Nothing here reads or writes a file.

mod breaks;
mod enumeration;
mod field;
mod index;
mod message;
mod scalar;
mod service;
mod sides;
#[cfg(test)]
mod tests;

pub use breaks::{Break, Whom};

use prost_types::FileDescriptorSet;
use sides::Sides;

/// What breaks when the schema is `new` and others still have `old`, the worst first.
///
/// Both sets hold what they import. What is only added breaks nobody, and neither does what was said in comments. Protobuf's own files
/// are not compared.
#[must_use]
pub fn compare(old: &FileDescriptorSet, new: &FileDescriptorSet) -> Vec<Break> {
    compare_files(old, new, |file| !file.starts_with("google/protobuf/"))
}

/// The same, of files with certain names.
pub(crate) fn compare_files(
    old: &FileDescriptorSet,
    new: &FileDescriptorSet,
    own: impl Fn(&str) -> bool,
) -> Vec<Break> {
    let mut sides = Sides::new(old, new, own, message::pair);
    service::packages(&mut sides);
    service::services(&mut sides);
    message::messages(&mut sides);
    enumeration::enums(&mut sides);
    sides.finish()
}
