//! What this thread evaluates, for those that it calls: guests' log lines say where they come from.

use std::cell::RefCell;

use crate::contract::EvaluationPlace;
use crate::model::Offset;

thread_local! {
    static CURRENT: RefCell<Option<EvaluationPlace>> = const { RefCell::new(None) };
    static CHECKBACK: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The checkback that the calling thread asks for, if it does.
pub(crate) fn current_checkback() -> Option<String> {
    CHECKBACK.with_borrow(Clone::clone)
}

/// While it lives, the thread asks for this checkback.
#[derive(Debug)]
pub(crate) struct CheckbackScope(());

impl CheckbackScope {
    pub(crate) fn enter(name: &str) -> CheckbackScope {
        CHECKBACK.set(Some(name.to_owned()));
        CheckbackScope(())
    }
}

impl Drop for CheckbackScope {
    fn drop(&mut self) {
        CHECKBACK.set(None);
    }
}

/// What the calling thread evaluates, if it does: the rows at hand of which topic.
pub fn current_evaluation() -> Option<EvaluationPlace> {
    CURRENT.with_borrow(Clone::clone)
}

/// While it lives, the thread evaluates these rows.
#[derive(Debug)]
pub(crate) struct Scope(());

impl Scope {
    pub(crate) fn enter(place: EvaluationPlace) -> Scope {
        CURRENT.set(Some(place));
        Scope(())
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        CURRENT.set(None);
    }
}

/// The rows at hand are other ones of the same partition, `rows` further on. Gives back where they were.
pub(crate) fn advance(rows: usize) -> Option<Offset> {
    CURRENT.with_borrow_mut(|current| {
        let place = current.as_mut()?;
        let before = place.offset;
        place.offset = before.saturating_add(Offset::try_from(rows).unwrap_or(Offset::MAX));
        Some(before)
    })
}

/// Undoes [`advance`].
pub(crate) fn back(to: Option<Offset>) {
    CURRENT.with_borrow_mut(|current| {
        if let (Some(place), Some(to)) = (current.as_mut(), to) {
            place.offset = to;
        }
    });
}
