//! What carries calls: each transport is one folder or file, and none knows of another.

mod memory;

pub use memory::Memory;
