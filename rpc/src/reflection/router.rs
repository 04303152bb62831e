//! Adds reflection to a [`Router`].

use super::{
    answers::Answers,
    api::{V1AlphaServer, V1AlphaService, V1Server, V1Service},
    files::Files,
};
use crate::{
    method::{ServiceDescriptor, file_descriptor_set},
    proto::SchemaError,
    server::Router,
};

impl Router {
    /// Lets clients ask what services there are, and what messages they are made of: `grpc.reflection.v1` and its `v1alpha`, which
    /// many tools still ask first. It tells of the services that have been added before, and of itself.
    ///
    /// They are services like any other: layers see their calls, and so decide who may ask, and a
    /// [`MigrationStrategy`](crate::runner::MigrationStrategy) says which transports carry them.
    ///
    /// # Errors
    /// Two types of a package have one name, or a descriptor set that a service names does not go with it.
    ///
    /// # Panics
    /// If the router serves reflection already.
    #[track_caller]
    pub fn reflection(self) -> Result<Self, SchemaError> {
        let own = [V1Service::descriptor(), V1AlphaService::descriptor()];
        let mut services: Vec<&ServiceDescriptor> = self.services().chain(own).collect();
        services.sort_unstable_by_key(|service| service.name);
        let files = Files::new(&file_descriptor_set(&services)?);
        let names = services.iter().map(|service| service.name).collect();
        let answers = Answers::new(names, files);
        Ok(self
            .add(V1Server::new(answers.clone()))
            .add(V1AlphaServer::new(answers)))
    }
}
