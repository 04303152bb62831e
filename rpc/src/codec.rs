//! [`Codec`]: how messages are encoded. The codecs themselves belong to the message floor.

/// How messages are encoded. A property of the call: both directions use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// [postcard](https://postcard.jamesmunns.com/wire-format): compact and fast; both sides must have the same schema.
    Postcard = 1,
    /// [Protocol Buffers](https://protobuf.dev/programming-guides/encoding/): schemas may differ as protobuf allows.
    Protobuf = 2,
}
