//! From tokens to the model: `input` reads the syntax as it was typed, `service`, `method`,
//! `arguments` and `request` say what is wrong with it, `types` recognises the few types that mean something here.

mod arguments;
mod input;
mod method;
mod request;
mod service;
mod types;

pub(crate) use input::input;
pub(crate) use service::service;
