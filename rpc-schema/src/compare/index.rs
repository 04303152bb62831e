//! [`Index`]: what a descriptor set declares, by full names.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    FileDescriptorSet, MethodDescriptorProto, ServiceDescriptorProto,
};

/// What a descriptor set declares.
#[derive(Debug, Default)]
pub(super) struct Index<'a> {
    pub(super) services: BTreeMap<String, Entry<'a, ServiceDescriptorProto>>,
    pub(super) messages: BTreeMap<String, Entry<'a, DescriptorProto>>,
    pub(super) enums: BTreeMap<String, Entry<'a, EnumDescriptorProto>>,
}

/// Something that a file declares.
#[derive(Debug)]
pub(super) struct Entry<'a, T> {
    pub(super) is: &'a T,
    pub(super) file: &'a FileDescriptorProto,
    /// Whether it is compared, and not only looked up.
    pub(super) own: bool,
}

impl<'a> Index<'a> {
    pub(super) fn new(set: &'a FileDescriptorSet, own: impl Fn(&str) -> bool) -> Self {
        let mut index = Self::default();
        for file in &set.file {
            let package = file.package();
            let own = own(file.name());
            for is in &file.service {
                let name = join(package, is.name());
                index.services.insert(name, Entry { is, file, own });
            }
            index.enums(package, &file.enum_type, file, own);
            index.messages(package, &file.message_type, file, own);
        }
        index
    }

    fn messages(
        &mut self,
        scope: &str,
        messages: &'a [DescriptorProto],
        file: &'a FileDescriptorProto,
        own: bool,
    ) {
        for is in messages {
            let name = join(scope, is.name());
            self.enums(&name, &is.enum_type, file, own);
            self.messages(&name, &is.nested_type, file, own);
            self.messages.insert(name, Entry { is, file, own });
        }
    }

    fn enums(
        &mut self,
        scope: &str,
        enums: &'a [EnumDescriptorProto],
        file: &'a FileDescriptorProto,
        own: bool,
    ) {
        for is in enums {
            self.enums
                .insert(join(scope, is.name()), Entry { is, file, own });
        }
    }

    /// The packages in which something is declared.
    pub(super) fn packages(&self) -> BTreeSet<&'a str> {
        let services = self.services.values().map(|it| (it.own, it.file));
        let messages = self.messages.values().map(|it| (it.own, it.file));
        let enums = self.enums.values().map(|it| (it.own, it.file));
        services
            .chain(messages)
            .chain(enums)
            .filter_map(|(own, file)| own.then_some(file.package()))
            .collect()
    }

    /// The entry of a map, if the field is one.
    pub(super) fn map_entry(&self, field: &FieldDescriptorProto) -> Option<&'a DescriptorProto> {
        let entry = self.messages.get(plain(field.type_name()))?.is;
        is_map_entry(entry).then_some(entry)
    }

    /// The messages and enums that the methods of services are made of.
    pub(super) fn used(&self) -> BTreeSet<String> {
        let methods = self.services.values().flat_map(|it| &it.is.method);
        self.used_by(methods)
    }

    /// The methods whose calls carry this message or enum, by their full names.
    pub(super) fn methods_with(&self, name: &str) -> Vec<String> {
        let methods = self
            .services
            .iter()
            .flat_map(|(service, it)| it.is.method.iter().map(move |method| (service, method)));
        methods
            .filter(|(_, method)| self.used_by([*method]).contains(name))
            .map(|(service, method)| format!("{service}.{}", method.name()))
            .collect()
    }

    fn used_by<'m>(
        &'m self,
        methods: impl IntoIterator<Item = &'m MethodDescriptorProto>,
    ) -> BTreeSet<String> {
        let mut used = BTreeSet::new();
        let mut open: Vec<&str> = methods
            .into_iter()
            .flat_map(|method| [method.input_type(), method.output_type()])
            .map(plain)
            .collect();
        while let Some(name) = open.pop() {
            if !used.insert(name.to_owned()) {
                continue;
            }
            let fields = self.messages.get(name).map(|it| it.is.field.as_slice());
            let fields = fields.unwrap_or_default().iter();
            let names = fields.filter_map(|field| field.type_name.as_deref());
            open.extend(names.map(plain));
        }
        used
    }
}

pub(super) fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|it| it.map_entry())
}

/// A full name without the dot that marks it as such.
pub(super) fn plain(name: &str) -> &str {
    name.trim_start_matches('.')
}

fn join(scope: &str, name: &str) -> String {
    if scope.is_empty() {
        name.to_owned()
    } else {
        format!("{scope}.{name}")
    }
}
