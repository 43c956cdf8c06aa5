//! Which lane a key belongs to, as the clients in the wild compute it.

use super::position::Lane;

const FNV_OFFSET: u32 = 0x811c_9dc5;
const FNV_PRIME: u32 = 0x0100_0193;
const MURMUR2_SEED: u32 = 0x9747_b28c;
const MURMUR2_M: u32 = 0x5bd1_e995;

/// A way from key to lane; stamped with the log, the same for all that is appended.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    serde::Serialize,
    serde::Deserialize,
    bincode::Encode,
    bincode::Decode,
)]
#[serde(rename_all = "snake_case")]
pub enum Partitioner {
    /// Java's and kafkajs's default: murmur2 with the sign bit dropped.
    #[default]
    Murmur2,
    /// librdkafka's default (so Python's, .NET's, Go's confluent client): CRC-32.
    Crc32,
    /// Sarama's default: 32-bit FNV-1a, the signed remainder made positive.
    Fnv1a,
}

impl Partitioner {
    /// Every one, in the order in which they are tried against a topic's records.
    pub const ALL: [Self; 3] = [Self::Murmur2, Self::Crc32, Self::Fnv1a];

    /// Stable lower-case name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Murmur2 => "murmur2",
            Self::Crc32 => "crc32",
            Self::Fnv1a => "fnv1a",
        }
    }

    /// The home lane of a key among `lanes`; 0 when there are none.
    pub fn lane(self, key: &[u8], lanes: u16) -> Lane {
        let count = u32::from(lanes.max(1));
        let lane = match self {
            Self::Murmur2 => (murmur2(key) & 0x7fff_ffff) % count,
            Self::Crc32 => crc32fast::hash(key) % count,
            Self::Fnv1a => fnv1a(key).cast_signed().unsigned_abs() % count,
        };
        Lane(lane as u16)
    }
}

impl std::fmt::Display for Partitioner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `org.apache.kafka.common.utils.Utils.murmur2`, as its unsigned bits.
pub fn murmur2(key: &[u8]) -> u32 {
    let mut hash = MURMUR2_SEED ^ (key.len() as u32);
    let (words, rest) = key.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(MURMUR2_M);
        k = (k ^ (k >> 24)).wrapping_mul(MURMUR2_M);
        hash = hash.wrapping_mul(MURMUR2_M) ^ k;
    }
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MURMUR2_M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MURMUR2_M);
    hash ^ (hash >> 15)
}

/// 32-bit FNV-1a, Go's `fnv.New32a`.
pub fn fnv1a(key: &[u8]) -> u32 {
    key.iter().fold(FNV_OFFSET, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(FNV_PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From Kafka's own `UtilsTest.testMurmur2`.
    #[test]
    fn murmur2_agrees_with_java() {
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
            let lane = (i64::from(hash) & 0x7fff_ffff) % 7;
            assert_eq!(i64::from(Partitioner::Murmur2.lane(key.as_bytes(), 7).0), lane);
        }
    }

    /// The check value of CRC-32/ISO-HDLC, which librdkafka's `rd_crc32` is.
    #[test]
    fn crc32_agrees_with_librdkafka() {
        assert_eq!(Partitioner::Crc32.lane(b"123456789", 1000).0, (0xcbf4_3926_u32 % 1000) as u16);
        assert_eq!(Partitioner::Crc32.lane(b"", 8), Lane(0));
    }

    /// From the FNV reference vectors; Sarama takes the sum as an int32.
    #[test]
    fn fnv1a_agrees_with_sarama() {
        for (key, hash) in [("", 0x811c_9dc5_u32), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968)] {
            assert_eq!(fnv1a(key.as_bytes()), hash);
            let remainder = (hash.cast_signed() % 12).abs();
            assert_eq!(i32::from(Partitioner::Fnv1a.lane(key.as_bytes(), 12).0), remainder);
        }
    }

    #[test]
    fn no_lanes_is_lane_zero() {
        assert!(Partitioner::ALL.iter().all(|each| each.lane(b"x", 0) == Lane(0)));
    }
}
