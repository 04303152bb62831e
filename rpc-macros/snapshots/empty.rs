#[iroh_service]
pub trait Empty {}
