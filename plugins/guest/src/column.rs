//! Typed views of columns, over the bytes that the host sent.

use crate::{Bitmap, Column, DataType};

/// Which rows of a column are not null.
#[derive(Clone, Copy)]
pub(crate) struct Validity<'a>(Option<&'a [u8]>);

impl<'a> Validity<'a> {
    pub(crate) fn new(bits: &'a [u8], nulls: i64, rows: usize) -> Option<Validity<'a>> {
        match nulls {
            0 => Some(Validity(None)),
            _ => Some(Validity(Some(bits.get(..rows.div_ceil(8))?))),
        }
    }

    fn is_valid(&self, row: usize) -> bool {
        self.0.is_none_or(|bits| bits.get(row / 8).is_some_and(|byte| byte >> (row % 8) & 1 == 1))
    }

    fn mask(&self, mut bitmap: Bitmap) -> Bitmap {
        if let Some(bits) = self.0 {
            bitmap.mask(bits);
        }
        bitmap
    }
}

/// A Rust type that a column of fixed width is read as.
pub trait Native: Copy + 'static {
    #[doc(hidden)]
    type Bytes: Copy + 'static;
    #[doc(hidden)]
    fn reads(data_type: DataType) -> bool;
    #[doc(hidden)]
    fn read(bytes: &Self::Bytes) -> Self;
    #[doc(hidden)]
    fn write(self, to: &mut Vec<u8>);
    #[doc(hidden)]
    fn split(bytes: &[u8]) -> &[Self::Bytes];
}

macro_rules! native {
    ($($native:ty: $($types:pat_param)|+,)*) => {$(
        impl Native for $native {
            type Bytes = [u8; size_of::<$native>()];

            fn reads(data_type: DataType) -> bool {
                matches!(data_type, $($types)|+)
            }

            #[inline(always)]
            fn read(bytes: &Self::Bytes) -> Self {
                <$native>::from_le_bytes(*bytes)
            }

            #[inline(always)]
            fn write(self, to: &mut Vec<u8>) {
                to.extend_from_slice(&self.to_le_bytes());
            }

            fn split(bytes: &[u8]) -> &[Self::Bytes] {
                bytes.as_chunks().0
            }
        }
    )*};
}

native! {
    i8: DataType::Int8,
    i16: DataType::Int16,
    i32: DataType::Int32 | DataType::Date32,
    i64: DataType::Int64 | DataType::Timestamp { .. },
    u8: DataType::UInt8,
    u16: DataType::UInt16,
    u32: DataType::UInt32,
    u64: DataType::UInt64,
    f32: DataType::Float32,
    f64: DataType::Float64,
    i128: DataType::Decimal128 { .. },
}

/// A column of numbers, dates or times.
pub struct Primitive<'a, T: Native> {
    values: &'a [T::Bytes],
    validity: Validity<'a>,
}

impl<'a, T: Native> Primitive<'a, T> {
    pub(crate) fn new(bytes: &'a [u8], validity: Validity<'a>, rows: usize) -> Option<Self> {
        Some(Primitive { values: T::split(bytes).get(..rows)?, validity })
    }

    /// The value of a row; `None` for null, and past the last row.
    pub fn get(&self, row: usize) -> Option<T> {
        let value = self.values.get(row)?;
        self.validity.is_valid(row).then(|| T::read(value))
    }

    /// Every value in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<T>> {
        (0..self.values.len()).map(|row| self.get(row))
    }

    /// Keeps the rows whose value `keep` is true of; nulls are not kept. Fast, because `keep` is asked about every
    /// slot: also about the arbitrary values beneath nulls, where its answer is dropped.
    pub fn test(&self, mut keep: impl FnMut(T) -> bool) -> Bitmap {
        self.validity.mask(Bitmap::test(self.values, |bytes| keep(T::read(bytes))))
    }

    /// A column of what `change` makes of each value; nulls stay null. Fast, as [`Self::test`] is, and for the same reason
    /// asked about the arbitrary values beneath nulls too.
    pub fn map<U: Native>(&self, mut change: impl FnMut(T) -> U) -> Column {
        let mut values = Vec::with_capacity(self.values.len() * size_of::<U>());
        self.values.iter().for_each(|bytes| change(T::read(bytes)).write(&mut values));
        Column::mapped::<U>(values, self.validity.0, self.values.len())
    }
}

/// A column of truth values.
pub struct Boolean<'a> {
    bits: &'a [u8],
    validity: Validity<'a>,
    rows: usize,
}

impl<'a> Boolean<'a> {
    pub(crate) fn new(bits: &'a [u8], validity: Validity<'a>, rows: usize) -> Option<Self> {
        Some(Boolean { bits: bits.get(..rows.div_ceil(8))?, validity, rows })
    }

    /// The value of a row; `None` for null, and past the last row.
    pub fn get(&self, row: usize) -> Option<bool> {
        let byte = self.bits.get(row / 8).filter(|_| row < self.rows)?;
        self.validity.is_valid(row).then_some(byte >> (row % 8) & 1 == 1)
    }

    /// Every value in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<bool>> {
        (0..self.rows).map(|row| self.get(row))
    }

    /// Keeps the rows that are true; nulls are not kept.
    pub fn is_true(&self) -> Bitmap {
        let mut bitmap = Bitmap::every(self.rows);
        bitmap.mask(self.bits);
        self.validity.mask(bitmap)
    }
}

/// A column of byte strings.
pub struct Binary<'a> {
    /// One more than rows; never decreasing, and the last lies within `data`.
    offsets: &'a [[u8; 4]],
    data: &'a [u8],
    validity: Validity<'a>,
}

impl<'a> Binary<'a> {
    pub(crate) fn new(offsets: &'a [u8], data: &'a [u8], validity: Validity<'a>, rows: usize) -> Option<Self> {
        let offsets = offsets.as_chunks().0.get(..=rows)?;
        Some(Binary { offsets, data, validity })
    }

    /// The value of a row; `None` for null, and past the last row.
    pub fn get(&self, row: usize) -> Option<&'a [u8]> {
        let bytes = self.data.get(self.range(row)?)?;
        self.validity.is_valid(row).then_some(bytes)
    }

    /// Every value in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a [u8]>> {
        (0..self.offsets.len() - 1).map(|row| self.get(row))
    }

    /// Keeps the rows whose value `keep` is true of; nulls are not kept.
    pub fn test(&self, mut keep: impl FnMut(&'a [u8]) -> bool) -> Bitmap {
        Bitmap::from_fn(self.offsets.len() - 1, |row| self.get(row).is_some_and(&mut keep))
    }

    fn range(&self, row: usize) -> Option<std::ops::Range<usize>> {
        let at = |i: usize| usize::try_from(i32::from_le_bytes(*self.offsets.get(i)?)).ok();
        Some(at(row)?..at(row.checked_add(1)?)?)
    }
}

/// A column of texts.
pub struct Utf8<'a> {
    bytes: Binary<'a>,
    data: &'a str,
}

impl<'a> Utf8<'a> {
    pub(crate) fn new(offsets: &'a [u8], data: &'a [u8], validity: Validity<'a>, rows: usize) -> Option<Self> {
        let bytes = Binary::new(offsets, data, validity, rows)?;
        // Checked once for all rows; a row is then a slice between two characters.
        Some(Utf8 { bytes, data: std::str::from_utf8(data).ok()? })
    }

    /// The value of a row; `None` for null, and past the last row.
    pub fn get(&self, row: usize) -> Option<&'a str> {
        let text = self.data.get(self.bytes.range(row)?)?;
        self.bytes.validity.is_valid(row).then_some(text)
    }

    /// Every value in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&'a str>> {
        (0..self.bytes.offsets.len() - 1).map(|row| self.get(row))
    }

    /// Keeps the rows whose value `keep` is true of; nulls are not kept.
    pub fn test(&self, mut keep: impl FnMut(&'a str) -> bool) -> Bitmap {
        Bitmap::from_fn(self.bytes.offsets.len() - 1, |row| self.get(row).is_some_and(&mut keep))
    }
}
