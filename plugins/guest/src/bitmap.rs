//! The answer of a filter: one bit a row.

use std::ops::{BitAndAssign, BitOrAssign, Not};

/// Which rows are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bitmap {
    bytes: Vec<u8>,
    rows: usize,
}

impl Bitmap {
    /// No row is kept.
    pub fn none(rows: usize) -> Bitmap {
        Bitmap { bytes: vec![0; rows.div_ceil(8)], rows }
    }

    /// Every row is kept.
    pub fn every(rows: usize) -> Bitmap {
        Bitmap { bytes: vec![0xff; rows.div_ceil(8)], rows }
    }

    /// Keeps the rows for which `keep` is true.
    pub fn from_fn(rows: usize, mut keep: impl FnMut(usize) -> bool) -> Bitmap {
        let mut bitmap = Bitmap::none(rows);
        for (i, byte) in bitmap.bytes.iter_mut().enumerate() {
            for bit in 0..8.min(rows - i * 8) {
                *byte |= u8::from(keep(i * 8 + bit)) << bit;
            }
        }
        bitmap
    }

    /// Keeps the rows whose values `keep` is true of, eight at a time.
    pub(crate) fn test<V>(values: &[V], mut keep: impl FnMut(&V) -> bool) -> Bitmap {
        let mut bitmap = Bitmap::none(values.len());
        let (eights, rest) = values.as_chunks::<8>();
        for (byte, eight) in bitmap.bytes.iter_mut().zip(eights) {
            let mut bits = 0;
            for (i, value) in eight.iter().enumerate() {
                bits |= u8::from(keep(value)) << i;
            }
            *byte = bits;
        }
        for (i, value) in rest.iter().enumerate() {
            bitmap.set(eights.len() * 8 + i, keep(value));
        }
        bitmap
    }

    /// The number of rows that it is about.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether `row` is kept; false past the last row.
    pub fn get(&self, row: usize) -> bool {
        row < self.rows && self.bytes.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1)
    }

    /// Keeps `row`, or not. Nothing happens past the last row.
    pub fn set(&mut self, row: usize, keep: bool) {
        if let (true, Some(byte)) = (row < self.rows, self.bytes.get_mut(row / 8)) {
            *byte = *byte & !(1 << (row % 8)) | u8::from(keep) << (row % 8);
        }
    }

    /// Keeps only rows whose bit is also set in `bits`.
    pub(crate) fn mask(&mut self, bits: &[u8]) {
        for (byte, bits) in self.bytes.iter_mut().zip(bits) {
            *byte &= bits;
        }
    }

    #[doc(hidden)]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// Keeps the rows that both keep. A bitmap of fewer rows keeps none of the missing.
impl BitAndAssign<&Bitmap> for Bitmap {
    fn bitand_assign(&mut self, other: &Bitmap) {
        for (i, byte) in self.bytes.iter_mut().enumerate() {
            *byte &= other.bytes.get(i).copied().unwrap_or(0);
        }
    }
}

/// Keeps the rows that either keeps.
impl BitOrAssign<&Bitmap> for Bitmap {
    fn bitor_assign(&mut self, other: &Bitmap) {
        for (byte, bits) in self.bytes.iter_mut().zip(&other.bytes) {
            *byte |= bits;
        }
    }
}

/// Keeps the rows that it did not.
impl Not for Bitmap {
    type Output = Bitmap;

    fn not(mut self) -> Bitmap {
        self.bytes.iter_mut().for_each(|byte| *byte = !*byte);
        self
    }
}
