//! Who may fetch what: by the roles of keys, by the readers of an image, and over the contents' own protocol as well.

use blixard_rpc::{
    Channel, Code, Context, Pool,
    transport::iroh::{Endpoint, IrohConnector, IrohPeer, SecretKey},
};
use blixard_services::{
    auth::{Access, Peers, Policy},
    image::{self, ImageFormat, Images, ImagesClient, Provider},
};
use blixard_tests::{
    folder::Folder,
    net::{endpoint, endpoint_of},
};
use iroh_blobs::{
    Hash,
    get::GetError,
    protocol::{ERR_PERMISSION, GetRequest, PushRequest},
    store::mem::MemStore,
};

use crate::node::{MIB, Node, content, hex, in_time, share};

fn access(roles: &[(&SecretKey, &str)]) -> Access {
    let mut file = String::new();
    for (number, (key, role)) in roles.iter().enumerate() {
        let key = hex(key.public().as_bytes());
        file += &format!("[peers.p{number}]\nkey = '{key}'\nroles = ['{role}']\n");
    }
    Access::new(Peers::parse(&file, "test").unwrap(), Policy::new())
}

#[tokio::test]
async fn a_key_without_the_role_gets_nothing_by_any_way() {
    let [node, operator] = [SecretKey::generate(), SecretKey::generate()];
    let access = access(&[(&node, "node"), (&operator, "operator")]);
    let a = Node::with(|config| config.access(&access)).await;
    let hash = in_time(a.has("base", &content(30, 5 * MIB))).await;
    let with_role = Node::at(Folder::new("image"), node, |config| config).await;
    in_time(with_role.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap();

    for key in [operator, SecretKey::generate()] {
        let without = Node::at(Folder::new("image"), key.clone(), |config| config).await;
        let status = in_time(without.get("copy", &hash, &[a.provider()]))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        assert!(
            status.message().contains("have them give its key the role"),
            "{status}"
        );
        assert_eq!(without.images.list(String::new()).await.unwrap().images, []);
        assert_eq!(without.cache_bytes(), 0);
        drop(without);

        // Without our calls, by the protocol of the contents alone.
        let endpoint = endpoint_of(key).await;
        let address = a.protocols.endpoint().addr();
        let connection = endpoint.connect(address, image::ALPN).await.unwrap();
        let store = MemStore::new();
        let hash = Hash::from_bytes(*blake3::Hash::from_hex(&hash).unwrap().as_bytes());
        let request = GetRequest::blob(hash);
        let got = in_time(
            store
                .remote()
                .execute_get(connection.clone(), request)
                .complete(),
        )
        .await;
        let error: GetError = got.unwrap_err();
        assert_eq!(error.iroh_error_code(), Some(ERR_PERMISSION), "{error:?}");
        // Nor does anybody put anything here.
        let tag = store.blobs().add_slice("mine").temp_tag().await.unwrap();
        let mine = tag.hash();
        let push = PushRequest::from(GetRequest::blob(mine));
        let _ = in_time(store.remote().execute_push(connection, push).complete()).await;
        let mine = mine.to_hex();
        assert_eq!(a.host.file(&mine).await.unwrap_err().code(), Code::NotFound);
        assert_eq!(a.images.list(String::new()).await.unwrap().images.len(), 1);
    }
}

#[tokio::test]
async fn who_loses_the_role_gets_nothing_more() {
    let node = SecretKey::generate();
    let roles = access(&[(&node, "node")]);
    let a = Node::with(|config| config.access(&roles)).await;
    let hash = in_time(a.has("base", &content(31, 5 * MIB))).await;
    let file = format!(
        "[peers.other]\nkey = '{}'\nroles = ['node']\n",
        "07".repeat(32)
    );
    roles.replace(Peers::parse(&file, "test").unwrap());
    let b = Node::at(Folder::new("image"), node, |config| config).await;
    let status = in_time(b.get("copy", &hash, &[a.provider()]))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
}

#[tokio::test]
async fn the_readers_of_an_image_alone_get_it_from_whoever_has_it() {
    let (named, stranger) = (Node::new().await, Node::new().await);
    for with_roles in [false, true] {
        let a = Node::with(|config| {
            if with_roles {
                config.readers(|_| true)
            } else {
                config
            }
        })
        .await;
        a.write("base", &content(32 + u64::from(with_roles), 5 * MIB));
        let readers = [named.key()];
        let shared = share(&a.images, "base", "base", ImageFormat::Raw, &readers);
        let hash = in_time(shared).await.unwrap().image.hash;
        let name = format!("copy{with_roles}");
        let (done, _) = in_time(named.get(&name, &hash, &[a.provider()]))
            .await
            .unwrap();
        assert_eq!(done.image.readers, readers);
        // Not from the one that has fetched it either, though that one gives everything else to everybody.
        for provider in [a.provider(), named.provider()] {
            let status = in_time(stranger.get("copy", &hash, &[provider]))
                .await
                .unwrap_err();
            assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        }
    }
}

#[tokio::test]
async fn who_may_not_fetch_may_not_ask_and_nobody_speaks_for_another() {
    let a = Node::with(|config| config).await;
    let b = Node::new().await;
    let hash = in_time(a.has("base", &content(34, MIB))).await;
    let caller = endpoint().await;
    let ask = async |caller: &Endpoint, node: &Node, getting: Option<Provider>| {
        let pool = Pool::new(IrohConnector::new(caller.clone()));
        let peer = IrohPeer::from(node.protocols.endpoint().addr());
        let images = ImagesClient::new(Channel::new(pool.channel(peer)));
        loop {
            let (cx, hash) = (Context::background(), hash.clone());
            match images.locate(&cx, hash, getting.clone()).await {
                // This process may have stood still for longer than a connection lasts.
                Err(status) if status.code() == Code::Unavailable => {}
                answer => return answer,
            }
        }
    };
    let status = in_time(ask(&caller, &a, Some(b.provider())))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    // Calls of the process have no key.
    let nobody = Context::background();
    let asked = a.images.locate(&nobody, hash.clone(), None);
    assert_eq!(asked.await.unwrap_err().code(), Code::PermissionDenied);

    in_time(b.has("base", &content(34, MIB))).await;
    in_time(ask(&caller, &b, Some(b.provider()))).await.unwrap();
    let other = endpoint().await;
    let others = in_time(ask(&other, &b, None)).await.unwrap().others;
    let keys: Vec<String> = others.into_iter().map(|it| it.key).collect();
    assert_eq!(keys, [hex(caller.id().as_bytes())]);
}
