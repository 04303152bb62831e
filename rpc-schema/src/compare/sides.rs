//! [`Sides`]: both schemas, and what was found so far.

use std::collections::{BTreeMap, BTreeSet};

use prost_types::{DescriptorProto, FileDescriptorSet};

use super::{
    breaks::{Break, Whom},
    index::Index,
};

/// Both schemas, and what was found so far.
#[derive(Debug)]
pub(super) struct Sides<'a> {
    pub(super) old: Index<'a>,
    pub(super) new: Index<'a>,
    /// Packages that are called otherwise now.
    pub(super) moved: BTreeMap<&'a str, &'a str>,
    /// The pairs of messages or enums that were compared already, or are right now.
    seen: BTreeSet<(String, String)>,
    /// The message or enum of the old schema that is compared right now.
    about: Option<String>,
    breaks: Vec<Break>,
    /// Compares two messages: fields hold messages, which hold fields.
    pub(super) messages: Pair<DescriptorProto>,
}

/// Compares two things, each behind its name.
pub(super) type Pair<T> = fn(&mut Sides<'_>, (&str, &T), (&str, &T));

impl<'a> Sides<'a> {
    /// Both schemas; what is declared in a file that is not `own` is only looked up.
    pub(super) fn new(
        old: &'a FileDescriptorSet,
        new: &'a FileDescriptorSet,
        own: impl Fn(&str) -> bool,
        messages: Pair<DescriptorProto>,
    ) -> Self {
        Self {
            old: Index::new(old, &own),
            new: Index::new(new, &own),
            moved: BTreeMap::new(),
            seen: BTreeSet::new(),
            about: None,
            breaks: Vec::new(),
            messages,
        }
    }

    /// What is called this in the old schema would be called in the new one, with a dot before it or without.
    pub(super) fn translate(&self, old: &str) -> String {
        let (dot, name) = match old.strip_prefix('.') {
            Some(name) => (".", name),
            None => ("", old),
        };
        for (was, is) in &self.moved {
            if let Some(rest) = name.strip_prefix(was)
                && rest.starts_with('.')
            {
                return format!("{dot}{is}{rest}");
            }
        }
        old.to_owned()
    }

    /// Whether this pair was not compared yet; it counts as compared from now on.
    pub(super) fn begin(&mut self, old: &str, new: &str) -> bool {
        self.seen.insert((old.to_owned(), new.to_owned()))
    }

    pub(super) fn report(
        &mut self,
        whom: Whom,
        place: impl Into<String>,
        change: impl Into<String>,
        effect: impl Into<String>,
    ) {
        self.push(whom, place.into(), change.into(), effect.into(), None);
    }

    pub(super) fn report_instead(
        &mut self,
        whom: Whom,
        place: impl Into<String>,
        change: impl Into<String>,
        effect: impl Into<String>,
        instead: impl Into<String>,
    ) {
        let instead = Some(instead.into());
        self.push(whom, place.into(), change.into(), effect.into(), instead);
    }

    fn push(
        &mut self,
        whom: Whom,
        place: String,
        change: String,
        effect: String,
        instead: Option<String>,
    ) {
        let about = self.about.as_deref();
        self.breaks.push(Break {
            whom,
            place,
            change,
            effect,
            methods: about.map_or_else(Vec::new, |name| self.old.methods_with(name)),
            instead,
        });
    }

    /// What `compare` finds is about this message or enum of the old schema.
    pub(super) fn about(&mut self, name: &str, compare: impl FnOnce(&mut Self)) {
        self.about = Some(name.to_owned());
        compare(self);
        self.about = None;
    }

    /// What `compare` finds, apart from all else: whether two types that differ in name are the same on the wire.
    pub(super) fn apart(&mut self, compare: impl FnOnce(&mut Self)) -> Vec<Break> {
        // What is found here is not what is found there, nor has it been compared there.
        let seen = self.seen.clone();
        let before = std::mem::take(&mut self.breaks);
        compare(self);
        self.seen = seen;
        std::mem::replace(&mut self.breaks, before)
    }

    pub(super) fn finish(mut self) -> Vec<Break> {
        self.breaks.sort_by_key(|found| found.whom);
        self.breaks
    }
}
