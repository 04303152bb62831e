//! Two versions of one service meet over iroh: a rolling upgrade, in both directions.
//!
//! The second version has a field, an enum value and a method more. Where both sides have one version, calls go as postcard once
//! the hello is there; where they do not, as protobuf, and what one side does not know neither breaks nor reaches the other.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use blixard_rpc::{
    Channel, Code, Connect, Dispatch, Pool, Result, Router, Status, Streaming,
    call::{Request, Response},
    codec::Codec,
    method::ServiceDescriptor,
    pool::PoolConfig,
    transport::iroh::{IrohConnection, IrohConnector, IrohPeer, IrohServer, SecretKey},
};
use blixard_tests::net::{dial, endpoint, endpoint_of, serve, soon};

mod v1 {
    use blixard_rpc::{Result, Streaming, iroh_service, message};

    #[message]
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Machine {
        pub(crate) name: String,
        pub(crate) state: State,
        pub(crate) seen: Vec<State>,
    }

    #[message]
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) enum State {
        Stopped,
        Running,
        #[unknown]
        Other(i32),
    }

    #[iroh_service(package = "skew.v1")]
    pub(crate) trait Machines {
        async fn put(&self, machine: Machine) -> Result<Machine>;
        async fn all(&self, prefix: String) -> Result<Streaming<Machine>>;
        async fn count(&self, machines: Streaming<Machine>) -> Result<u64>;
        async fn echo(&self, machines: Streaming<Machine>) -> Result<Streaming<Machine>>;
    }

    pub(crate) struct Server;

    impl Machines for Server {
        async fn put(&self, machine: Machine) -> Result<Machine> {
            assert!(!machine.name.is_empty());
            Ok(machine)
        }
        async fn all(&self, prefix: String) -> Result<Streaming<Machine>> {
            Ok(Streaming::from_iter((0..3).map(move |n| Machine {
                name: format!("{prefix}{n}"),
                state: State::Running,
                seen: vec![],
            })))
        }
        async fn count(&self, machines: Streaming<Machine>) -> Result<u64> {
            Ok(machines.collect().await?.len() as u64)
        }
        async fn echo(&self, machines: Streaming<Machine>) -> Result<Streaming<Machine>> {
            Ok(machines)
        }
    }
}

mod v2 {
    use std::collections::HashMap;

    use blixard_rpc::{Result, Status, Streaming, iroh_service, message};

    #[message]
    #[derive(Clone, Debug, PartialEq)]
    pub(crate) struct Machine {
        pub(crate) name: String,
        pub(crate) state: State,
        pub(crate) seen: Vec<State>,
        pub(crate) labels: HashMap<String, String>,
    }

    #[message]
    #[derive(Clone, Copy, Debug, PartialEq)]
    pub(crate) enum State {
        Stopped,
        Running,
        Migrating,
        #[unknown]
        Other(i32),
    }

    #[iroh_service(package = "skew.v1")]
    pub(crate) trait Machines {
        async fn put(&self, machine: Machine) -> Result<Machine>;
        /// Between the others, where it moves their places.
        async fn remove(&self, name: String) -> Result<Machine>;
        async fn all(&self, prefix: String) -> Result<Streaming<Machine>>;
        async fn count(&self, machines: Streaming<Machine>) -> Result<u64>;
        async fn echo(&self, machines: Streaming<Machine>) -> Result<Streaming<Machine>>;
        async fn follow(&self, names: Streaming<String>) -> Result<Streaming<Machine>>;
    }

    pub(crate) fn machine(name: impl Into<String>) -> Machine {
        Machine {
            name: name.into(),
            state: State::Migrating,
            seen: vec![State::Stopped, State::Migrating, State::Running],
            labels: [("zone".into(), "a".into())].into(),
        }
    }

    pub(crate) struct Server;

    impl Machines for Server {
        async fn put(&self, machine: Machine) -> Result<Machine> {
            let labels = self::machine("").labels;
            Ok(Machine { labels, ..machine })
        }
        async fn remove(&self, name: String) -> Result<Machine> {
            Err(Status::not_found(name))
        }
        async fn all(&self, prefix: String) -> Result<Streaming<Machine>> {
            Ok(Streaming::from_iter(
                (0..3).map(move |n| machine(format!("{prefix}{n}"))),
            ))
        }
        async fn count(&self, machines: Streaming<Machine>) -> Result<u64> {
            Ok(machines.collect().await?.len() as u64)
        }
        async fn echo(&self, machines: Streaming<Machine>) -> Result<Streaming<Machine>> {
            Ok(machines)
        }
        async fn follow(&self, _: Streaming<String>) -> Result<Streaming<Machine>> {
            Ok(Streaming::empty())
        }
    }
}

fn old_router() -> Router {
    Router::new().add(v1::MachinesServer::new(v1::Server))
}

fn new_router() -> Router {
    Router::new().add(v2::MachinesServer::new(v2::Server))
}

/// In which codec the versions call through this channel.
fn codecs(channel: &impl Dispatch) -> (Codec, Codec) {
    (
        channel.codec(v1::MachinesService::descriptor()),
        channel.codec(v2::MachinesService::descriptor()),
    )
}

const NONE: (Codec, Codec) = (Codec::Protobuf, Codec::Protobuf);
const OLD: (Codec, Codec) = (Codec::Postcard, Codec::Protobuf);
const NEW: (Codec, Codec) = (Codec::Protobuf, Codec::Postcard);

/// A connection, on which calls of both versions go as protobuf until the hello is there.
async fn connected(router: Router, then: (Codec, Codec)) -> IrohConnection {
    let server = serve(router).await;
    let connection = dial(&server).await;
    // Nothing was awaited since: on one thread the hello cannot have been read.
    assert!(!connection.has_hello());
    assert_eq!(codecs(&connection), NONE);
    soon(connection.hello()).await.unwrap();
    assert_eq!(codecs(&connection), then);
    connection
}

/// What an old peer keeps of a machine of the new version.
fn kept_by_old(machine: v2::Machine) -> v1::Machine {
    let state = |state| match state {
        v2::State::Stopped => v1::State::Stopped,
        v2::State::Running => v1::State::Running,
        v2::State::Migrating => v1::State::Other(2),
        v2::State::Other(number) => v1::State::Other(number),
    };
    v1::Machine {
        name: machine.name,
        state: state(machine.state),
        seen: machine.seen.into_iter().map(state).collect(),
    }
}

/// What comes back to a new client through an old server: the new enum value, as it was sent, but not the new field.
fn through_old(machine: v2::Machine) -> v2::Machine {
    v2::Machine {
        labels: Default::default(),
        ..machine
    }
}

async fn old_client(channel: Channel, server_is_new: bool) {
    use v1::Machines as _;
    let client = v1::MachinesClient::new(channel);
    for state in [
        v1::State::Running,
        v1::State::Other(2),
        v1::State::Other(-7),
    ] {
        let machine = v1::Machine {
            name: "one".into(),
            state,
            seen: vec![state, v1::State::Stopped],
        };
        assert_eq!(client.put(machine.clone()).await.unwrap(), machine);
        let echo = client.echo(Streaming::from_iter([machine.clone()])).await;
        assert_eq!(
            echo.unwrap().collect().await.unwrap(),
            std::slice::from_ref(&machine)
        );
        let count = client.count(Streaming::from_iter(vec![machine; 5])).await;
        assert_eq!(count.unwrap(), 5);
    }
    let all = client.all("vm".into()).await.unwrap().collect().await;
    let first = &all.unwrap()[0];
    if server_is_new {
        assert_eq!(first, &kept_by_old(v2::machine("vm0")));
    } else {
        assert_eq!(
            (first.name.as_str(), first.state),
            ("vm0", v1::State::Running)
        );
    }
}

async fn new_client(channel: Channel, server_is_new: bool) {
    use v2::Machines as _;
    let client = v2::MachinesClient::new(channel);
    let machine = v2::machine("one");
    let back = if server_is_new {
        machine.clone()
    } else {
        through_old(machine.clone())
    };
    assert_eq!(client.put(machine.clone()).await.unwrap(), back);
    let echo = client.echo(Streaming::from_iter([machine.clone()])).await;
    assert_eq!(echo.unwrap().collect().await.unwrap(), [back]);
    let count = client.count(Streaming::from_iter(vec![machine; 5])).await;
    assert_eq!(count.unwrap(), 5);
    let all = client.all("vm".into()).await.unwrap().collect().await;
    assert_eq!(all.unwrap()[2].name, "vm2");

    // Methods that only the new version has, of two shapes.
    let removed = client.remove("one".into()).await.unwrap_err();
    let followed = match client.follow(Streaming::empty()).await {
        Ok(stream) => stream.collect().await,
        Err(status) => Err(status),
    };
    if server_is_new {
        assert_eq!(removed.code(), Code::NotFound);
        assert!(followed.unwrap().is_empty());
    } else {
        for status in [removed, followed.unwrap_err()] {
            assert_eq!(status.code(), Code::Unimplemented, "{status}");
        }
    }
}

#[tokio::test]
async fn equal_versions_speak_postcard() {
    let connection = connected(old_router(), OLD).await;
    soon(old_client(Channel::new(connection), false)).await;
    let connection = connected(new_router(), NEW).await;
    soon(new_client(Channel::new(connection), true)).await;
}

#[tokio::test]
async fn a_new_client_calls_an_old_server() {
    let connection = connected(old_router(), OLD).await;
    soon(new_client(Channel::new(connection), false)).await;
}

#[tokio::test]
async fn an_old_client_calls_a_new_server() {
    let connection = connected(new_router(), NEW).await;
    soon(old_client(Channel::new(connection), true)).await;
}

#[tokio::test]
async fn before_the_hello_calls_go_as_protobuf_and_do_not_wait_for_it() {
    let old = serve(old_router()).await;
    soon(new_client(Channel::new(dial(&old).await), false)).await;
    soon(old_client(Channel::new(dial(&old).await), false)).await;
    let new = serve(new_router()).await;
    soon(old_client(Channel::new(dial(&new).await), true)).await;
    soon(new_client(Channel::new(dial(&new).await), true)).await;
}

/// Dials whoever serves at that time, and waits for the hello: what is asked next is in the right codec.
#[derive(Clone)]
struct Redial {
    connector: IrohConnector,
    server: Arc<Mutex<IrohPeer>>,
}

impl Connect for Redial {
    type Peer = ();
    type Connection = IrohConnection;

    async fn connect(&self, (): &()) -> Result<IrohConnection> {
        let peer = self.server.lock().unwrap().clone();
        let connection = self.connector.connect(&peer).await?;
        connection.hello().await?;
        Ok(connection)
    }

    async fn closed(connection: &IrohConnection) -> Status {
        IrohConnector::closed(connection).await
    }
}

#[tokio::test]
async fn a_server_is_replaced_by_one_of_another_version() {
    let key = SecretKey::generate();
    let serve = async |router| IrohServer::new(router).spawn(endpoint_of(key.clone()).await);
    let mut server = serve(old_router()).await;
    let redial = Redial {
        connector: IrohConnector::new(endpoint().await),
        server: Arc::new(Mutex::new(server.peer())),
    };
    // Connections that last no longer than this test are not taken for failures.
    let config = PoolConfig {
        stable_after: Duration::ZERO,
        ..PoolConfig::default()
    };
    let channel = Pool::with_config(redial.clone(), config).channel(());
    assert_eq!(codecs(&channel), NONE);
    soon(old_client(Channel::new(channel.clone()), false)).await;
    assert_eq!(codecs(&channel), OLD);
    for (upgraded, expected) in [(true, NEW), (false, OLD)] {
        let router = if upgraded { new_router() } else { old_router() };
        let next = serve(router).await;
        *redial.server.lock().unwrap() = next.peer();
        std::mem::replace(&mut server, next)
            .shutdown(Duration::from_secs(1))
            .await;
        soon(async {
            while channel.is_connected() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        // One client, encoded for what was there before, another for what is there now.
        soon(old_client(Channel::new(channel.clone()), upgraded)).await;
        soon(new_client(Channel::new(channel.clone()), upgraded)).await;
        assert_eq!(codecs(&channel), expected);
    }
}

/// Names the codec of a server that is replaced before the call is sent, once.
#[derive(Clone)]
struct Stale(IrohConnection, Arc<AtomicBool>);

impl Dispatch for Stale {
    async fn dispatch(&self, request: Request) -> Result<Response> {
        self.0.dispatch(request).await
    }

    fn codec(&self, service: &'static ServiceDescriptor) -> Codec {
        if self.1.swap(true, Ordering::Relaxed) {
            self.0.codec(service)
        } else {
            Codec::Postcard
        }
    }
}

#[tokio::test]
async fn a_call_that_is_encoded_for_the_server_before_is_encoded_anew() {
    use v1::Machines as _;
    let connection = connected(new_router(), NEW).await;
    let stale = || v1::MachinesClient::new(Stale(connection.clone(), Arc::default()));
    let machine = v1::Machine {
        name: "one".into(),
        state: v1::State::Running,
        seen: vec![],
    };
    let put = soon(stale().put(machine.clone())).await;
    assert_eq!(put.unwrap(), machine);
    let all = soon(stale().all("vm".into())).await.unwrap();
    assert_eq!(all.collect().await.unwrap().len(), 3);
    // Requests that come one by one are not kept: the caller has them, and may call again.
    let status = soon(stale().count(Streaming::from_iter([machine]))).await;
    let status = status.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(!status.was_accepted());
}
