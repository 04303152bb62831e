//! The services of a Blixard node, declared with `#[iroh_service]`.
