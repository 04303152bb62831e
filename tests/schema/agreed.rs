//! The services in `services/` are what `services/proto` says. A change that breaks somebody fails, and says whom.

use blixard_tests::tools::root;

/// `UPDATE_PROTO=1 cargo test -p blixard-tests --test schema agreed` accepts what breaks nobody.
#[test]
fn the_schemas_are_what_was_agreed() {
    blixard_rpc_schema::check(
        root().join("services/proto"),
        &blixard_services::descriptors(),
    );
}

#[test]
fn every_service_is_in_the_list() {
    let mut declared = 0;
    let mut open = vec![root().join("services/src")];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        let source = std::fs::read_to_string(path).unwrap();
        let attributes = source
            .lines()
            .filter(|line| line.starts_with("#[iroh_service"));
        declared += attributes.count();
    }
    assert!(declared > 0);
    assert_eq!(
        declared,
        blixard_services::descriptors().len(),
        "a service in services/src is not in `blixard_services::descriptors()`, and so its schema is not kept"
    );
}
