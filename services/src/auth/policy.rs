//! [`Policy`]: which role a method needs, and the one place where that is said of the services of this crate.

use std::collections::HashMap;

use super::role::Role;

/// Which role each method needs. What is not said of a method is that it needs [`Role::Admin`].
///
/// A new one knows the services of this crate, and reflection.
#[derive(Clone, Debug)]
pub struct Policy(HashMap<Box<str>, Needed>);

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Nothing, not even a key: as for the probes of load balancers and orchestrators.
    Nothing,
    /// This role.
    Role(Role),
}

impl Policy {
    /// What the services of this crate need.
    #[must_use]
    pub fn new() -> Self {
        let methods = METHODS.iter();
        Self(
            methods
                .map(|(path, role)| ((*path).into(), Needed::Role(*role)))
                .collect(),
        )
    }

    /// The method at this path, such as `/demo.v1.Greeter/Greet`, needs this role, whatever was said before.
    #[must_use]
    pub fn needs(mut self, path: impl Into<Box<str>>, role: Role) -> Self {
        self.0.insert(path.into(), Needed::Role(role));
        self
    }

    /// The method at this path is for everybody, known or not.
    #[must_use]
    pub fn for_everybody(mut self, path: impl Into<Box<str>>) -> Self {
        self.0.insert(path.into(), Needed::Nothing);
        self
    }

    /// What the method at this path needs.
    #[must_use]
    pub fn of(&self, path: &str) -> Needed {
        let said = self.0.get(path).copied();
        said.unwrap_or(Needed::Role(Role::Admin))
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::new()
    }
}

/// Methods and the roles that they need: all of this crate's, and those of gRPC's that come with the framework.
const METHODS: &[(&str, Role)] = &[
    // What is shared is given to others, and takes the disk of those who fetch it.
    ("/blixard.image.v1.ImageService/Share", Role::Admin),
    ("/blixard.image.v1.ImageService/Get", Role::Operator),
    ("/blixard.image.v1.ImageService/Describe", Role::Viewer),
    ("/blixard.image.v1.ImageService/List", Role::Viewer),
    ("/blixard.image.v1.ImageService/Remove", Role::Admin),
    // Who may ask this may fetch: see `ImageConfig::access`.
    ("/blixard.image.v1.ImageService/Locate", Role::Node),
    ("/blixard.node.v1.NodeHealthService/Check", Role::Viewer),
    ("/blixard.node.v1.NodeHealthService/Ping", Role::Viewer),
    ("/blixard.raft.v1.RaftService/Vote", Role::Node),
    ("/blixard.raft.v1.RaftService/PreVote", Role::Node),
    ("/blixard.raft.v1.RaftService/TransferLeader", Role::Node),
    ("/blixard.raft.v1.RaftService/Heartbeat", Role::Node),
    ("/blixard.raft.v1.RaftService/Append", Role::Node),
    ("/blixard.raft.v1.RaftService/Snapshot", Role::Node),
    ("/blixard.raft.v1.RaftService/ElectionMessages", Role::Node),
    ("/blixard.raft.v1.RaftService/HeartbeatMessages", Role::Node),
    ("/blixard.raft.v1.RaftService/AppendMessages", Role::Node),
    ("/blixard.status.v1.StatusService/Cluster", Role::Viewer),
    ("/blixard.status.v1.StatusService/Raft", Role::Viewer),
    ("/blixard.status.v1.StatusService/Peers", Role::Viewer),
    ("/blixard.status.v1.StatusService/Version", Role::Viewer),
    ("/blixard.status.v1.StatusService/Watch", Role::Viewer),
    ("/blixard.vm.v1.VmService/Create", Role::Admin),
    ("/blixard.vm.v1.VmService/Start", Role::Operator),
    ("/blixard.vm.v1.VmService/Stop", Role::Operator),
    ("/blixard.vm.v1.VmService/Pause", Role::Operator),
    ("/blixard.vm.v1.VmService/Resume", Role::Operator),
    ("/blixard.vm.v1.VmService/Restart", Role::Operator),
    ("/blixard.vm.v1.VmService/Delete", Role::Admin),
    ("/blixard.vm.v1.VmService/Get", Role::Viewer),
    ("/blixard.vm.v1.VmService/List", Role::Viewer),
    ("/blixard.vm.v1.VmService/Watch", Role::Viewer),
    // Whoever types at it is in the guest; and what it says may be secret.
    ("/blixard.vm.v1.VmService/Console", Role::Operator),
    ("/blixard.vm.v1.VmService/AddHealthCheck", Role::Operator),
    ("/blixard.vm.v1.VmService/RemoveHealthCheck", Role::Operator),
    ("/blixard.vm.v1.VmService/EnableHealthCheck", Role::Operator),
    ("/blixard.vm.v1.VmService/ListHealthChecks", Role::Viewer),
    ("/blixard.vm.v1.VmService/SetRecovery", Role::Operator),
    ("/blixard.vm.v1.VmService/Migrate", Role::Admin),
    ("/blixard.vm.v1.VmService/CancelMigration", Role::Admin),
    ("/blixard.vm.v1.VmService/CreateSnapshot", Role::Operator),
    // These throw away what a machine has written, or was to be gone back to.
    ("/blixard.vm.v1.VmService/RestoreSnapshot", Role::Admin),
    ("/blixard.vm.v1.VmService/DeleteSnapshot", Role::Admin),
    ("/blixard.vm.v1.VmService/ListSnapshots", Role::Viewer),
    // What a node sends becomes a process on this one.
    ("/blixard.vm.v1.VmService/Receive", Role::Node),
    ("/blixard.vm.v1.VmService/EndMigration", Role::Node),
    ("/grpc.health.v1.Health/Check", Role::Viewer),
    ("/grpc.health.v1.Health/List", Role::Viewer),
    ("/grpc.health.v1.Health/Watch", Role::Viewer),
    (
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        Role::Viewer,
    ),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        Role::Viewer,
    ),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_method_of_this_crate_is_there_and_no_other() {
        let services = crate::descriptors();
        let methods = services.iter().flat_map(|service| service.methods);
        let expected: BTreeSet<_> = methods.map(|method| method.path).collect();
        let said = METHODS.iter().map(|(path, _)| *path);
        let said: BTreeSet<_> = said
            .filter(|path| !path.starts_with("/grpc.reflection."))
            .collect();
        assert_eq!(said, expected);
    }

    #[test]
    fn what_is_not_there_needs_an_admin() {
        let policy = Policy::new();
        for path in [
            "/demo.v1.Greeter/Greet",
            "/blixard.vm.v1.VmService/Get/",
            "",
            "/",
        ] {
            assert_eq!(policy.of(path), Needed::Role(Role::Admin), "{path}");
        }
        let policy = policy
            .needs("/demo.v1.Greeter/Greet", Role::Viewer)
            .for_everybody("/grpc.health.v1.Health/Check");
        assert_eq!(
            policy.of("/demo.v1.Greeter/Greet"),
            Needed::Role(Role::Viewer)
        );
        assert_eq!(policy.of("/grpc.health.v1.Health/Check"), Needed::Nothing);
    }
}
