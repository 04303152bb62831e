//! From protobuf's description of a file to its text. What is in the file is decided elsewhere.

use std::fmt::Write as _;

use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto,
    ServiceDescriptorProto,
    field_descriptor_proto::{Label, Type},
    method_options::IdempotencyLevel,
};

use super::descriptor::{
    ENUM, ENUM_VALUE, FIELD, MESSAGE, METHOD, NESTED, NESTED_ENUM, SERVICE, SYNTAX,
};

/// The text of a file in proto3, as [`file`](super::file) describes it.
#[must_use]
pub fn print(file: &FileDescriptorProto) -> String {
    let mut printer = Printer {
        file,
        out: String::new(),
        indent: 0,
    };
    printer.file();
    printer.out
}

struct Printer<'a> {
    file: &'a FileDescriptorProto,
    out: String,
    indent: usize,
}

impl Printer<'_> {
    fn file(&mut self) {
        self.line("syntax = \"proto3\";");
        if !self.file.package().is_empty() {
            self.line("");
            self.line(&format!("package {};", self.file.package()));
        }
        if !self.file.dependency.is_empty() {
            self.line("");
        }
        // As `buf format` has them.
        let mut imports: Vec<&String> = self.file.dependency.iter().collect();
        imports.sort_unstable();
        for import in imports {
            self.line(&format!("import \"{import}\";"));
        }
        for comment in self.detached() {
            self.line("");
            self.comment_text(&comment);
        }
        for (service, at) in self.file.service.iter().zip(0..) {
            self.line("");
            self.service(&[SERVICE, at], service);
        }
        for (message, at) in self.file.message_type.iter().zip(0..) {
            self.line("");
            self.message(&[MESSAGE, at], message);
        }
        for (described, at) in self.file.enum_type.iter().zip(0..) {
            self.line("");
            self.enumeration(&[ENUM, at], described);
        }
    }

    fn service(&mut self, path: &[i32], service: &ServiceDescriptorProto) {
        self.comment(path);
        let deprecated = service.options.as_ref().is_some_and(|it| it.deprecated());
        let empty = service.method.is_empty() && !deprecated;
        self.open(&format!("service {}", service.name()), empty);
        if deprecated {
            self.line(DEPRECATED);
        }
        if deprecated && !service.method.is_empty() {
            self.line("");
        }
        for (method, at) in service.method.iter().zip(0..) {
            self.comment(&[path, &[METHOD, at]].concat());
            let stream = |streams| if streams { "stream " } else { "" };
            let head = format!(
                "rpc {}({}{}) returns ({}{})",
                method.name(),
                stream(method.client_streaming()),
                self.type_name(method.input_type(), &[]),
                stream(method.server_streaming()),
                self.type_name(method.output_type(), &[]),
            );
            let options = method.options.as_ref();
            let deprecated = options.is_some_and(|it| it.deprecated());
            let idempotent =
                options.is_some_and(|it| it.idempotency_level() == IdempotencyLevel::Idempotent);
            if !deprecated && !idempotent {
                self.line(&format!("{head};"));
                continue;
            }
            self.open(&head, false);
            if deprecated {
                self.line(DEPRECATED);
            }
            if idempotent {
                self.line("option idempotency_level = IDEMPOTENT;");
            }
            self.close(false);
        }
        self.close(empty);
    }

    fn message(&mut self, path: &[i32], message: &DescriptorProto) {
        self.comment(path);
        let deprecated = message.options.as_ref().is_some_and(|it| it.deprecated());
        let reserved = reserved(
            message.reserved_range.iter().map(|range| {
                let last = range.end().saturating_sub(1);
                (range.start(), last, last == MAX_TAG)
            }),
            &message.reserved_name,
        );
        let head = usize::from(deprecated) + reserved.len() + message.field.len();
        let empty = head == 0 && message.nested_type.is_empty() && message.enum_type.is_empty();
        self.open(&format!("message {}", message.name()), empty);
        if deprecated {
            self.line(DEPRECATED);
        }
        for reserved in reserved {
            self.line(&reserved);
        }
        // What is nested stands apart from what is before it.
        let mut apart = head > 0;
        let mut oneof = None;
        for (field, at) in message.field.iter().zip(0..) {
            let within = field.oneof_index.filter(|_| !field.proto3_optional());
            if oneof != within {
                if oneof.is_some() {
                    self.close(false);
                }
                if let Some(declared) = within
                    .and_then(|index| usize::try_from(index).ok())
                    .and_then(|index| message.oneof_decl.get(index))
                {
                    self.open(&format!("oneof {}", declared.name()), false);
                }
                oneof = within;
            }
            self.comment(&[path, &[FIELD, at]].concat());
            self.field(message, field);
        }
        if oneof.is_some() {
            self.close(false);
        }
        for (nested, at) in message.nested_type.iter().zip(0..) {
            let map_entry = nested.options.as_ref().is_some_and(|it| it.map_entry());
            if !map_entry {
                self.apart(&mut apart);
                self.message(&[path, &[NESTED, at]].concat(), nested);
            }
        }
        for (nested, at) in message.enum_type.iter().zip(0..) {
            self.apart(&mut apart);
            self.enumeration(&[path, &[NESTED_ENUM, at]].concat(), nested);
        }
        self.close(empty);
    }

    fn field(&mut self, message: &DescriptorProto, field: &FieldDescriptorProto) {
        let map_entry = message.nested_type.iter().find(|nested| {
            nested.options.as_ref().is_some_and(|it| it.map_entry())
                && field
                    .type_name()
                    .rsplit('.')
                    .next()
                    .is_some_and(|name| name == nested.name())
        });
        let described = match map_entry.map(|entry| entry.field.as_slice()) {
            Some([key, value]) => format!(
                "map<{}, {}>",
                self.field_type(message, key),
                self.field_type(message, value)
            ),
            _ => self.field_type(message, field),
        };
        let label = if map_entry.is_some() {
            ""
        } else if field.label() == Label::Repeated {
            "repeated "
        } else if field.proto3_optional() {
            "optional "
        } else {
            ""
        };
        let deprecated = field.options.as_ref().is_some_and(|it| it.deprecated());
        self.line(&format!(
            "{label}{described} {} = {}{};",
            field.name(),
            field.number(),
            if deprecated { DEPRECATED_FIELD } else { "" }
        ));
    }

    fn enumeration(&mut self, path: &[i32], described: &EnumDescriptorProto) {
        self.comment(path);
        self.open(&format!("enum {}", described.name()), false);
        if described.options.as_ref().is_some_and(|it| it.deprecated()) {
            self.line(DEPRECATED);
        }
        let ranges = described
            .reserved_range
            .iter()
            .map(|range| (range.start(), range.end(), range.end() == i32::MAX));
        for reserved in reserved(ranges, &described.reserved_name) {
            self.line(&reserved);
        }
        for (value, at) in described.value.iter().zip(0..) {
            self.comment(&[path, &[ENUM_VALUE, at]].concat());
            let deprecated = value.options.as_ref().is_some_and(|it| it.deprecated());
            self.line(&format!(
                "{} = {}{};",
                value.name(),
                value.number(),
                if deprecated { DEPRECATED_FIELD } else { "" }
            ));
        }
        self.close(false);
    }

    fn field_type(&self, message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
        match field.r#type() {
            Type::Double => "double".to_owned(),
            Type::Float => "float".to_owned(),
            Type::Int64 => "int64".to_owned(),
            Type::Uint64 => "uint64".to_owned(),
            Type::Int32 => "int32".to_owned(),
            Type::Fixed64 => "fixed64".to_owned(),
            Type::Fixed32 => "fixed32".to_owned(),
            Type::Bool => "bool".to_owned(),
            Type::String => "string".to_owned(),
            Type::Bytes => "bytes".to_owned(),
            Type::Uint32 => "uint32".to_owned(),
            Type::Sfixed32 => "sfixed32".to_owned(),
            Type::Sfixed64 => "sfixed64".to_owned(),
            Type::Sint32 => "sint32".to_owned(),
            Type::Sint64 => "sint64".to_owned(),
            Type::Group | Type::Message | Type::Enum => {
                self.type_name(field.type_name(), &message.nested_type)
            }
        }
    }

    /// A name as short as it may be: without the package, unless what is nested here would be meant then.
    fn type_name(&self, full: &str, nested: &[DescriptorProto]) -> String {
        let name = full.strip_prefix('.').unwrap_or(full);
        let package = self.file.package();
        let short = match name
            .strip_prefix(package)
            .and_then(|rest| rest.strip_prefix('.'))
        {
            Some(short) if !package.is_empty() => short,
            _ => name,
        };
        let first = short.split('.').next().unwrap_or(short);
        let hidden = if short.len() < name.len() {
            nested.iter().any(|nested| nested.name() == first)
        } else {
            // `google` in a package `demo.google.v1` would be `demo.google`.
            package.split('.').skip(1).any(|part| part == first)
        };
        if hidden {
            return full.to_owned();
        }
        short.to_owned()
    }

    /// The comments that belong to nothing.
    fn detached(&self) -> Vec<String> {
        self.locations(&[SYNTAX])
            .flat_map(|location| location.leading_detached_comments.iter().cloned())
            .collect()
    }

    fn comment(&mut self, path: &[i32]) {
        let comment = self
            .locations(path)
            .find_map(|location| location.leading_comments.clone());
        if let Some(comment) = comment {
            self.comment_text(&comment);
        }
    }

    fn comment_text(&mut self, comment: &str) {
        for line in comment.lines() {
            self.line(format!("//{line}").trim_end());
        }
    }

    fn locations(
        &self,
        path: &[i32],
    ) -> impl Iterator<Item = &prost_types::source_code_info::Location> {
        self.file
            .source_code_info
            .iter()
            .flat_map(|info| &info.location)
            .filter(move |location| location.path == path)
    }

    /// An empty line, unless this is the first.
    fn apart(&mut self, apart: &mut bool) {
        if *apart {
            self.line("");
        }
        *apart = true;
    }

    fn open(&mut self, head: &str, empty: bool) {
        if empty {
            self.line(&format!("{head} {{}}"));
        } else {
            self.line(&format!("{head} {{"));
            self.indent += 1;
        }
    }

    fn close(&mut self, empty: bool) {
        if !empty {
            self.indent -= 1;
            self.line("}");
        }
    }

    fn line(&mut self, line: &str) {
        let indent = if line.is_empty() { 0 } else { self.indent * 2 };
        // Writing to a string does not fail.
        let _ = writeln!(self.out, "{:indent$}{line}", "");
    }
}

/// What is reserved, by number and by name; the last of the numbers that there are is `max`.
fn reserved(numbers: impl Iterator<Item = (i32, i32, bool)>, names: &[String]) -> Vec<String> {
    let numbers: Vec<_> = numbers
        .map(|(first, last, is_max)| match last {
            _ if is_max => format!("{first} to max"),
            last if last == first => first.to_string(),
            last => format!("{first} to {last}"),
        })
        .collect();
    let names: Vec<_> = names.iter().map(|name| format!("\"{name}\"")).collect();
    [numbers, names]
        .into_iter()
        .filter(|list| !list.is_empty())
        .map(|list| format!("reserved {};", list.join(", ")))
        .collect()
}

const DEPRECATED: &str = "option deprecated = true;";
const DEPRECATED_FIELD: &str = " [deprecated = true]";

/// The largest number of a field.
const MAX_TAG: i32 = (1 << 29) - 1;
