//! Whatever prost generated is a message, and so are prost's own scalars, as the wrappers that protobuf has for them.

use bytes::{Bytes, BytesMut};

use super::codec::Message;
use crate::{
    codec::Codec,
    proto::Schema,
    status::{Result, Status},
};

/// The same bytes in both codecs: under postcard too, such a message is its protobuf encoding.
#[diagnostic::do_not_recommend]
impl<T: prost::Message + Default + 'static> Message for T {
    #[inline]
    fn encode(&self, _: Codec, out: &mut BytesMut) -> Result<()> {
        prost::Message::encode(self, out).map_err(|error| {
            Status::internal(format!("cannot encode the message: {error}")).with_source(error)
        })
    }

    #[inline]
    fn decode(_: Codec, bytes: Bytes) -> Result<Self> {
        <T as prost::Message>::decode(bytes).map_err(|error| {
            Status::internal(format!("cannot decode the message: {error}")).with_source(error)
        })
    }

    fn describe(schema: &mut Schema) -> String {
        let described = schema.prost::<T>();
        schema.name_of(described).to_owned()
    }
}
