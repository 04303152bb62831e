//! [`Access`]: the layer that lets a call pass, or answers it with `PERMISSION_DENIED`.

use std::{
    fmt,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use blixard_rpc::{
    Dispatch, Layer, Metadata, Peer, Result, Status,
    call::{Batch, Body, BodyStream, Method, Request, Response},
    codec::Codec,
    method::{MethodDescriptor, ServiceDescriptor, Shape},
};
use bytes::Bytes;
use tokio::sync::watch;

use super::{
    denials::Denials,
    peers::Peers,
    policy::{Needed, Policy},
    role::Role,
};

/// Lets a call pass if a [`Policy`] and the roles of its [`Peers`] allow it, before anything of it is read. A call that may not is
/// answered with `PERMISSION_DENIED` and logged; who is not known learns nothing, not even which methods there are.
///
/// A clone is another handle of the same: given to several routers, it holds for all of them together.
#[derive(Clone)]
pub struct Access(Arc<Inner>);

struct Inner {
    policy: Policy,
    peers: watch::Sender<Peers>,
    /// Of who is in the file, and of all others: who is not known cannot hide what somebody tried who is.
    denials: [Mutex<Denials>; 2],
}

impl Access {
    /// These peers may do what this policy says.
    #[must_use]
    pub fn new(peers: Peers, policy: Policy) -> Self {
        Self(Arc::new(Inner {
            policy,
            peers: watch::Sender::new(peers),
            denials: Default::default(),
        }))
    }

    /// From now on these peers count, and no others. Streams of those who may no more end with `PERMISSION_DENIED`; a unary call that
    /// was begun goes on.
    pub fn replace(&self, peers: Peers) {
        self.0.peers.send_replace(peers);
    }

    /// Whether this peer may call the method at this path: for what is no call, and needs the same role. A denial is logged.
    ///
    /// # Errors
    /// `PERMISSION_DENIED`, and what is missing.
    pub fn check(&self, peer: &Peer, path: &str) -> Result<()> {
        self.0.check(peer, path)
    }
}

impl Inner {
    fn check(&self, peer: &Peer, path: &str) -> Result<()> {
        let needed = match self.policy.of(path) {
            Needed::Nothing => return Ok(()),
            Needed::Role(role) => role,
        };
        let peers = self.peers.borrow();
        let known = peer.key().and_then(|key| peers.of(key));
        if known.is_some_and(|known| known.covers(needed)) {
            return Ok(());
        }
        let known = known.map(|known| (known.name.clone(), known.list()));
        drop(peers);
        Err(self.denied(peer, path, needed, known))
    }

    fn denied(
        &self,
        peer: &Peer,
        path: &str,
        needed: Role,
        known: Option<(String, String)>,
    ) -> Status {
        let denials = &self.denials[usize::from(known.is_some())];
        let line = denials
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .line(Instant::now());
        let Some((name, roles)) = known else {
            if let Some(left_out) = line {
                tracing::warn!(%peer, method = ?path, %needed, left_out, "a call of somebody unknown was denied");
            }
            return Status::permission_denied(unknown(peer));
        };
        if let Some(left_out) = line {
            tracing::warn!(%peer, name, roles, method = ?path, %needed, left_out, "a call was denied");
        }
        Status::permission_denied(format!(
            "{name} may not call {path}: it needs the role {needed}, and {name} has {roles}"
        ))
    }

    /// Resolves when this call may go on no more.
    async fn revoked(
        self: Arc<Self>,
        mut peers: watch::Receiver<Peers>,
        peer: Peer,
        method: Method,
    ) -> Status {
        loop {
            // The sender is held here: there is always a change to wait for.
            let _ = peers.changed().await;
            if let Err(status) = self.check(&peer, method.path()) {
                return status;
            }
        }
    }
}

fn unknown(peer: &Peer) -> String {
    match peer {
        Peer::Certificate(certificate) if certificate.key().is_none() => format!(
            "nothing is known of {peer}: roles go by Ed25519 keys, and its certificate is for another kind of key"
        ),
        peer => match peer.key() {
            Some(key) => format!("the key {} has no role here", Peer::Key(*key)),
            None => format!(
                "{peer} has not proved who it is: roles go by keys, which iroh and mutual TLS prove"
            ),
        },
    }
}

impl Layer for Access {
    type Dispatch<D: Dispatch> = Guarded<D>;

    fn layer<D: Dispatch>(&self, inner: D) -> Guarded<D> {
        Guarded {
            inner,
            access: self.clone(),
        }
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("policy", &self.0.policy)
            .field("peers", &self.0.peers.borrow())
            .finish_non_exhaustive()
    }
}

/// A dispatch that only those may call who have the role for it: see [`Access`].
#[derive(Clone, Debug)]
pub struct Guarded<D> {
    inner: D,
    access: Access,
}

impl<D: Dispatch> Dispatch for Guarded<D> {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        let access = &self.access.0;
        let is_unary = request
            .method
            .descriptor()
            .is_some_and(|method| method.shape == Shape::Unary);
        if is_unary {
            access.check(&request.peer, request.method.path())?;
            return self.inner.dispatch(request).await;
        }
        // Before the check, so that no change falls between.
        let changes = access.peers.subscribe();
        access.check(&request.peer, request.method.path())?;
        let revoked =
            Arc::clone(access).revoked(changes, request.peer.clone(), request.method.clone());
        let mut revoked: Revoked = Box::pin(revoked);
        let mut call = pin!(self.inner.dispatch(request));
        let mut response = poll_fn(|cx| match revoked.as_mut().poll(cx) {
            Poll::Ready(status) => Poll::Ready(Err(status)),
            Poll::Pending => call.as_mut().poll(cx),
        })
        .await?;
        if response.body.is_stream() {
            let body = response.body;
            response.body = Body::stream(Revocable { body, revoked });
        }
        Ok(response)
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        self.inner.codec(service)
    }

    fn resolve(&self, path: &str) -> Option<&'static MethodDescriptor> {
        self.inner.resolve(path)
    }
}

type Revoked = Pin<Box<dyn Future<Output = Status> + Send>>;

/// A response stream that ends when its reader may have it no more.
struct Revocable {
    body: Body,
    revoked: Revoked,
}

impl Revocable {
    fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        poll: impl FnOnce(&mut Body, &mut Context<'_>) -> Poll<Option<Result<T>>>,
    ) -> Poll<Option<Result<T>>> {
        if let Poll::Ready(status) = self.revoked.as_mut().poll(cx) {
            // The handler ends now, whenever the rest of this is dropped.
            self.body = Body::empty();
            return Poll::Ready(Some(Err(status)));
        }
        poll(&mut self.body, cx)
    }
}

impl BodyStream for Revocable {
    fn poll_message(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        self.get_mut().poll(cx, Body::poll_next)
    }

    fn poll_batch(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Batch>>> {
        self.get_mut().poll(cx, Body::poll_batch)
    }

    fn trailers(mut self: Pin<&mut Self>) -> Metadata {
        self.body.take_trailers()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};

    use blixard_rpc::{Code, call::Certificate};

    use super::*;

    /// What is logged, as text.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(peer: Peer, path: &str, says: &[&str], logs: &[&str]) {
        let source = format!(
            "[peers.ada]\nkey = '{}'\nroles = ['viewer']",
            "07".repeat(32)
        );
        let access = Access::new(Peers::parse(&source, "").unwrap(), Policy::new());
        let log = Log::default();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer({
            let log = log.clone();
            move || log.clone()
        });
        let checked =
            tracing::subscriber::with_default(subscriber.finish(), || access.0.check(&peer, path));
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let message = match &checked {
            Ok(()) => String::new(),
            Err(status) => {
                assert_eq!(status.code(), Code::PermissionDenied);
                status.message().to_owned()
            }
        };
        assert_eq!(log.lines().count(), usize::from(checked.is_err()), "{log}");
        for (text, parts) in [(&message, says), (&log, logs)] {
            assert_eq!(text.is_empty(), parts.is_empty(), "{text}");
            for part in parts {
                assert!(text.contains(part), "{text:?} does not say {part:?}");
            }
        }
    }

    const START: &str = "/blixard.vm.v1.VmService/Start";
    const GET: &str = "/blixard.vm.v1.VmService/Get";

    #[test]
    fn who_is_denied_is_told_why_and_the_log_says_who_it_was() {
        let ada = Peer::Key([7; 32]);
        check(ada.clone(), GET, &[], &[]);
        check(
            ada.clone(),
            START,
            &[
                "ada may not call",
                START,
                "the role operator, and ada has viewer",
            ],
            &["WARN", "0707", "ada", START, "needed=operator"],
        );
        // What a peer makes up cannot pretend to be another line.
        check(ada, "/a/b\nWARN c", &["admin"], &["/a/b\\nWARN c"]);
        // Who is not known learns of no role.
        check(
            Peer::Key([8; 32]),
            GET,
            &["the key 0808", "has no role here"],
            &["WARN", "0808", "unknown", GET],
        );
        let address = Peer::Address(([127, 0, 0, 1], 7).into());
        check(
            address,
            GET,
            &["127.0.0.1:7 has not proved"],
            &["127.0.0.1:7"],
        );
        check(Peer::Memory, GET, &["memory has not proved"], &["memory"]);
        let ecdsa = Certificate::new("", vec!["node-1".into()], None);
        check(
            Peer::Certificate(ecdsa),
            GET,
            &["node-1", "another kind of key"],
            &["node-1"],
        );
        let ed25519 = Certificate::new("", vec!["node-1".into()], Some([7; 32]));
        check(Peer::Certificate(ed25519), GET, &[], &[]);
    }
}
