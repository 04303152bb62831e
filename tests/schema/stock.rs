//! tonic and prost compile what we print, as it comes: messages, clients and servers. That they talk with ours is shown in `interop`.

/// A service that uses everything a message can have.
#[allow(
    clippy::all,
    clippy::use_self,
    dead_code,
    deprecated,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    reason = "it is generated"
)]
mod kitchen {
    tonic::include_proto!("kitchen.v1");
}

/// gRPC's health, of whose names others decide.
#[allow(
    clippy::all,
    clippy::use_self,
    dead_code,
    unnameable_types,
    unreachable_pub,
    unused_qualifications,
    reason = "it is generated"
)]
mod health {
    tonic::include_proto!("grpc.health.v1");
}

/// That it compiles is the test; the names are those that the traits gave.
#[test]
fn the_names_are_those_of_the_traits() {
    use tonic::server::NamedService;

    struct Nothing;
    type Kitchen = kitchen::kitchen_server::KitchenServer<Nothing>;
    type Health = health::health_server::HealthServer<Nothing>;
    assert_eq!(<Kitchen as NamedService>::NAME, "kitchen.v1.Kitchen");
    assert_eq!(<Health as NamedService>::NAME, "grpc.health.v1.Health");
    let request = kitchen::KitchenWatchRequest {
        name: "tree".to_owned(),
    };
    assert_eq!(prost::Message::encode_to_vec(&request), b"\x0a\x04tree");
}
