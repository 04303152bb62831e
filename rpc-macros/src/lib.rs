//! The macros of blixard-rpc.
