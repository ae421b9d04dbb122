//! [`Gzip`]: compresses its input in memory that it reserves first.
//!
//! Compression libraries allocate as they go, and abort when memory runs out. This is the simplest
//! form that every reader unpacks: matches within the last 32 KiB, in the fixed codes of the
//! format.
//!
//! Specifications: RFC 1951 (deflate) and RFC 1952 (gzip).

use super::pages::{NoMemory, Pages};

/// The maximum distance of a match.
const WINDOW: usize = 1 << 15;
/// The size of the input buffer. A full buffer is compressed; its second half stays for matches.
const INPUT: usize = 4 * WINDOW;
const HASH_BITS: u32 = 15;
const SHORTEST: usize = 4;
const LONGEST: usize = 258;
/// How many earlier positions with the same hash are compared.
const PROBES: usize = 8;
/// The length of a match that ends the search for a longer one.
const LONG_ENOUGH: usize = 64;

/// The only compression method there is; no flags, no time, no system.
const HEADER: [u8; 10] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 0xFF];

/// The shortest match of each length code, from 257, and its number of extra bits.
const LENGTHS: [(u16, u8); 29] = codes(3, 4);
/// The shortest distance of each distance code, and its number of extra bits.
const DISTANCES: [(u16, u8); 30] = codes(1, 2);

/// Codes from `first`, in groups of `group`: one value per code in the first two groups, then twice
/// as many values per code in each group as in the one before.
const fn codes<const COUNT: usize>(first: u16, group: usize) -> [(u16, u8); COUNT] {
    let mut codes = [(0, 0); COUNT];
    let (mut at, mut base) = (0, first);
    while at < COUNT {
        let extra = (at / group).saturating_sub(1) as u32;
        codes[at] = (base, extra as u8);
        base = base.wrapping_add(1 << extra);
        at += 1;
    }
    // The longest match has a code of its own.
    if COUNT == 29 {
        codes[28] = (LONGEST as u16, 0);
    }
    codes
}

pub(super) struct Gzip {
    /// The last bytes of the input. Those up to `packed` are compressed, and stay for matches.
    input: Pages<u8>,
    packed: usize,
    /// How many bytes of the whole input precede `input`; it may wrap.
    before: u32,
    /// The last position in the whole input of each hash of four bytes.
    heads: Pages<u32>,
    /// The previous position with the same hash, for each position in the window.
    chain: Pages<u32>,
    output: Pages<u8>,
    /// Bits that do not form a whole byte yet, lowest first.
    bits: u64,
    bit_count: u32,
    checksum: flate2::Crc,
}

impl Gzip {
    pub(super) fn new() -> Result<Gzip, NoMemory> {
        let mut input = Pages::zeroed(INPUT)?;
        input.clear();
        let mut gzip = Gzip {
            input,
            packed: 0,
            before: 0,
            heads: Pages::zeroed(1 << HASH_BITS)?,
            chain: Pages::zeroed(WINDOW)?,
            output: Pages::new(),
            bits: 0,
            bit_count: 0,
            checksum: flate2::Crc::new(),
        };
        gzip.output.extend(&HEADER)?;
        gzip.begin_block(false)?;
        Ok(gzip)
    }

    pub(super) fn write(&mut self, mut bytes: &[u8]) -> Result<(), NoMemory> {
        self.checksum.update(bytes);
        while !bytes.is_empty() {
            if self.input.len() == INPUT {
                self.pack()?;
                self.slide();
            }
            let (now, later) = bytes.split_at(bytes.len().min(INPUT - self.input.len()));
            self.input.extend(now)?;
            bytes = later;
        }
        Ok(())
    }

    /// Finishes the file and returns it.
    pub(super) fn finish(mut self) -> Result<Pages<u8>, NoMemory> {
        self.pack()?;
        self.symbol(256)?;
        self.begin_block(true)?;
        self.symbol(256)?;
        // Pads to the next byte.
        self.put(0, self.bit_count.wrapping_neg() % 8)?;
        self.flush()?;
        self.output.extend(&self.checksum.sum().to_le_bytes())?;
        self.output.extend(&self.checksum.amount().to_le_bytes())?;
        Ok(self.output)
    }

    #[cfg(test)]
    pub(super) fn mapped(&self) -> usize {
        self.input.mapped() + self.heads.mapped() + self.chain.mapped() + self.output.mapped()
    }

    fn slide(&mut self) {
        let gone = self.input.len() - WINDOW;
        self.input.copy_within(gone.., 0);
        self.input.truncate(WINDOW);
        self.packed = WINDOW;
        self.before = self.before.wrapping_add(gone as u32);
    }

    fn pack(&mut self) -> Result<(), NoMemory> {
        let mut at = self.packed;
        while at < self.input.len() {
            let (len, distance) = self.longest_match(at);
            if len < SHORTEST {
                self.symbol(self.input[at].into())?;
                at += 1;
                continue;
            }
            self.matched(len, distance)?;
            for inside in at + 1..at + len {
                self.note(inside);
            }
            at += len;
        }
        self.packed = at;
        Ok(())
    }

    /// Records the hash at `at`, and returns the last position in the whole input with the same
    /// hash.
    fn note(&mut self, at: usize) -> Option<u32> {
        let four: [u8; SHORTEST] = self.input.get(at..at + SHORTEST)?.try_into().ok()?;
        let hash = u32::from_le_bytes(four).wrapping_mul(0x9E37_79B1) >> (32 - HASH_BITS);
        let place = self.before.wrapping_add(at as u32);
        let last = std::mem::replace(&mut self.heads[hash as usize], place);
        self.chain[place as usize % WINDOW] = last;
        Some(last)
    }

    /// The longest match found for the bytes at `at`: its length and its distance.
    fn longest_match(&mut self, at: usize) -> (usize, usize) {
        let (mut longest, mut nearest) = (0, 0);
        let Some(mut place) = self.note(at) else {
            return (0, 0);
        };
        let rest = &self.input[at..];
        let rest = &rest[..rest.len().min(LONGEST)];
        let mut least = 0;
        for _ in 0..PROBES {
            let distance = self.before.wrapping_add(at as u32).wrapping_sub(place) as usize;
            // NOTE: a stale or unset position is harmless. It only costs a comparison.
            if distance <= least || distance > at.min(WINDOW) {
                break;
            }
            let earlier = &self.input[at - distance..];
            if earlier.get(longest) == rest.get(longest) {
                let same = common_prefix(rest, earlier);
                if same > longest {
                    (longest, nearest) = (same, distance);
                }
            }
            if longest >= rest.len().min(LONG_ENOUGH) {
                break;
            }
            least = distance;
            place = self.chain[place as usize % WINDOW];
        }
        (longest, nearest)
    }

    fn matched(&mut self, len: usize, distance: usize) -> Result<(), NoMemory> {
        let code = LENGTHS.partition_point(|&(least, _)| usize::from(least) <= len) - 1;
        let (least, extra) = LENGTHS[code];
        self.symbol(257 + code as u32)?;
        self.put((len - usize::from(least)) as u32, extra.into())?;
        let code = DISTANCES.partition_point(|&(least, _)| usize::from(least) <= distance) - 1;
        let (least, extra) = DISTANCES[code];
        self.put((code as u32).reverse_bits() >> (32 - 5), 5)?;
        self.put((distance - usize::from(least)) as u32, extra.into())
    }

    /// Begins a block with the fixed codes of the format.
    fn begin_block(&mut self, is_last: bool) -> Result<(), NoMemory> {
        self.put(u32::from(is_last) | 1 << 1, 3)
    }

    /// Writes a literal, a length code or the end of the block.
    fn symbol(&mut self, symbol: u32) -> Result<(), NoMemory> {
        let (code, bits) = match symbol {
            0..144 => (0x30 + symbol, 8),
            144..256 => (0x190 + symbol - 144, 9),
            256..280 => (symbol - 256, 7),
            _ => (0xC0 + symbol - 280, 8),
        };
        self.put(code.reverse_bits() >> (32 - bits), bits)
    }

    fn put(&mut self, value: u32, bits: u32) -> Result<(), NoMemory> {
        self.bits |= u64::from(value) << self.bit_count;
        self.bit_count += bits;
        if self.bit_count >= 32 {
            self.flush()?;
        }
        Ok(())
    }

    /// Writes all whole bytes.
    fn flush(&mut self) -> Result<(), NoMemory> {
        let whole = self.bit_count / 8;
        let bytes = self.bits.to_le_bytes();
        self.output.extend(&bytes[..whole as usize])?;
        self.bits = self.bits.checked_shr(8 * whole).unwrap_or(0);
        self.bit_count %= 8;
        Ok(())
    }
}

/// The length of the common prefix.
fn common_prefix(one: &[u8], other: &[u8]) -> usize {
    let words = one.as_chunks::<8>().0.iter();
    let words = words.zip(other.as_chunks::<8>().0);
    let same = 8 * words.take_while(|(a, b)| a == b).count();
    let rest = one[same..].iter().zip(&other[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[track_caller]
    fn check(input: &[u8], part: usize) -> usize {
        let mut gzip = Gzip::new().unwrap();
        input
            .chunks(part)
            .for_each(|part| gzip.write(part).unwrap());
        let packed = gzip.finish().unwrap();
        let mut unpacked = Vec::new();
        let mut reader = flate2::read::MultiGzDecoder::new(&packed[..]);
        reader.read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == input, "{} bytes by {part}", input.len());
        packed.len()
    }

    fn random(len: usize, values: u64) -> Vec<u8> {
        let mut state = 0x2545_F491_4F6C_DD1D_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 33) % values
        };
        (0..len).map(|_| next() as u8).collect()
    }

    #[test]
    fn unpacking_restores_the_input() {
        check(b"", 1);
        check(b"a", 1);
        check(b"abcabcabcabcabc", 2);
        for len in [
            1,
            257,
            258,
            259,
            WINDOW,
            INPUT - 1,
            INPUT,
            INPUT + 1,
            300_000,
        ] {
            for values in [1, 2, 20, 256] {
                check(&random(len, values), len.min(4000));
            }
        }
    }

    #[test]
    fn matches_of_every_length_and_distance_are_correct() {
        let noise = random(WINDOW, 256);
        let mut input = noise.clone();
        for len in SHORTEST..300 {
            let start = (len * 109) % (WINDOW - 300);
            input.extend_from_slice(&noise[start..start + len]);
            input.push(len as u8);
        }
        for distance in (1..WINDOW).step_by(97) {
            let start = input.len() - distance;
            let len = distance.min(9);
            input.extend_from_within(start..start + len);
        }
        check(&input, 1000);
    }

    #[test]
    fn codes_match_the_specification() {
        assert_eq!(LENGTHS[8..12], [(11, 1), (13, 1), (15, 1), (17, 1)]);
        assert_eq!(LENGTHS[27..], [(227, 5), (258, 0)]);
        assert_eq!(DISTANCES[3..7], [(4, 0), (5, 1), (7, 1), (9, 2)]);
        assert_eq!(DISTANCES[29], (24577, 13));
    }

    #[test]
    fn repetitions_compress_well() {
        let part = random(500, 256);
        let input = part.repeat(400);
        assert!(check(&input, 500) < 6000);
    }
}
