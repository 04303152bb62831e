//! [`SchemaError`]: why a service cannot be described in protobuf.

use std::fmt;

/// Why a service cannot be described in protobuf. It follows from the code alone, so a test finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError(Why);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Why {
    /// Two types of a package have one name.
    Clash {
        name: String,
        first: String,
        second: String,
    },
    /// Prost generated a type from a `.proto` that is not known.
    Unknown { rust: String },
    /// A descriptor set does not go with the service that names it.
    Given { service: String, what: String },
}

impl SchemaError {
    pub(super) fn clash(name: &str, first: &str, second: &str) -> Self {
        Self(Why::Clash {
            name: name.to_owned(),
            first: first.to_owned(),
            second: second.to_owned(),
        })
    }

    pub(super) fn unknown(rust: &str) -> Self {
        Self(Why::Unknown {
            rust: rust.to_owned(),
        })
    }

    pub(super) fn given(service: &str, what: impl Into<String>) -> Self {
        Self(Why::Given {
            service: service.to_owned(),
            what: what.into(),
        })
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Why::Clash {
                name,
                first,
                second,
            } => write!(
                f,
                "{first} and {second} are both called {name} in protobuf: rename one of them, or write `#[proto_name(\"..\")]` before it"
            ),
            Why::Unknown { rust } => write!(
                f,
                "prost generated {rust} from a .proto that is not known here: write \
                 `#[iroh_service(file_descriptor_set = ..)]` on the service that uses it"
            ),
            Why::Given { service, what } => {
                write!(f, "the file_descriptor_set of {service}: {what}")
            }
        }
    }
}

impl std::error::Error for SchemaError {}
