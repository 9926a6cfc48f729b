//! Columns that a plugin gives, and what they are built with.

use crate::{DataType, Native};

/// A finished column: the answer of a function, or one column of a transform's.
pub struct Column {
    rows: usize,
    nulls: usize,
    /// One bit a row; empty where there are no nulls.
    validity: Vec<u8>,
    values: Values,
    fits: fn(DataType) -> bool,
    made_of: &'static str,
}

enum Values {
    Fixed(Vec<u8>),
    /// `rows + 1` offsets of 4 bytes, and what they point into.
    Variable(Vec<u8>, Vec<u8>),
}

impl Column {
    /// A column of numbers, dates or times; `T` is the type that [`DataType`] says it is read as.
    pub fn primitive<T: Native>(values: impl IntoIterator<Item = Option<T>>) -> Column {
        let values = values.into_iter();
        let mut builder = PrimitiveBuilder::with_capacity(values.size_hint().0);
        values.for_each(|value| builder.push_option(value));
        builder.finish()
    }

    /// A column of truth values.
    pub fn boolean(values: impl IntoIterator<Item = Option<bool>>) -> Column {
        let mut builder = BooleanBuilder::default();
        values.into_iter().for_each(|value| builder.push_option(value));
        builder.finish()
    }

    /// A column of texts.
    pub fn utf8<S: AsRef<str>>(values: impl IntoIterator<Item = Option<S>>) -> Column {
        let mut builder = Utf8Builder::default();
        values.into_iter().for_each(|value| builder.push_option(value.as_ref().map(AsRef::as_ref)));
        builder.finish()
    }

    /// A column of byte strings.
    pub fn binary<B: AsRef<[u8]>>(values: impl IntoIterator<Item = Option<B>>) -> Column {
        let mut builder = BinaryBuilder::default();
        values.into_iter().for_each(|value| builder.push_option(value.as_ref().map(AsRef::as_ref)));
        builder.finish()
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Whether it can stand for a column of a declared type.
    pub fn fits(&self, data_type: DataType) -> bool {
        (self.fits)(data_type)
    }

    /// What it is made of, for error messages: `i64`, `text`.
    pub fn made_of(&self) -> &'static str {
        self.made_of
    }

    pub(crate) fn null_count(&self) -> usize {
        self.nulls
    }

    pub(crate) fn buffers(&self) -> impl Iterator<Item = &[u8]> {
        let (first, second) = match &self.values {
            Values::Fixed(values) => (values, None),
            Values::Variable(offsets, data) => (offsets, Some(data)),
        };
        [&self.validity, first].into_iter().chain(second).map(Vec::as_slice)
    }

    /// Numbers with the nulls of another column.
    pub(crate) fn mapped<T: Native>(values: Vec<u8>, validity: Option<&[u8]>, rows: usize) -> Column {
        let mut validity = validity.map(<[u8]>::to_vec).unwrap_or_default();
        if let (Some(last), rest @ 1..) = (validity.last_mut(), rows % 8) {
            *last &= (1 << rest) - 1;
        }
        let valid: usize = validity.iter().map(|byte| byte.count_ones() as usize).sum();
        let nulls = if validity.is_empty() { 0 } else { rows - valid };
        Column { rows, nulls, validity, values: Values::Fixed(values), fits: T::reads, made_of: type_name::<T>() }
    }
}

fn type_name<T>() -> &'static str {
    std::any::type_name::<T>()
}

/// Bits of rows that are not null.
#[derive(Default)]
struct Validity {
    bits: Vec<u8>,
    rows: usize,
    nulls: usize,
}

impl Validity {
    fn push(&mut self, valid: bool) {
        push_bit(&mut self.bits, self.rows, valid);
        self.rows += 1;
        self.nulls += usize::from(!valid);
    }

    fn finish(self, values: Values, fits: fn(DataType) -> bool, made_of: &'static str) -> Column {
        let validity = if self.nulls == 0 { Vec::new() } else { self.bits };
        Column { rows: self.rows, nulls: self.nulls, validity, values, fits, made_of }
    }
}

fn push_bit(bits: &mut Vec<u8>, row: usize, bit: bool) {
    if row.is_multiple_of(8) {
        bits.push(0);
    }
    if let Some(last) = bits.last_mut() {
        *last |= u8::from(bit) << (row % 8);
    }
}

/// Builds a column of numbers, dates or times.
pub struct PrimitiveBuilder<T: Native> {
    validity: Validity,
    values: Vec<u8>,
    of: std::marker::PhantomData<T>,
}

impl<T: Native> PrimitiveBuilder<T> {
    pub fn with_capacity(rows: usize) -> Self {
        let values = Vec::with_capacity(rows.saturating_mul(size_of::<T>()));
        PrimitiveBuilder { validity: Validity::default(), values, of: std::marker::PhantomData }
    }

    pub fn push(&mut self, value: T) {
        self.validity.push(true);
        value.write(&mut self.values);
    }

    pub fn push_null(&mut self) {
        self.validity.push(false);
        self.values.resize(self.values.len() + size_of::<T>(), 0);
    }

    pub fn push_option(&mut self, value: Option<T>) {
        match value {
            Some(value) => self.push(value),
            None => self.push_null(),
        }
    }

    pub fn finish(self) -> Column {
        self.validity.finish(Values::Fixed(self.values), T::reads, type_name::<T>())
    }
}

/// Builds a column of truth values.
#[derive(Default)]
pub struct BooleanBuilder {
    validity: Validity,
    bits: Vec<u8>,
}

impl BooleanBuilder {
    pub fn push_option(&mut self, value: Option<bool>) {
        push_bit(&mut self.bits, self.validity.rows, value.unwrap_or(false));
        self.validity.push(value.is_some());
    }

    pub fn finish(self) -> Column {
        self.validity.finish(Values::Fixed(self.bits), |t| t == DataType::Boolean, "truth values")
    }
}

/// Builds a column of byte strings.
pub struct BinaryBuilder {
    validity: Validity,
    offsets: Vec<u8>,
    data: Vec<u8>,
}

impl Default for BinaryBuilder {
    fn default() -> Self {
        BinaryBuilder { validity: Validity::default(), offsets: vec![0; 4], data: Vec::new() }
    }
}

impl BinaryBuilder {
    /// Panics when all values together pass 2 GiB, which is more than a plugin can have.
    pub fn push_option(&mut self, value: Option<&[u8]>) {
        self.data.extend_from_slice(value.unwrap_or_default());
        let end = i32::try_from(self.data.len()).expect("a column holds less than 2 GiB");
        self.offsets.extend(end.to_le_bytes());
        self.validity.push(value.is_some());
    }

    pub fn finish(self) -> Column {
        self.finish_as(|t| t == DataType::Binary, "bytes")
    }

    fn finish_as(self, fits: fn(DataType) -> bool, made_of: &'static str) -> Column {
        self.validity.finish(Values::Variable(self.offsets, self.data), fits, made_of)
    }
}

/// Builds a column of texts.
#[derive(Default)]
pub struct Utf8Builder(BinaryBuilder);

impl Utf8Builder {
    pub fn push_option(&mut self, value: Option<&str>) {
        self.0.push_option(value.map(str::as_bytes));
    }

    pub fn finish(self) -> Column {
        self.0.finish_as(|t| t == DataType::Utf8, "text")
    }
}
