//! `Duration` and `SystemTime` as the well-known types `google.protobuf.Duration` and `Timestamp`.

use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use prost::encoding::WireType;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    DecodeError, Input, Schema, Value, ValueType,
    encode::{delimited, key, varint},
};

/// What both have in common on the wire: `int64 seconds = 1; int32 nanos = 2;`.
#[derive(Clone, Copy, Default)]
struct Parts {
    seconds: i64,
    nanos: i32,
}

impl Parts {
    fn put(self, out: &mut BytesMut) {
        delimited(out, |out| {
            if self.seconds != 0 {
                key(1, WireType::Varint, out);
                varint(self.seconds as u64, out);
            }
            if self.nanos != 0 {
                key(2, WireType::Varint, out);
                varint(i64::from(self.nanos) as u64, out);
            }
        });
    }

    /// Reads into `self`, so that a second occurrence merges with the first as messages do.
    fn take(mut self, input: &mut Input<'_>) -> Result<Self, DecodeError> {
        input.nested(|input| {
            while let Some((tag, wire)) = input.key()? {
                match tag {
                    1 => {
                        input.expect(WireType::Varint, wire)?;
                        self.seconds = input.varint()? as i64;
                    }
                    2 => {
                        input.expect(WireType::Varint, wire)?;
                        self.nanos = input.varint()? as i32;
                    }
                    _ => input.skip(tag, wire)?,
                }
            }
            Ok(self)
        })
    }

    /// Seconds, and nanoseconds from 0 to 999 999 999.
    fn normalized(self) -> Option<(i64, u32)> {
        let nanos = i64::from(self.nanos);
        let seconds = self
            .seconds
            .checked_add(nanos.div_euclid(NANOS_PER_SECOND))?;
        let nanos = u32::try_from(nanos.rem_euclid(NANOS_PER_SECOND)).ok()?;
        Some((seconds, nanos))
    }
}

/// A duration of more seconds than an `i64` holds is sent as the longest that protobuf has: 292 billion years.
impl From<Duration> for Parts {
    fn from(duration: Duration) -> Self {
        i64::try_from(duration.as_secs()).map_or(
            Self {
                seconds: i64::MAX,
                nanos: 999_999_999,
            },
            |seconds| Self {
                seconds,
                nanos: duration.subsec_nanos() as i32,
            },
        )
    }
}

impl TryFrom<Parts> for Duration {
    type Error = DecodeError;

    fn try_from(parts: Parts) -> Result<Self, DecodeError> {
        parts
            .normalized()
            .and_then(|(seconds, nanos)| Some(Self::new(u64::try_from(seconds).ok()?, nanos)))
            .ok_or_else(|| DecodeError::malformed("the duration is negative"))
    }
}

impl From<SystemTime> for Parts {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => after.into(),
            Err(error) => {
                let before = Self::from(error.duration());
                if before.nanos == 0 {
                    Self {
                        seconds: -before.seconds,
                        nanos: 0,
                    }
                } else {
                    Self {
                        seconds: -before.seconds - 1,
                        nanos: 1_000_000_000 - before.nanos,
                    }
                }
            }
        }
    }
}

impl TryFrom<Parts> for SystemTime {
    type Error = DecodeError;

    fn try_from(parts: Parts) -> Result<Self, DecodeError> {
        parts
            .normalized()
            .and_then(|(seconds, nanos)| {
                let whole = Duration::from_secs(seconds.unsigned_abs());
                let time = if seconds < 0 {
                    Self::UNIX_EPOCH.checked_sub(whole)
                } else {
                    Self::UNIX_EPOCH.checked_add(whole)
                };
                time?.checked_add(Duration::from_nanos(u64::from(nanos)))
            })
            .ok_or_else(|| DecodeError::malformed("the time is out of this system's range"))
    }
}

macro_rules! time {
    ($type:ty, $proto:literal, $absent:expr) => {
        impl Value for $type {
            const WIRE: WireType = WireType::LengthDelimited;

            #[inline]
            fn is_default(&self) -> bool {
                false
            }

            fn put(&self, out: &mut BytesMut) {
                Parts::from(*self).put(out);
            }

            fn take(old: Option<Self>, input: &mut Input<'_>) -> Result<Self, DecodeError> {
                old.map_or_else(Parts::default, Parts::from)
                    .take(input)?
                    .try_into()
            }

            fn absent(_: &mut Input<'_>) -> Result<Self, DecodeError> {
                Ok($absent)
            }

            fn value_type(schema: &mut Schema) -> ValueType {
                schema.well_known::<Self>($proto)
            }

            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let Parts { seconds, nanos } = (*self).into();
                (seconds, nanos).serialize(serializer)
            }

            fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (seconds, nanos) = Deserialize::deserialize(deserializer)?;
                Parts { seconds, nanos }
                    .try_into()
                    .map_err(de::Error::custom)
            }
        }
    };
}

time!(Duration, "Duration", Self::ZERO);
time!(SystemTime, "Timestamp", Self::UNIX_EPOCH);

const NANOS_PER_SECOND: i64 = 1_000_000_000;
