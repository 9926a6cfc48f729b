//! As much of FlatBuffers as Arrow's metadata needs. Every read is checked: a damaged message gives `None`.

/// A table, by the position of its first byte.
#[derive(Clone, Copy)]
pub(crate) struct Table<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// Bytes `at..at + N`.
pub(crate) fn read<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(read(bytes, at)?)).ok()
}

impl<'a> Table<'a> {
    /// The root table of a buffer.
    pub(crate) fn root(bytes: &'a [u8]) -> Option<Table<'a>> {
        Some(Table { bytes, at: offset(bytes, 0)? })
    }

    /// The position of a field, `None` where it has its default.
    fn field(&self, slot: usize) -> Option<usize> {
        let back = i32::from_le_bytes(read(self.bytes, self.at)?);
        let vtable = usize::try_from(i64::try_from(self.at).ok()? - i64::from(back)).ok()?;
        let entry = 4 + 2 * slot;
        let size = u16::from_le_bytes(read(self.bytes, vtable)?);
        if entry + 2 > usize::from(size) {
            return None;
        }
        match u16::from_le_bytes(read(self.bytes, vtable + entry)?) {
            0 => None,
            distance => self.at.checked_add(distance.into()),
        }
    }

    /// A scalar of `N` bytes, little-endian.
    pub(crate) fn scalar<const N: usize>(&self, slot: usize) -> Option<[u8; N]> {
        read(self.bytes, self.field(slot)?)
    }

    pub(crate) fn i16(&self, slot: usize, default: i16) -> i16 {
        self.scalar(slot).map_or(default, i16::from_le_bytes)
    }

    pub(crate) fn i32(&self, slot: usize, default: i32) -> i32 {
        self.scalar(slot).map_or(default, i32::from_le_bytes)
    }

    pub(crate) fn i64(&self, slot: usize, default: i64) -> i64 {
        self.scalar(slot).map_or(default, i64::from_le_bytes)
    }

    pub(crate) fn u8(&self, slot: usize, default: u8) -> u8 {
        self.scalar(slot).map_or(default, u8::from_le_bytes)
    }

    fn follow(&self, slot: usize) -> Option<usize> {
        let at = self.field(slot)?;
        at.checked_add(offset(self.bytes, at)?)
    }

    pub(crate) fn table(&self, slot: usize) -> Option<Table<'a>> {
        Some(Table { bytes: self.bytes, at: self.follow(slot)? })
    }

    pub(crate) fn has(&self, slot: usize) -> bool {
        self.field(slot).is_some()
    }

    /// The elements of a vector of structs of `N` bytes.
    pub(crate) fn structs<const N: usize>(&self, slot: usize) -> Option<&'a [[u8; N]]> {
        let at = self.follow(slot)?;
        let bytes = offset(self.bytes, at)?.checked_mul(N)?;
        let start = at.checked_add(4)?;
        let (structs, _) = self.bytes.get(start..start.checked_add(bytes)?)?.as_chunks();
        Some(structs)
    }

    /// The elements of a vector of tables.
    pub(crate) fn tables(&self, slot: usize) -> Option<impl Iterator<Item = Option<Table<'a>>> + use<'a>> {
        let bytes = self.bytes;
        let start = self.follow(slot)?.checked_add(4)?;
        let entries = self.structs::<4>(slot)?;
        Some(entries.iter().enumerate().map(move |(i, distance)| {
            let at = start + 4 * i;
            Some(Table { bytes, at: at.checked_add(usize::try_from(u32::from_le_bytes(*distance)).ok()?)? })
        }))
    }

    pub(crate) fn text(&self, slot: usize) -> Option<&'a str> {
        std::str::from_utf8(self.structs::<1>(slot)?.as_flattened()).ok()
    }
}
