//! A service that cannot be wrong: what `parse` makes and `expand` prints. No syntax that is refused has a form here.

use std::time::Duration;

use proc_macro2::{Group, TokenStream};
use quote::format_ident;
use syn::{Attribute, Ident, Signature, Type, Visibility, ext::IdentExt};

/// A trait that is a service.
pub(crate) struct Service {
    /// What is carried over to the trait.
    pub(crate) attrs: Vec<Attribute>,
    /// The doc comment, lines joined.
    pub(crate) docs: String,
    pub(crate) vis: Visibility,
    pub(crate) ident: Ident,
    /// With the package: `demo.v1.Greeter`.
    pub(crate) full_name: String,
    /// The descriptor set of an existing `.proto`, as an expression.
    pub(crate) file_descriptor_set: Option<TokenStream>,
    pub(crate) methods: Vec<Method>,
}

/// A method that can be called.
pub(crate) struct Method {
    /// What is carried over to the trait's method, `#[cfg]` included.
    pub(crate) attrs: Vec<Attribute>,
    /// The `#[cfg]` attributes: everything generated for the method carries them.
    pub(crate) cfgs: Vec<Attribute>,
    /// The doc comment, lines joined.
    pub(crate) docs: String,
    /// As written, without the attributes of arguments that are ours.
    pub(crate) signature: Signature,
    pub(crate) body: Option<Group>,
    /// The name on the wire: `Greet`.
    pub(crate) name: String,
    /// The name of the `&Context` argument.
    pub(crate) context: Option<Ident>,
    pub(crate) request: Request,
    pub(crate) response: Response,
    pub(crate) settings: Settings,
}

/// What `#[iroh_service(..)]` says of a service.
#[derive(Default)]
pub(crate) struct SettingsOfService {
    pub(crate) package: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) file_descriptor_set: Option<TokenStream>,
}

/// What `#[rpc(..)]` says of a method.
#[derive(Default)]
pub(crate) struct Settings {
    /// The name, and where it is set.
    pub(crate) name: Option<(String, Ident)>,
    pub(crate) idempotent: bool,
    /// Where one-way is said.
    pub(crate) oneway: Option<Ident>,
    pub(crate) deadline: Option<Duration>,
    /// The variant of `Priority`.
    pub(crate) priority: Option<Ident>,
    pub(crate) max_message_bytes: Option<usize>,
}

/// What the client sends.
pub(crate) enum Request {
    /// No argument.
    Unit,
    /// One argument, the message itself.
    Message {
        argument: Ident,
        ty: Box<Type>,
        /// The field that it is in protobuf, if it is a scalar and can have that name: a message has fields.
        field: Option<String>,
        /// The doc comment.
        docs: String,
    },
    /// Arguments that become the fields of a generated message.
    Fields(Vec<Field>),
    /// A stream of messages.
    Stream {
        argument: Ident,
        /// `T` of `Streaming<T>`.
        item: Box<Type>,
    },
}

/// An argument that becomes a field of the generated request.
pub(crate) struct Field {
    pub(crate) argument: Ident,
    /// The argument's name without leading underscores.
    pub(crate) name: Ident,
    pub(crate) ty: Type,
    /// Its tag and its doc comment, which `#[message]` reads.
    pub(crate) attrs: Vec<Attribute>,
}

/// What the server answers.
pub(crate) enum Response {
    /// Nothing: one-way.
    Nothing,
    /// `T` of `Result<T, E>`.
    Message(Type),
    /// `T` of `Result<Streaming<T, E2>, E>`.
    Stream(Type),
}

impl Service {
    pub(crate) fn client(&self) -> Ident {
        client(&self.ident)
    }

    pub(crate) fn marker(&self) -> Ident {
        marker(&self.ident)
    }

    /// Whether `#[deprecated]` is on the trait.
    pub(crate) fn deprecated(&self) -> bool {
        is_deprecated(&self.attrs)
    }

    /// Whether `#[deprecated]` is somewhere on the trait or a method, so that generated code must not warn of its use.
    pub(crate) fn has_deprecated(&self) -> bool {
        self.deprecated() || self.methods.iter().any(Method::deprecated)
    }

    /// The name without the package: `Greeter`.
    pub(crate) fn wire_name(&self) -> &str {
        let (_, name) = self
            .full_name
            .rsplit_once('.')
            .unwrap_or(("", &self.full_name));
        name
    }

    /// The name of the request that is generated for a method: `GreeterGreetRequest`.
    pub(crate) fn request(&self, method: &Method) -> Ident {
        format_ident!(
            "{}{}Request",
            self.ident.unraw(),
            method.name,
            span = method.signature.ident.span()
        )
    }
}

impl Method {
    /// Whether `#[deprecated]` is on the method.
    pub(crate) fn deprecated(&self) -> bool {
        is_deprecated(&self.attrs)
    }

    /// The function of the runtime, on either side, that carries calls of this shape.
    pub(crate) fn shape(&self) -> &'static str {
        match (&self.request, &self.response) {
            (_, Response::Nothing) => "oneway",
            (Request::Stream { .. }, Response::Message(_)) => "client_streaming",
            (Request::Stream { .. }, Response::Stream(_)) => "bidirectional",
            (_, Response::Message(_)) => "unary",
            (_, Response::Stream(_)) => "server_streaming",
        }
    }
}

fn is_deprecated(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| attr.path().is_ident("deprecated"))
}

/// `GreeterClient`.
pub(crate) fn client(service: &Ident) -> Ident {
    format_ident!("{}Client", service.unraw(), span = service.span())
}

/// `GreeterServer`.
pub(crate) fn server(service: &Ident) -> Ident {
    format_ident!("{}Server", service.unraw(), span = service.span())
}

/// `GreeterService`.
pub(crate) fn marker(service: &Ident) -> Ident {
    format_ident!("{}Service", service.unraw(), span = service.span())
}

/// The name on the wire of a method that has no other: `say_hello` becomes `SayHello`.
pub(crate) fn wire_name(method: &Ident) -> String {
    let mut name = String::new();
    let mut upper = true;
    for c in method.unraw().to_string().chars() {
        if c == '_' {
            upper = true;
        } else if upper {
            name.extend(c.to_uppercase());
            upper = false;
        } else {
            name.push(c);
        }
    }
    name
}

/// The trait as it was typed, right or wrong: what `fallback` needs.
pub(crate) struct Input {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    /// From after the visibility up to `trait`.
    pub(crate) modifiers: TokenStream,
    pub(crate) ident: Ident,
    pub(crate) generics: syn::Generics,
    pub(crate) supertraits: Vec<syn::TypeParamBound>,
    pub(crate) items: Vec<Item>,
}

/// An item of the trait as it was typed.
pub(crate) enum Item {
    Method(Box<RawMethod>),
    /// Not a method.
    Other(TokenStream),
    /// Not parseable (yet), which was reported.
    Broken(TokenStream),
}

/// A method as it was typed.
pub(crate) struct RawMethod {
    pub(crate) attrs: Vec<Attribute>,
    pub(crate) vis: Visibility,
    pub(crate) signature: Signature,
    pub(crate) body: Option<Group>,
}
