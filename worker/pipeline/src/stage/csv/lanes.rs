//! Sixteen bytes at a time, in safe code: the few vector operations the scanner is made of.
//!
//! A thin layer over `wide`, which uses SSE2 and NEON where they are the target's baseline, so nothing is detected at run
//! time.

use wide::u8x16;

/// A vector of bytes.
pub(in crate::stage) type V = u8x16;

#[inline(always)]
pub(in crate::stage) fn load(bytes: &[u8; 16]) -> V {
    u8x16::new(*bytes)
}

#[inline(always)]
pub(in crate::stage) fn splat(byte: u8) -> V {
    u8x16::splat(byte)
}

/// All ones where the bytes are equal, else zero.
#[inline(always)]
pub(in crate::stage) fn eq(a: V, b: V) -> V {
    a.simd_eq(b)
}

/// All ones where the byte is an ASCII digit, else zero.
#[inline(always)]
pub(in crate::stage) fn digit(a: V) -> V {
    let value = a - splat(b'0');
    eq(value.min(splat(9)), value)
}

/// One bit a byte, byte 0 lowest, of four vectors whose bytes are all ones or all zeros.
#[inline(always)]
pub(in crate::stage) fn mask(v: [V; 4]) -> u64 {
    let bits = v.map(|v| u64::from(v.to_bitmask()));
    bits[0] | bits[1] << 16 | bits[2] << 32 | bits[3] << 48
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operations_are_what_they_say() {
        let bytes: [u8; 64] = std::array::from_fn(|i| (i * 37 % 256) as u8);
        let v: [V; 4] = std::array::from_fn(|i| load(bytes.as_chunks().0.get(i).unwrap()));
        let expect = |f: &dyn Fn(u8) -> bool| {
            bytes.iter().rev().fold(0u64, |bits, &byte| bits << 1 | u64::from(f(byte)))
        };
        assert_eq!(mask(v.map(|v| eq(v, splat(74)))), expect(&|b| b == 74));
        assert_eq!(mask(v.map(|v| eq(v, splat(0)) | eq(v, splat(37)))), expect(&|b| b == 0 || b == 37));
        assert_eq!(mask(v.map(digit)), expect(&|b| b.is_ascii_digit()));
    }
}
