//! Which files describe services: one for each package, or the one that was there before the service was declared in Rust.

use std::sync::Arc;

use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

use super::{
    descriptor::{ServiceInfo, Unknown, describe},
    given::Given,
    print::print,
    schema::Schema,
    schema_error::SchemaError,
    wellknown,
};

/// Describes a service, and all messages that it is made of, as a file of its own in the service's package; or finds the file that
/// declares it in the descriptor set that it names.
///
/// # Errors
/// Two types have one name, or the descriptor set does not go with the service.
pub fn file(service: &ServiceInfo) -> Result<FileDescriptorProto, SchemaError> {
    let service = Service::of(service)?;
    match service.declared() {
        Some(file) => Ok(file.clone()),
        None => describe_package(&[service], Unknown::Declared),
    }
}

/// The `.proto` of a service.
///
/// # Errors
/// As those of [`file()`]; or an existing `.proto` declares the service: that is its text.
pub fn text(service: &ServiceInfo) -> Result<String, SchemaError> {
    let service = Service::of(service)?;
    match service.declared() {
        Some(file) => Err(SchemaError::given(
            service.info.name,
            format!(
                "the service is declared in {} already: that is its .proto",
                file.name()
            ),
        )),
        None => Ok(print(&describe_package(&[service], Unknown::Named)?)),
    }
}

/// The `.proto` files of services, by their names: one for each package. Services that an existing `.proto` declares are left out.
///
/// # Errors
/// As those of [`file()`]; or prost generated a type from a `.proto` that is not known.
pub fn texts(services: &[ServiceInfo]) -> Result<Vec<(String, String)>, SchemaError> {
    packages(services)?
        .iter()
        .map(|services| describe_package(services, Unknown::Refused))
        .map(|file| file.map(|file| (file.name().to_owned(), print(&file))))
        .collect()
}

/// Describes services, those of one package in one file since they may share messages; before each file those that it imports.
///
/// # Errors
/// As those of [`file()`]; or two different files have one name.
pub fn file_set(services: &[ServiceInfo]) -> Result<FileDescriptorSet, SchemaError> {
    let mut set = FileDescriptorSet::default();
    for info in services {
        let service = Service::of(info)?;
        if let Some((file, given)) = service.declared().zip(service.given.as_deref()) {
            for file in given.with_imports(file.name())? {
                add(&mut set, info, file)?;
            }
        }
    }
    for services in packages(services)? {
        let file = describe_package(&services, Unknown::Declared)?;
        for import in &file.dependency {
            let imports = |service: &&Service<'_>| {
                let given = service.given.as_ref();
                given.is_some_and(|given| given.declares(import))
            };
            if let Some(known) = wellknown::file(import) {
                add(&mut set, services[0].info, &known)?;
            } else if let Some(service) = services.iter().find(imports)
                && let Some(given) = &service.given
            {
                for file in given.with_imports(import)? {
                    add(&mut set, service.info, file)?;
                }
            }
        }
        add(&mut set, services[0].info, &file)?;
    }
    Ok(set)
}

/// A service, and the descriptor set that it names.
struct Service<'a> {
    info: &'a ServiceInfo,
    given: Option<Arc<Given>>,
}

impl<'a> Service<'a> {
    fn of(info: &'a ServiceInfo) -> Result<Self, SchemaError> {
        let given = match info.file_descriptor_set {
            Some(set) => Some(Arc::new(Given::read(info.name, set)?)),
            None => None,
        };
        let service = Self { info, given };
        if let Some(given) = &service.given
            && let Some((_, declared)) = given.declared()
        {
            service.agrees(given, declared)?;
        }
        Ok(service)
    }

    /// The existing file that declares it.
    fn declared(&self) -> Option<&FileDescriptorProto> {
        let (file, _) = self.given.as_ref()?.declared()?;
        Some(file)
    }

    /// Whether each method is as it was declared before.
    fn agrees(
        &self,
        given: &Arc<Given>,
        declared: &ServiceDescriptorProto,
    ) -> Result<(), SchemaError> {
        let wrong = |what| Err(SchemaError::given(self.info.name, what));
        let (package, _) = self.info.split_name();
        let mut schema = Schema::new(package);
        schema.look_up_in(Some(given.clone()));
        for method in &self.info.methods {
            let ours = method.name;
            let Some(theirs) = declared.method.iter().find(|it| it.name() == ours) else {
                let names: Vec<_> = declared
                    .method
                    .iter()
                    .map(MethodDescriptorProto::name)
                    .collect();
                return wrong(format!(
                    "the service has a method {ours} here, and there {}: rename it, or write `#[rpc(name = \"..\")]` before it",
                    names.join(", ")
                ));
            };
            for (streams, there, what) in [
                (method.client_streaming, theirs.client_streaming(), "takes"),
                (
                    method.server_streaming,
                    theirs.server_streaming(),
                    "answers",
                ),
            ] {
                if streams != there {
                    let many = |many| if many { "a stream" } else { "one message" };
                    return wrong(format!(
                        "{ours} {what} {} here, and {} there",
                        many(streams),
                        many(there)
                    ));
                }
            }
            for (describe, there, what) in [
                (method.request, theirs.input_type(), "takes"),
                (method.response, theirs.output_type(), "answers"),
            ] {
                let here = describe(&mut schema);
                schema.all_found()?;
                let there = there.trim_start_matches('.');
                if here != there && !given.begins_with(there, wellknown::wrapped(&here)) {
                    return wrong(format!("{ours} {what} {here} here, and {there} there"));
                }
            }
        }
        Ok(())
    }
}

/// The services that are described here, by package.
fn packages(services: &[ServiceInfo]) -> Result<Vec<Vec<Service<'_>>>, SchemaError> {
    let mut packages: Vec<(&str, Vec<Service<'_>>)> = Vec::new();
    for info in services {
        let service = Service::of(info)?;
        if service.declared().is_some() {
            continue;
        }
        let (package, _) = info.split_name();
        match packages.iter_mut().find(|(known, _)| *known == package) {
            Some((_, services)) => services.push(service),
            None => packages.push((package, vec![service])),
        }
    }
    Ok(packages.into_iter().map(|(_, services)| services).collect())
}

fn describe_package(
    services: &[Service<'_>],
    unknown: Unknown,
) -> Result<FileDescriptorProto, SchemaError> {
    let (package, _) = services[0].info.split_name();
    let services: Vec<_> = services
        .iter()
        .map(|it| (it.info, it.given.clone()))
        .collect();
    describe(package, &services, unknown)
}

/// Adds a file once. Protobuf's own files are the same everywhere, but for what is said of them.
fn add(
    set: &mut FileDescriptorSet,
    service: &ServiceInfo,
    file: &FileDescriptorProto,
) -> Result<(), SchemaError> {
    let said = |file: &FileDescriptorProto| FileDescriptorProto {
        source_code_info: None,
        ..file.clone()
    };
    match set.file.iter().find(|known| known.name() == file.name()) {
        None => set.file.push(file.clone()),
        Some(_) if file.name().starts_with("google/protobuf/") => {}
        Some(known) if said(known) == said(file) => {}
        Some(_) => {
            return Err(SchemaError::given(
                service.name,
                format!(
                    "it has another {} than the set of another service",
                    file.name()
                ),
            ));
        }
    }
    Ok(())
}
