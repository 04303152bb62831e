//! `Duration` and `SystemTime` as the well-known types `google.protobuf.Duration` and `Timestamp`, within the ranges of these.

use std::{
    ops::RangeInclusive,
    time::{Duration, SystemTime},
};

use bytes::BytesMut;
use prost::encoding::WireType;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

use super::{
    DecodeError, Input, Schema, Value, ValueType,
    encode::{delimited, key, refuse, varint},
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

/// A duration of more seconds than an `i64` holds is as long as that: out of range as well.
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
            .filter(|(seconds, _)| DURATION_SECONDS.contains(seconds))
            .and_then(|(seconds, nanos)| Some(Self::new(u64::try_from(seconds).ok()?, nanos)))
            .ok_or_else(|| DecodeError::malformed(DURATION_RANGE))
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
            .filter(|(seconds, _)| TIMESTAMP_SECONDS.contains(seconds))
            .and_then(|(seconds, nanos)| {
                let whole = Duration::from_secs(seconds.unsigned_abs());
                let time = if seconds < 0 {
                    Self::UNIX_EPOCH.checked_sub(whole)
                } else {
                    Self::UNIX_EPOCH.checked_add(whole)
                };
                time?.checked_add(Duration::from_nanos(u64::from(nanos)))
            })
            .ok_or_else(|| DecodeError::malformed(TIMESTAMP_RANGE))
    }
}

macro_rules! time {
    ($type:ty, $proto:literal, $absent:expr, $range:expr, $says:expr) => {
        impl Value for $type {
            const WIRE: WireType = WireType::LengthDelimited;

            #[inline]
            fn is_default(&self) -> bool {
                false
            }

            fn put(&self, out: &mut BytesMut) {
                let parts = Parts::from(*self);
                if !$range.contains(&parts.seconds) {
                    refuse($says);
                }
                parts.put(out);
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
                if !$range.contains(&seconds) {
                    refuse($says);
                    return Err(ser::Error::custom($says));
                }
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

time!(
    Duration,
    "Duration",
    Self::ZERO,
    DURATION_SECONDS,
    DURATION_RANGE
);
time!(
    SystemTime,
    "Timestamp",
    Self::UNIX_EPOCH,
    TIMESTAMP_SECONDS,
    TIMESTAMP_RANGE
);

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// What `google.protobuf.Duration` allows, without the negative half, which Rust's has not.
const DURATION_SECONDS: RangeInclusive<i64> = 0..=315_576_000_000;
const DURATION_RANGE: &str = "a duration is negative or over 315,576,000,000 seconds (10,000 years), the longest that google.protobuf.Duration has";

/// What `google.protobuf.Timestamp` allows, from 0001-01-01T00:00:00Z to the last second of the year 9999.
const TIMESTAMP_SECONDS: RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;
const TIMESTAMP_RANGE: &str = "a time is outside the years 1 to 9999 that google.protobuf.Timestamp has, or out of this system's range";

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::{code::Code, codec::Codec, message, message::Message as _};

    #[message]
    #[derive(Clone, Debug, PartialEq)]
    struct Times {
        wait: Duration,
        at: Option<SystemTime>,
    }

    fn times(wait: Duration, at: Option<SystemTime>) -> Times {
        Times { wait, at }
    }

    #[test]
    fn the_first_and_the_last_of_the_ranges_are_carried() {
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        let (first, last) = TIMESTAMP_SECONDS.into_inner();
        for value in [
            times(Duration::ZERO, None),
            times(
                seconds(*DURATION_SECONDS.end()),
                Some(SystemTime::UNIX_EPOCH - seconds(first)),
            ),
            times(
                Duration::ZERO,
                Some(SystemTime::UNIX_EPOCH + seconds(last) + Duration::from_millis(999)),
            ),
        ] {
            for codec in [Codec::Protobuf, Codec::Postcard] {
                let mut out = BytesMut::new();
                value.encode(codec, &mut out).unwrap();
                assert_eq!(Times::decode(codec, out.freeze()).unwrap(), value);
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_refused_and_the_next_message_is_not() {
        let second = Duration::from_secs(1);
        let seconds = |seconds: i64| Duration::from_secs(seconds.unsigned_abs());
        let (first, last) = TIMESTAMP_SECONDS.into_inner();
        let before = SystemTime::UNIX_EPOCH - seconds(first) - Duration::from_millis(1);
        let after = SystemTime::UNIX_EPOCH + seconds(last) + second;
        for (value, says) in [
            (times(Duration::MAX, None), DURATION_RANGE),
            (
                times(seconds(*DURATION_SECONDS.end()) + second, None),
                DURATION_RANGE,
            ),
            (times(second, Some(before)), TIMESTAMP_RANGE),
            (times(second, Some(after)), TIMESTAMP_RANGE),
        ] {
            for codec in [Codec::Protobuf, Codec::Postcard] {
                let mut out = BytesMut::new();
                let status = value.encode(codec, &mut out).unwrap_err();
                assert_eq!(status.code(), Code::Internal);
                assert!(status.message().contains(says), "{status}");
                times(second, None).encode(codec, &mut out).unwrap();
            }
        }
    }

    #[test]
    fn what_is_out_of_range_is_not_received() {
        // wait { seconds: i64::MAX }, and at { seconds: 253402300800 }
        let max: &[u8] = b"\x0a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f";
        let year_10000: &[u8] = b"\x12\x07\x08\x80\x83\xd1\xff\xaf\x07";
        for bytes in [max, year_10000] {
            let received = Times::decode(Codec::Protobuf, Bytes::from_static(bytes));
            let status = received.unwrap_err();
            assert!(status.message().contains("google.protobuf."), "{status}");
        }
    }
}
