//! What a server's hello says of its services, on both sides of it: with the same schema a client encodes calls as postcard and names
//! methods by number.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use crate::{
    method::{Fingerprint, MethodDescriptor, ServiceDescriptor},
    wire::{Hello, MethodRef, method_number, numbered_method},
};

/// The services of a server, as it tells every client of them.
#[derive(Clone, Default)]
pub struct Services(Arc<Told>);

#[derive(Default)]
struct Told {
    services: Vec<&'static ServiceDescriptor>,
    names: Vec<(String, Fingerprint)>,
}

impl Services {
    /// These services, or as many of them as a hello has room for: the others are called by path, as protobuf.
    pub fn new(services: impl IntoIterator<Item = &'static ServiceDescriptor>) -> Self {
        let mut hello = Hello::default();
        let services = services
            .into_iter()
            .filter(|service| hello.add_service(service.name, service.fingerprint()))
            .collect();
        Self(Arc::new(Told {
            services,
            names: hello.services,
        }))
    }

    /// The names and fingerprints that a hello holds.
    pub(super) fn names(&self) -> Vec<(String, Fingerprint)> {
        self.0.names.clone()
    }

    /// The method with this number.
    pub(super) fn method(&self, number: u32) -> Option<&'static MethodDescriptor> {
        let (service, method) = numbered_method(number);
        self.0.services.get(service)?.methods.get(method)
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.0.names.iter().map(|(name, _)| name))
            .finish()
    }
}

/// The services of the server, as its hello told a client of them.
pub(super) struct Theirs {
    /// Ordered by name; with each its place in the hello.
    services: Vec<(String, Fingerprint, usize)>,
    /// What was looked up before. Most clients call few services.
    found: [OnceLock<Found>; REMEMBERED],
}

/// A service of this side, by its address, and its place in the hello where the server has it with the same schema.
struct Found {
    address: usize,
    place: Option<usize>,
}

/// How many services are found without a search.
const REMEMBERED: usize = 8;

impl Theirs {
    pub(super) fn new(services: Vec<(String, Fingerprint)>) -> Self {
        let mut services: Vec<_> = services
            .into_iter()
            .enumerate()
            .map(|(place, (name, fingerprint))| (name, fingerprint, place))
            .collect();
        services.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        Self {
            services,
            found: Default::default(),
        }
    }

    /// Whether the server has this service with the same schema.
    #[inline]
    pub(super) fn has(&self, service: &'static ServiceDescriptor) -> bool {
        self.place(service).is_some()
    }

    /// How a call names its method.
    pub(super) fn name(&self, method: &'static MethodDescriptor) -> MethodRef<'static> {
        self.place(method.service())
            .and_then(|place| method_number(place, method.index))
            .map_or(MethodRef::Path(method.path), MethodRef::Number)
    }

    #[inline]
    fn place(&self, service: &'static ServiceDescriptor) -> Option<usize> {
        let address = std::ptr::from_ref(service).addr();
        for found in &self.found {
            match found.get() {
                Some(found) if found.address == address => return found.place,
                Some(_) => {}
                None => {
                    let place = self.search(service);
                    // Somebody else may have been first, with another service: then the next call searches again.
                    let _ = found.set(Found { address, place });
                    return place;
                }
            }
        }
        self.search(service)
    }

    #[cold]
    fn search(&self, service: &'static ServiceDescriptor) -> Option<usize> {
        let at = self
            .services
            .binary_search_by(|(name, ..)| name.as_str().cmp(service.name))
            .ok()?;
        let (_, fingerprint, place) = &self.services[at];
        (*fingerprint == service.fingerprint()).then_some(*place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{QuickService, echo};

    #[test]
    fn both_sides_count_methods_alike() {
        let ours = Services::new([QuickService::descriptor(), echo()]);
        let theirs = Theirs::new(ours.names());
        for method in echo().methods {
            let MethodRef::Number(number) = theirs.name(method) else {
                panic!("{} has no number", method.path);
            };
            assert_eq!(ours.method(number).unwrap().path, method.path);
        }
        assert!(ours.method(u32::MAX).is_none());
        assert!(ours.method(255).is_none());
    }

    #[test]
    fn a_service_with_another_schema_is_called_by_path() {
        let method = &echo().methods[0];
        for theirs in [vec![], vec![(echo().name.to_owned(), Fingerprint([1; 16]))]] {
            let theirs = Theirs::new(theirs);
            assert!(!theirs.has(echo()));
            assert_eq!(theirs.name(method), MethodRef::Path(method.path));
        }
    }
}
