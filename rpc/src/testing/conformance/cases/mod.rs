//! The cases, by what they are about. The list of all of them is in `list`.

mod backpressure;
mod cancel;
mod deadlines;
mod errors;
mod limits;
mod load;
mod metadata;
mod panics;
mod shapes;
mod streams;

use super::bed::Case;

/// Every case, by its name. A case that is not in the list is never used, which the compiler says.
pub(super) const ALL: &[(&str, Case)] = conformance!(@list table);
