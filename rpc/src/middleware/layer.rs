//! [`Stack`]: two layers as one. Also what every wrapped dispatch says of the one inside.

use crate::dispatch::{Dispatch, Layer};

/// Two layers as one: a call passes the outer one first.
#[derive(Clone, Copy, Debug)]
pub struct Stack<Outer, Inner> {
    outer: Outer,
    inner: Inner,
}

impl<Outer: Layer, Inner: Layer> Stack<Outer, Inner> {
    /// `outer` around `inner`.
    pub const fn new(outer: Outer, inner: Inner) -> Self {
        Self { outer, inner }
    }
}

impl<Outer: Layer, Inner: Layer> Layer for Stack<Outer, Inner> {
    type Dispatch<D: Dispatch> = Outer::Dispatch<Inner::Dispatch<D>>;

    fn layer<D: Dispatch>(&self, inner: D) -> Self::Dispatch<D> {
        self.outer.layer(self.inner.layer(inner))
    }
}

/// The part of [`Dispatch`] that no middleware changes.
macro_rules! as_inner {
    () => {
        fn codec(
            &self,
            service: &'static $crate::method::ServiceDescriptor,
        ) -> $crate::call::Codec {
            self.inner.codec(service)
        }

        fn resolve(&self, path: &str) -> Option<&'static $crate::method::MethodDescriptor> {
            self.inner.resolve(path)
        }
    };
}

pub(super) use as_inner;
