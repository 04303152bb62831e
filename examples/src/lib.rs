//! Examples of blixard-rpc.
