//! [`fingerprint`]: 128 bits that stand for the schema of a service.

use std::fmt::Write as _;

use uuid::Uuid;

use crate::{
    method::{Fingerprint, ServiceDescriptor},
    proto::Schema,
};

/// The fingerprint of a service's schema: equal on both sides exactly when postcard is safe between them.
///
/// It covers the paths and shapes of the methods and, recursively, what postcard depends on: the Rust types of fields, in the
/// order of their declaration, and the variants of enums; and the tags. Names of types and fields are no part of it, nor are docs.
#[must_use]
pub fn fingerprint(service: &'static ServiceDescriptor) -> Fingerprint {
    Fingerprint(*Uuid::new_v5(&Uuid::NAMESPACE_URL, canonical(service).as_bytes()).as_bytes())
}

/// What is hashed.
fn canonical(service: &'static ServiceDescriptor) -> String {
    let mut schema = Schema::default();
    let mut text = String::from("https://github.com/blixard/blixard-rpc schema 1\n");
    for method in service.methods {
        let [request, response] = [method.request, method.response].map(|describe| {
            describe(&mut schema);
            schema.last_place()
        });
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{} {:?}{} {} {}",
            method.path,
            method.shape,
            if method.oneway { " oneway" } else { "" },
            request,
            response,
        );
    }
    schema.canonical(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{describe, message, method::MethodDescriptor};

    /// The fingerprint, and its text, of a service with one method that takes `$type`.
    macro_rules! print_of {
        ($type:ident => $($item:item)+) => {{
            $(#[allow(dead_code, reason = "only described")] $item)+
            fn service() -> &'static ServiceDescriptor {
                static METHODS: [MethodDescriptor; 1] =
                    describe::methods(service, [describe::unary::<$type, ()>("/s.S/M")]);
                static SERVICE: ServiceDescriptor = describe::service("s.S", "", &METHODS);
                &SERVICE
            }
            (canonical(service()), fingerprint(service()))
        }};
    }

    #[test]
    fn what_postcard_depends_on_changes_it() {
        let base = print_of! { A => #[message] struct A { x: u32, y: Option<String> } };
        let same = [
            print_of! { B => #[message] struct B { x: u32, y: Option<String> } },
            print_of! { A => #[message] struct A { /** Docs. */ other: u32, name: Option<String> } },
        ];
        for print in same {
            assert_eq!(print, base);
        }
        let different = [
            base,
            print_of! { A => #[message] struct A { y: Option<String>, x: u32 } },
            print_of! { A => #[message] struct A { #[tag(2)] x: u32, #[tag(1)] y: Option<String> } },
            print_of! { A => #[message] struct A { x: u64, y: Option<String> } },
            print_of! { A => #[message] struct A { x: u16, y: Option<String> } },
            print_of! { A => #[message] struct A { x: u32, y: String } },
            print_of! { A => #[message] struct A { x: u32, y: Vec<String> } },
            print_of! { A => #[message] struct A { x: u32, y: Option<String>, z: bool } },
            print_of! { A => #[message] struct A { x: u32, y: Option<B> } #[message] struct B { z: u8 } },
            print_of! { A => #[message] struct A { x: u32, y: Option<B> } #[message] struct B { z: u16 } },
            print_of! { A => #[message] struct A { x: E } #[message] enum E { A, B, #[unknown] C(i32) } },
            print_of! { A => #[message] struct A { x: E } #[message] enum E { A, #[unknown] C(i32), B } },
            print_of! { A => #[message] struct A { x: E } #[message] enum E { A, B = 2, #[unknown] C(i32) } },
            print_of! { A => #[message] enum A { X(u32), Y { a: String } } },
            print_of! { A => #[message] enum A { X(u32), Y { a: Vec<u8> } } },
            print_of! { A => #[message] enum A { X(u32), Y(B) } #[message] struct B { a: String } },
            print_of! { A => #[message] enum A { X(u32), Y { a: String }, #[unknown] Z } },
            print_of! { A => #[message] enum A { #[unknown] Z, X(u32), Y { a: String } } },
            print_of! { A => #[message] struct A { x: Option<Box<Self>> } },
        ];
        let mut prints: Vec<_> = different.iter().map(|(_, print)| print.0).collect();
        prints.sort_unstable();
        prints.dedup();
        assert_eq!(
            prints.len(),
            different.len(),
            "two are equal: {different:#?}"
        );
    }

    mod other {
        use super::message;

        #[message]
        pub(super) struct A {
            y: String,
        }
    }

    #[test]
    fn types_of_the_same_name_are_told_apart() {
        #[message]
        struct A {
            x: u32,
        }

        macro_rules! print_of {
            ($($type:ty),+) => {{
                fn service() -> &'static ServiceDescriptor {
                    static METHODS: [MethodDescriptor; 3] = describe::methods(
                        service,
                        [$(describe::unary::<$type, ()>("/s.S/M")),+],
                    );
                    static SERVICE: ServiceDescriptor = describe::service("s.S", "", &METHODS);
                    &SERVICE
                }
                fingerprint(service())
            }};
        }
        assert_ne!(print_of!(A, other::A, A), print_of!(A, other::A, other::A));
    }

    /// A change of this text is a change of the protocol: nodes of the two versions talk protobuf to each other.
    #[test]
    fn the_text_is_pinned() {
        let (text, print) = print_of! { A =>
            #[message] struct A { x: u8, #[tag(7)] tree: Vec<Self>, by: std::collections::HashMap<String, E>, of: B }
            #[message] enum E { Zero, #[unknown] Other(i32), Five = 5 }
            #[message] enum B { Unit, Value(Vec<u8>), Fields { at: std::time::SystemTime } }
        };
        assert_eq!(
            text,
            "https://github.com/blixard/blixard-rpc schema 1\n\
             /s.S/M Unary #0 #3\n\
             #0 struct { 1 u8, 7 [#0], 8 {String: #1}, 9 #2 }\n\
             #1 enum { 0, 5 } other at 1\n\
             #2 oneof { 1 #3, 2 bytes, 3 { 1 #4 } }\n\
             #3 google.protobuf.Empty\n\
             #4 google.protobuf.Timestamp\n"
        );
        assert_eq!(print.0[6] >> 4, 5);
        let (text, _) = print_of! { Bytes => use bytes::Bytes; };
        assert!(text.contains("#0 opaque\n"), "{text}");
        assert_eq!(text, print_of! { Opaque => type Opaque = Vec<u8>; }.0);
    }
}
