//! As much of FlatBuffers as Arrow's metadata needs, for writing. Everything is written forwards: an offset is filled in
//! when what it points to is written.

/// A buffer that begins with the offset of its root table.
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

/// One field of a table.
pub(crate) enum Slot {
    /// It has its default.
    Absent,
    U8(u8),
    I16(i16),
    I32(i32),
    I64(i64),
    /// Something that is written later; see [`Writer::table`].
    Offset,
}

/// An offset that is yet to be filled in.
#[must_use]
pub(crate) struct Pending(usize);

impl Slot {
    fn width(&self) -> usize {
        match self {
            Slot::Absent => 0,
            Slot::U8(_) => 1,
            Slot::I16(_) => 2,
            Slot::I32(_) | Slot::Offset => 4,
            Slot::I64(_) => 8,
        }
    }
}

impl Writer {
    /// Begins with a root table of these fields, and gives its offsets in their order.
    pub(crate) fn new<const OFFSETS: usize>(root: &[Slot]) -> (Writer, [Pending; OFFSETS]) {
        let mut writer = Writer { bytes: vec![0; 4] };
        let offsets = writer.table(Pending(0), root);
        (writer, offsets)
    }

    /// Writes a table where `at` points to; gives its offsets in the order of its fields.
    pub(crate) fn table<const OFFSETS: usize>(&mut self, at: Pending, fields: &[Slot]) -> [Pending; OFFSETS] {
        // Where each field lies behind the table's beginning, aligned to its width.
        let (mut places, mut size) = (Vec::with_capacity(fields.len()), 4_usize);
        for field in fields {
            let width = field.width().max(1);
            size = size.next_multiple_of(width);
            places.push(if matches!(field, Slot::Absent) { 0 } else { size });
            size += field.width();
        }
        let vtable = 4 + 2 * fields.len();
        while !(self.bytes.len() + vtable).is_multiple_of(8) {
            self.bytes.push(0);
        }
        for entry in [vtable, size].into_iter().chain(places.iter().copied()) {
            self.bytes.extend(u16::try_from(entry).unwrap_or(u16::MAX).to_le_bytes());
        }
        let table = self.bytes.len();
        self.fill(at, table);
        self.bytes.extend(u32::try_from(vtable).unwrap_or(u32::MAX).to_le_bytes());
        let mut offsets = Vec::with_capacity(OFFSETS);
        for (field, place) in fields.iter().zip(places) {
            self.bytes.resize(self.bytes.len().max(table + place), 0);
            match field {
                Slot::Absent => {}
                Slot::U8(value) => self.bytes.push(*value),
                Slot::I16(value) => self.bytes.extend(value.to_le_bytes()),
                Slot::I32(value) => self.bytes.extend(value.to_le_bytes()),
                Slot::I64(value) => self.bytes.extend(value.to_le_bytes()),
                Slot::Offset => {
                    offsets.push(Pending(self.bytes.len()));
                    self.bytes.extend([0; 4]);
                }
            }
        }
        offsets.try_into().unwrap_or_else(|_| unreachable!("as many offsets are taken as the table has"))
    }

    /// Writes a vector of structs of two numbers.
    pub(crate) fn pairs(&mut self, at: Pending, pairs: impl ExactSizeIterator<Item = (i64, i64)>) {
        // The length stands before the first element, which is aligned to 8 bytes.
        while self.bytes.len() % 8 != 4 {
            self.bytes.push(0);
        }
        self.begin_vector(at, pairs.len());
        for (first, second) in pairs {
            self.bytes.extend(first.to_le_bytes());
            self.bytes.extend(second.to_le_bytes());
        }
    }

    /// Writes a vector of tables, to be written one by one.
    pub(crate) fn tables(&mut self, at: Pending, count: usize) -> Vec<Pending> {
        self.align(4);
        self.begin_vector(at, count);
        let offsets = (0..count).map(|i| Pending(self.bytes.len() + 4 * i)).collect();
        self.bytes.resize(self.bytes.len() + 4 * count, 0);
        offsets
    }

    pub(crate) fn text(&mut self, at: Pending, text: &str) {
        self.align(4);
        self.begin_vector(at, text.len());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }

    fn begin_vector(&mut self, at: Pending, length: usize) {
        self.fill(at, self.bytes.len());
        self.bytes.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    /// Offsets count from where they stand.
    fn fill(&mut self, Pending(at): Pending, target: usize) {
        let distance = u32::try_from(target - at).unwrap_or(u32::MAX);
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&distance.to_le_bytes());
        }
    }
}
