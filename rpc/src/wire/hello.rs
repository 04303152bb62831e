//! The hello: what the two sides tell each other once a connection, in the first Ping of a lane and its Pong.
//!
//! ```proto
//! message Hello   { uint32 version = 1; uint32 priority = 2; uint32 max_calls = 3; repeated Service services = 4; bool draining = 5; }
//! message Service { string name = 1; bytes fingerprint = 2; }    // 16 bytes
//! ```

use bytes::BytesMut;

use super::{
    error::WireError,
    fields::{Value, next, put_bytes, put_nested, put_varint, text},
    limits::{MAX_HEAD_BYTES, MAX_HELLO_SERVICES, MAX_PATH_BYTES},
};
use crate::method::{Fingerprint, Priority};

/// What one side tells the other about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello {
    /// The protocol's version; both sides must have the same.
    pub version: u32,
    /// From a client: the priority of the lane that the Ping opens.
    pub priority: Priority,
    /// From a server: how many calls it takes at once on the connection.
    pub max_calls: u32,
    /// From a server: its services, by full name, with the fingerprints of their schemas.
    pub services: Vec<(String, Fingerprint)>,
    /// From a server, in a later Pong: it takes no new calls and closes when those in flight have ended.
    pub draining: bool,
}

impl Hello {
    const WHAT: &'static str = "hello";

    /// Adds a service, if there is room; tells whether there was.
    pub fn add_service(&mut self, name: &str, fingerprint: Fingerprint) -> bool {
        let size = |name: &str| name.len() + SERVICE_BYTES;
        let used: usize = self.services.iter().map(|(name, _)| size(name)).sum();
        let fits = name.len() <= MAX_PATH_BYTES
            && self.services.len() < MAX_HELLO_SERVICES
            && used + size(name) + HELLO_BYTES <= MAX_HEAD_BYTES;
        if fits {
            self.services.push((name.to_owned(), fingerprint));
        }
        fits
    }

    /// Appends the hello as it is sent.
    pub fn encode(&self, out: &mut BytesMut) {
        put_varint(out, 1, u64::from(self.version));
        put_varint(out, 2, u64::from(self.priority.number()));
        put_varint(out, 3, u64::from(self.max_calls));
        put_varint(out, 5, u64::from(self.draining));
        for (name, fingerprint) in &self.services {
            put_nested(out, 4, |out| {
                put_bytes(out, 1, name.as_bytes());
                put_bytes(out, 2, &fingerprint.0);
            });
        }
    }

    /// Reads a hello.
    ///
    /// # Errors
    /// Malformed bytes, too many services, or another version.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, WireError> {
        let mut hello = Self::default();
        while let Some((number, value)) = next(&mut bytes, Self::WHAT)? {
            match (number, value) {
                (1, Value::Varint(version)) => hello.version = small(version)?,
                (2, Value::Varint(priority)) => {
                    hello.priority = u8::try_from(priority)
                        .ok()
                        .and_then(Priority::from_number)
                        .ok_or(WireError::Malformed("priority"))?;
                }
                (3, Value::Varint(calls)) => hello.max_calls = small(calls)?,
                (4, Value::Bytes(service)) => {
                    if hello.services.len() == MAX_HELLO_SERVICES {
                        return Err(WireError::TooLarge {
                            bytes: bytes.len(),
                            limit_bytes: MAX_HEAD_BYTES,
                        });
                    }
                    hello.services.push(decode_service(service)?);
                }
                (5, Value::Varint(draining)) => hello.draining = draining != 0,
                _ => {}
            }
        }
        if hello.version != u32::from(super::VERSION) {
            return Err(WireError::Version(
                u8::try_from(hello.version).unwrap_or(u8::MAX),
            ));
        }
        Ok(hello)
    }
}

/// What a service takes in a hello beside its name, at most.
const SERVICE_BYTES: usize = 32;

/// What the other fields of a hello take, at most.
const HELLO_BYTES: usize = 32;

/// How the services of a hello number their methods: the service's place there, and the method's in its declaration. `None` where a
/// number has no room for them; then calls name the path.
#[must_use]
pub fn method_number(service: usize, method: usize) -> Option<u32> {
    let method = u8::try_from(method).ok()?;
    let service = u32::try_from(service)
        .ok()
        .filter(|place| *place < 1 << 16)?;
    Some(service << 8 | u32::from(method))
}

/// The places of the service and the method that a number stands for.
#[must_use]
pub const fn numbered_method(number: u32) -> (usize, usize) {
    ((number >> 8) as usize, (number & 0xff) as usize)
}

fn decode_service(mut bytes: &[u8]) -> Result<(String, Fingerprint), WireError> {
    let (mut name, mut fingerprint) = ("", None);
    while let Some((number, value)) = next(&mut bytes, Hello::WHAT)? {
        match (number, value) {
            (1, Value::Bytes(value)) => name = text(value, Hello::WHAT)?,
            (2, Value::Bytes(value)) => fingerprint = value.try_into().ok().map(Fingerprint),
            _ => {}
        }
    }
    match fingerprint {
        Some(fingerprint) if !name.is_empty() => Ok((name.to_owned(), fingerprint)),
        _ => Err(WireError::Malformed("service in a hello")),
    }
}

fn small(value: u64) -> Result<u32, WireError> {
    u32::try_from(value).map_err(|_| WireError::Malformed(Hello::WHAT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_comes_back() {
        let hello = Hello {
            version: 1,
            priority: Priority::Critical,
            max_calls: 1024,
            services: vec![("a.B".to_owned(), Fingerprint([7; 16]))],
            draining: true,
        };
        let mut out = BytesMut::new();
        hello.encode(&mut out);
        assert_eq!(Hello::decode(&out), Ok(hello));
    }

    #[test]
    fn another_version_is_refused() {
        let mut out = BytesMut::new();
        Hello {
            version: 2,
            ..Hello::default()
        }
        .encode(&mut out);
        assert_eq!(Hello::decode(&out), Err(WireError::Version(2)));
    }

    #[test]
    fn services_beyond_the_limit_are_left_out() {
        let mut hello = Hello {
            version: 1,
            priority: Priority::Critical,
            max_calls: u32::MAX,
            draining: true,
            ..Hello::default()
        };
        let name = |at: usize| format!("{}.S{at}", "x".repeat(200));
        let added = (0..2000).filter(|at| hello.add_service(&name(*at), Fingerprint([0; 16])));
        assert!((200..MAX_HELLO_SERVICES).contains(&added.count()));
        assert!(!hello.add_service(&"x".repeat(MAX_PATH_BYTES + 1), Fingerprint([0; 16])));
        let mut out = BytesMut::new();
        hello.encode(&mut out);
        assert!(out.len() <= MAX_HEAD_BYTES);
        assert_eq!(Hello::decode(&out), Ok(hello));
        let mut many = Hello::default();
        let added = (0..2000).filter(|at| many.add_service(&at.to_string(), Fingerprint([0; 16])));
        assert_eq!(added.count(), MAX_HELLO_SERVICES);
    }

    #[test]
    fn methods_are_numbered_within_their_service() {
        for (service, method) in [(0, 0), (0, 255), (511, 3), (65_535, 255)] {
            let number = method_number(service, method).unwrap();
            assert_eq!(numbered_method(number), (service, method));
        }
        assert_eq!(method_number(0, 256), None);
        assert_eq!(method_number(65_536, 0), None);
    }
}
