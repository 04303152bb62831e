//! Makes the descriptors of generated code, in `const` context: what the macros would otherwise repeat for every method. The types
//! that are made live in [`method`](crate::method).

use std::{sync::OnceLock, time::Duration};

use crate::{
    call::Coding,
    message::{Message, fingerprint},
    method::{ErrorDetail, MethodDescriptor, Priority, ServiceDescriptor, Shape},
};

/// A service with its methods, which [`methods`] has made.
#[must_use]
pub const fn service(
    name: &'static str,
    docs: &'static str,
    methods: &'static [MethodDescriptor],
) -> ServiceDescriptor {
    ServiceDescriptor {
        name,
        docs,
        methods,
        deprecated: false,
        file_descriptor_set: None,
        compute_fingerprint: fingerprint,
        fingerprint: OnceLock::new(),
    }
}

/// Tells the methods of a service their places, and whose they are.
#[must_use]
pub const fn methods<const N: usize>(
    service: fn() -> &'static ServiceDescriptor,
    mut methods: [MethodDescriptor; N],
) -> [MethodDescriptor; N] {
    let mut index = 0;
    while index < N {
        methods[index].index = index;
        methods[index].service = service;
        index += 1;
    }
    methods
}

/// One request, one response.
#[must_use]
pub const fn unary<Q: Message, R: Message>(path: &'static str) -> MethodDescriptor {
    method::<Q, R>(path, Shape::Unary)
}

/// One request, many responses.
#[must_use]
pub const fn server_streaming<Q: Message, R: Message>(path: &'static str) -> MethodDescriptor {
    method::<Q, R>(path, Shape::ServerStreaming)
}

/// Many requests, one response.
#[must_use]
pub const fn client_streaming<Q: Message, R: Message>(path: &'static str) -> MethodDescriptor {
    method::<Q, R>(path, Shape::ClientStreaming)
}

/// Many requests and many responses.
#[must_use]
pub const fn bidirectional<Q: Message, R: Message>(path: &'static str) -> MethodDescriptor {
    method::<Q, R>(path, Shape::Bidirectional)
}

/// One request, nothing answered.
#[must_use]
pub const fn oneway<Q: Message>(path: &'static str) -> MethodDescriptor {
    MethodDescriptor {
        oneway: true,
        ..method::<Q, ()>(path, Shape::Unary)
    }
}

const fn method<Q: Message, R: Message>(path: &'static str, shape: Shape) -> MethodDescriptor {
    MethodDescriptor {
        path,
        index: 0,
        shape,
        idempotent: false,
        oneway: false,
        deadline: None,
        priority: Priority::Normal,
        max_message_bytes: None,
        docs: "",
        deprecated: false,
        argument: None,
        error: None,
        service: nowhere,
        request_coding: Coding::<Q>::ERASED,
        response_coding: Coding::<R>::ERASED,
        request: Q::describe,
        response: R::describe,
    }
}

impl ServiceDescriptor {
    /// As `#[iroh_service(file_descriptor_set = ..)]` says.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_file_descriptor_set(mut self, set: &'static [u8]) -> Self {
        self.file_descriptor_set = Some(set);
        self
    }

    /// As `#[deprecated]` says.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }
}

impl MethodDescriptor {
    /// With the doc comment.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_docs(mut self, docs: &'static str) -> Self {
        self.docs = docs;
        self
    }

    /// With what the single argument is called, and its doc comment.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_argument(mut self, name: &'static str, docs: &'static str) -> Self {
        self.argument = Some((name, docs));
        self
    }

    /// With the detail of its error, if it has one.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_error(mut self, detail: Option<ErrorDetail>) -> Self {
        self.error = detail;
        self
    }

    /// As `#[deprecated]` says.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_deprecated(mut self) -> Self {
        self.deprecated = true;
        self
    }

    /// As `#[rpc(idempotent)]` says.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// As `#[rpc(deadline = "..")]` says.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// As `#[rpc(priority = "..")]` says.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }

    /// As `#[rpc(max_message = "..")]` says.
    #[doc(hidden)]
    #[must_use]
    pub const fn with_max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = Some(bytes);
        self
    }
}

/// The service of a method that [`methods`] has not seen; nobody can hold such a method in generated code.
fn nowhere() -> &'static ServiceDescriptor {
    static NOWHERE: ServiceDescriptor = service("", "", &[]);
    &NOWHERE
}
