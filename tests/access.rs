//! Who may call what, over iroh and over gRPC with mutual TLS: every method of the machines, calls of all shapes, and streams whose
//! reader may have them no more.

#![allow(clippy::unwrap_used, reason = "tests say where they fail")]

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Arc};

use blixard_rpc::{
    Channel, Code, Context, Dispatch, Result, Router, Status, Streaming,
    call::{Body, Request},
    codec::Codec,
    iroh_service,
    method::MethodDescriptor,
    transport::{
        grpc::{ClientTls, GrpcConnector, GrpcHandle, GrpcPeer, GrpcServer, ServerTls},
        iroh::{IrohConnector, IrohServer, SecretKey, ServerHandle},
    },
};
use blixard_services::{
    auth::{Access, Peers, Policy, Role},
    health::{HealthService, Reporter},
    raft::RaftService,
    vm::{Change, Qemu, QemuConfig, VmEvent, VmHost, Vms, VmsClient, VmsService},
};
use blixard_tests::{
    folder::Folder,
    nano::nano,
    net::{endpoint, endpoint_of, soon},
    secrets::{Authority, Signed},
    tools::root,
};
use tokio::sync::Semaphore;

/// A service of a user's own, of which the policy knows only a part.
#[iroh_service(package = "access.v1")]
trait Mine {
    async fn forgotten(&self, text: String) -> Result<String>;
    async fn upload(&self, items: Streaming<String>) -> Result<u64>;
    async fn chat(&self, cx: &Context, items: Streaming<String>) -> Result<Streaming<String>>;
}

/// Says of each upload that it has begun.
struct Echo(Arc<Semaphore>);

impl Mine for Echo {
    async fn forgotten(&self, text: String) -> Result<String> {
        Ok(text)
    }
    async fn upload(&self, items: Streaming<String>) -> Result<u64> {
        self.0.add_permits(1);
        Ok(items.collect().await?.len() as u64)
    }
    async fn chat(&self, _: &Context, items: Streaming<String>) -> Result<Streaming<String>> {
        Ok(items)
    }
}

/// The machines' service with a method that it does not have.
#[iroh_service(package = "blixard.vm.v1", name = "VmService")]
trait Newer {
    async fn nothing(&self, text: String) -> Result<String>;
}

/// Who calls: a name of each transport, and who nobody knows.
const CALLERS: [&str; 5] = ["viewer", "operator", "admin", "node", "stranger"];

/// A node that is served over iroh, over gRPC with mutual TLS, and over gRPC without.
struct Node {
    access: Access,
    uploads: Arc<Semaphore>,
    folder: Folder,
    peers: BTreeMap<String, [u8; 32]>,
    authority: Authority,
    certificates: BTreeMap<&'static str, Signed>,
    keys: BTreeMap<&'static str, SecretKey>,
    iroh: ServerHandle,
    grpc: GrpcHandle,
    plain: GrpcHandle,
    _health: Reporter,
}

impl Node {
    async fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        let authority = Authority::new();
        let keys: BTreeMap<_, _> = CALLERS.map(|it| (it, SecretKey::generate())).into();
        let certificates: BTreeMap<_, _> = CALLERS.map(|it| (it, authority.sign(it))).into();
        let mut peers = BTreeMap::new();
        for name in CALLERS.into_iter().filter(|name| *name != "stranger") {
            peers.insert(format!("{name}.iroh"), *keys[name].public().as_bytes());
            peers.insert(format!("{name}.grpc"), certificates[name].public_key());
        }
        let file = write(&folder, &peers);
        let policy = Policy::new()
            .needs("/access.v1.Mine/Upload", Role::Viewer)
            .needs("/access.v1.Mine/Chat", Role::Viewer);
        let access = Access::new(Peers::load(file).unwrap(), policy);

        fs::create_dir(folder.path().join("images")).unwrap();
        let guest = root().join("services/guest/nano.elf");
        fs::copy(guest, folder.path().join("images/nano.elf")).unwrap();
        let qemu = Qemu::open(QemuConfig::new(folder.path())).unwrap();
        let host = VmHost::open(folder.path(), qemu).await.unwrap();
        let (health, uploads) = (Reporter::new(), Arc::new(Semaphore::new(0)));
        let router = Router::new()
            .add(host.server())
            .add(health.server())
            .add(MineServer::new(Echo(Arc::clone(&uploads))))
            .layer(access.clone());
        let server = authority.sign("localhost");
        let trusted = authority.pem().as_bytes();
        let tls = ServerTls::mutual(server.certificate(), server.key(), trusted).unwrap();
        let grpc = GrpcServer::new(router.clone()).tls(tls);
        let plain = GrpcServer::new(router.clone());
        Self {
            iroh: IrohServer::new(router).spawn(endpoint().await),
            grpc: grpc.bind("127.0.0.1:0").await.unwrap(),
            plain: plain.bind("127.0.0.1:0").await.unwrap(),
            access,
            uploads,
            folder,
            peers,
            authority,
            certificates,
            keys,
            _health: health,
        }
    }

    /// Over iroh, then over gRPC.
    async fn channels(&self, caller: &str) -> [(&'static str, Channel); 2] {
        let endpoint = endpoint_of(self.keys[caller].clone()).await;
        let iroh = IrohConnector::new(endpoint);
        let iroh = soon(iroh.dial(self.iroh.endpoint().addr())).await.unwrap();

        let signed = &self.certificates[caller];
        let trusted = self.authority.pem().as_bytes();
        let tls = ClientTls::mutual(trusted, signed.certificate(), signed.key()).unwrap();
        let port = self.grpc.local_addr().unwrap().port();
        let peer: GrpcPeer = format!("https://localhost:{port}").parse().unwrap();
        let grpc = soon(GrpcConnector::new().tls(tls).dial(&peer))
            .await
            .unwrap();
        [("iroh", Channel::new(iroh)), ("grpc", Channel::new(grpc))]
    }
}

/// The file with these peers; a name says the role.
fn write(folder: &Folder, peers: &BTreeMap<String, [u8; 32]>) -> PathBuf {
    let mut text = String::new();
    for (name, key) in peers {
        let key = key.map(|byte| format!("{byte:02x}")).concat();
        let role = name.split('.').next().unwrap();
        text += &format!("[peers.\"{name}\"]\nkey = \"{key}\"\nroles = [\"{role}\"]\n");
    }
    let file = folder.path().join("peers.toml");
    fs::write(&file, text).unwrap();
    file
}

/// Calls a method with a message that says nothing, and reads what comes first.
async fn call(channel: &Channel, method: &'static MethodDescriptor) -> Result<()> {
    let request = Request::new(method, Codec::Protobuf, Body::one(bytes::Bytes::new()));
    let answer = async {
        let mut response = channel.dispatch(request).await?;
        response.body.next().await.transpose()
    };
    soon(answer).await.map(drop)
}

fn is_denied(called: &Result<()>) -> bool {
    called
        .as_ref()
        .is_err_and(|status| status.code() == Code::PermissionDenied)
}

#[tokio::test]
async fn every_method_is_for_those_who_have_its_role() {
    let node = Node::new("access").await;
    let viewer = ["Get", "List", "ListHealthChecks", "ListSnapshots", "Watch"];
    let admin = [
        "Create",
        "Delete",
        "Migrate",
        "CancelMigration",
        "RestoreSnapshot",
        "DeleteSnapshot",
    ];
    let nodes = ["Receive", "EndMigration"];
    for caller in CALLERS {
        for (transport, channel) in node.channels(caller).await {
            let check = async |method: &'static MethodDescriptor, allowed: bool| {
                let called = call(&channel, method).await;
                let path = method.path;
                assert_eq!(
                    is_denied(&called),
                    !allowed,
                    "{caller} calls {path} over {transport}: {called:?}"
                );
            };
            for method in VmsService::descriptor().methods {
                let allowed = match caller {
                    "viewer" => viewer.contains(&method.name()),
                    "node" => viewer.contains(&method.name()) || nodes.contains(&method.name()),
                    _ if nodes.contains(&method.name()) => false,
                    "operator" => !admin.contains(&method.name()),
                    "admin" => true,
                    _ => false,
                };
                check(method, allowed).await;
            }
            for method in HealthService::descriptor().methods {
                check(method, caller != "stranger").await;
            }
            // They are not served here: only nodes are told so.
            for method in RaftService::descriptor().methods {
                check(method, caller == "node").await;
            }
            // Nobody has said anything of these, and one does not even exist.
            check(&MineService::descriptor().methods[0], caller == "admin").await;
            check(&NewerService::descriptor().methods[0], caller == "admin").await;
        }
    }
    // Who has proved nothing is nobody.
    let address = node.plain.local_addr().unwrap();
    let plain = soon(GrpcConnector::new().dial(&address.into()))
        .await
        .unwrap();
    for method in VmsService::descriptor().methods {
        assert!(is_denied(&call(&Channel::new(plain.clone()), method).await));
    }
}

fn denied<T>(result: Result<T>) -> Status {
    let Err(status) = result else {
        panic!("it was not denied");
    };
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    status
}

#[tokio::test]
async fn what_is_denied_changes_nothing() {
    let node = Node::new("denied").await;
    for (transport, channel) in node.channels("operator").await {
        let vms = VmsClient::new(channel);
        let created = vms.create("web".into(), nano(), Change::default());
        let status = denied(soon(created).await);
        let says = format!(
            "operator.{transport} may not call /blixard.vm.v1.VmService/Create: it needs the role admin, and operator.{transport} has operator"
        );
        assert_eq!(status.message(), says);
        assert!(soon(vms.list(String::new())).await.unwrap().vms.is_empty());
    }
    for (_, channel) in node.channels("stranger").await {
        let client = MineClient::new(channel);
        let status = denied(soon(client.forgotten("a".into())).await);
        assert!(status.message().ends_with("has no role here"), "{status}");
        denied(soon(client.upload(Streaming::from_iter(["a".to_owned()]))).await);
    }
}

/// Reads until the list is through.
async fn synced(vms: &VmsClient) -> Streaming<blixard_services::vm::WatchResponse> {
    let mut events = soon(vms.watch(None)).await.unwrap();
    while soon(events.next()).await.unwrap().unwrap().event != VmEvent::Synced {}
    events
}

#[tokio::test]
async fn streams_end_when_their_reader_may_have_them_no_more() {
    let mut node = Node::new("revoked").await;
    let mut watched = Vec::new();
    let mut kept = Vec::new();
    for caller in ["viewer", "admin"] {
        for (_, channel) in node.channels(caller).await {
            let (chat, lines) = Streaming::channel(1);
            chat.send("a".to_owned()).await.unwrap();
            let client = MineClient::new(channel.clone());
            let mut answers = soon(client.chat(&Context::background(), lines))
                .await
                .unwrap();
            assert_eq!(soon(answers.next()).await.unwrap().unwrap(), "a");
            // It has no answer yet, and would have none for as long as there may be items.
            let (upload, items) = Streaming::channel(1);
            upload.send("a".to_owned()).await.unwrap();
            let uploaded = tokio::spawn(async move { client.upload(items).await });
            soon(node.uploads.acquire()).await.unwrap().forget();
            let events = synced(&VmsClient::new(channel)).await;
            let all = (events, answers, uploaded, chat, upload);
            if caller == "viewer" {
                watched.push(all);
            } else {
                kept.push(all);
            }
        }
    }

    // A file that is wrong is refused as a whole, and what was there before counts on.
    let file = node.folder.path().join("peers.toml");
    let good = fs::read_to_string(&file).unwrap();
    fs::write(&file, good.replacen("viewer", "root", 2)).unwrap();
    Peers::load(&file).unwrap_err();
    let (_, channel) = &node.channels("viewer").await[0];
    synced(&VmsClient::new(channel.clone())).await;

    node.peers.retain(|name, _| !name.starts_with("viewer"));
    let peers = Peers::load(write(&node.folder, &node.peers)).unwrap();
    node.access.replace(peers);
    for (mut events, mut answers, uploaded, _chat, _upload) in watched {
        denied(soon(events.next()).await.unwrap());
        denied(soon(answers.next()).await.unwrap());
        denied(soon(uploaded).await.unwrap());
    }
    denied(soon(VmsClient::new(channel.clone()).list(String::new())).await);

    for (mut events, mut answers, uploaded, chat, upload) in kept {
        chat.send("b".to_owned()).await.unwrap();
        assert_eq!(soon(answers.next()).await.unwrap().unwrap(), "b");
        drop(upload);
        assert_eq!(soon(uploaded).await.unwrap().unwrap(), 1);
        drop(chat);
        assert!(soon(answers.next()).await.is_none());
        let vms = VmsClient::new(node.channels("admin").await[0].1.clone());
        let created = vms.create("web".into(), nano(), Change::default());
        soon(created).await.unwrap();
        let event = soon(events.next()).await.unwrap().unwrap().event;
        assert!(matches!(event, VmEvent::Changed(vm) if vm.name == "web"));
    }
}
