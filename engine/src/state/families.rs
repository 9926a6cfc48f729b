//! The list of families. A new one is a file, and a line here; its records are lines in `record.rs`.

use std::any::{Any, TypeId};

use super::catalog::Catalog;
use super::continuous::Continuous;
use super::due::DueFamily;
use super::family::{Family, Fold};
use super::groups::Groups;
use super::halves::Halves;
use super::identities::IdentityFamily;
use super::keyed::Keyed;
use super::letters::Letters;
use super::pops::Pops;
use super::producers::Producers;
use super::record::Record;
use super::stored::Stored;
#[cfg(test)]
use super::tests::tallies::Tallies;
use super::unlisted::Unlisted;
use super::watermarks::Watermarks;
use crate::model::{Lsn, Result};

macro_rules! families {
    ($($(#[$meta:meta])* $name:ident: $family:ty,)*) => {
        /// All families but the catalog, which the others stand on.
        #[derive(Debug, Default)]
        #[cfg_attr(test, derive(Clone, PartialEq))]
        pub(super) struct Families {
            $($(#[$meta])* pub $name: $family,)*
        }

        impl Families {
            pub(super) fn ahead(&self) -> Families {
                Families { $($(#[$meta])* $name: self.$name.ahead(),)* }
            }

            pub(super) fn all(&self) -> Vec<&dyn Stored> {
                vec![$($(#[$meta])* &self.$name,)*]
            }

            pub(super) fn all_mut(&mut self) -> Vec<&mut dyn Stored> {
                vec![$($(#[$meta])* &mut self.$name,)*]
            }

            pub(super) fn get(&self, of: TypeId) -> Option<&dyn Any> {
                $($(#[$meta])* if of == TypeId::of::<$family>() {
                    return Some(&self.$name);
                })*
                None
            }

            pub(super) fn end_commit(&mut self, last: Lsn, applied: Lsn) {
                $($(#[$meta])* self.$name.end_commit(last, applied);)*
            }

            pub(super) fn apply(&mut self, fold: &Fold<'_>, record: &Record) -> Result<()> {
                $($(#[$meta])* self.$name.apply(fold, record)?;)*
                Ok(())
            }
        }
    };
}

families! {
    continuous: Continuous,
    due: DueFamily,
    groups: Groups,
    halves: Halves,
    identities: IdentityFamily,
    keyed: Keyed,
    letters: Letters,
    pops: Pops,
    producers: Producers,
    unlisted: Unlisted,
    watermarks: Watermarks,
    #[cfg(test)]
    tallies: Tallies,
}

/// The catalog first: what others refer to.
pub(super) fn each_stored<'a>(catalog: &'a Catalog, families: &'a Families) -> impl Iterator<Item = &'a dyn Stored> {
    std::iter::once(catalog as &dyn Stored).chain(families.all())
}

/// As [`each_stored`], to change them.
pub(super) fn each_stored_mut<'a>(
    catalog: &'a mut Catalog,
    families: &'a mut Families,
) -> impl Iterator<Item = &'a mut dyn Stored> {
    std::iter::once(catalog as &mut dyn Stored).chain(families.all_mut())
}
