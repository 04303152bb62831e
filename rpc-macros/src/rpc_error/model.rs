//! An error enum that cannot be wrong.

use syn::{Attribute, Ident, LitStr, Type};

/// An enum of the ways in which calls fail.
pub(super) struct RpcError {
    pub(super) ident: Ident,
    /// The doc comment and what is reserved, which go to the detail.
    pub(super) attrs: Vec<Attribute>,
    /// The package of the detail, which may be empty.
    pub(super) package: String,
    /// Names the detail: `type.googleapis.com/bank.v1.BankErrorDetail`.
    pub(super) type_url: String,
    /// Whether `Display` and `Error` come from the variants' messages.
    pub(super) displayed: bool,
    /// All but the one that holds a status.
    pub(super) variants: Vec<Variant>,
    /// The variant that takes every status that is none of the others.
    pub(super) foreign: Ident,
}

/// A way to fail, which goes over the network as a variant of the detail.
pub(super) struct Variant {
    pub(super) ident: Ident,
    /// The `#[cfg]` attributes, which everything generated for the variant carries.
    pub(super) cfgs: Vec<Attribute>,
    /// Tag and doc comment, which `#[message]` reads.
    pub(super) attrs: Vec<Attribute>,
    /// The variant of `Code`.
    pub(super) code: Ident,
    pub(super) message: Option<LitStr>,
    pub(super) payload: Payload,
}

/// What a variant holds.
pub(super) enum Payload {
    Nothing,
    /// `Variant(T)`.
    Value {
        attrs: Vec<Attribute>,
        ty: Box<Type>,
    },
    /// `Variant { field: T, .. }`.
    Fields(Vec<Field>),
}

/// A field of a variant, which becomes a field of a message.
pub(super) struct Field {
    /// Tag and doc comment, which `#[message]` reads.
    pub(super) attrs: Vec<Attribute>,
    pub(super) ident: Ident,
    pub(super) ty: Type,
}
