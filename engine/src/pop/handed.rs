//! Messages that were handed out, on their way to who is to have them.

use std::sync::Arc;

use super::Pop;
use super::returns::Returned;
use crate::model::Popped;
use crate::state::HandOutKey;

/// Messages that were handed out. Whoever lets go of them without [`HandedMessages::received`], because the one who has asked has
/// gone for instance, gives them back: others are handed them at once, and that it was tried does not count.
#[derive(Debug)]
pub struct HandedMessages {
    all: Arc<Pop>,
    popped: Vec<Popped>,
    /// Empty once they are received.
    hand_outs: Vec<HandOutKey>,
}

impl HandedMessages {
    pub(super) fn new(all: &Arc<Pop>, popped: Vec<Popped>, hand_outs: Vec<HandOutKey>) -> HandedMessages {
        HandedMessages { all: Arc::clone(all), popped, hand_outs }
    }

    pub fn messages(&self) -> &[Popped] {
        &self.popped
    }

    pub fn is_empty(&self) -> bool {
        self.popped.is_empty()
    }

    /// They are with who has asked for them, as far as can be known.
    pub fn received(mut self) -> Vec<Popped> {
        self.hand_outs.clear();
        std::mem::take(&mut self.popped)
    }
}

impl Drop for HandedMessages {
    fn drop(&mut self) {
        let hand_outs = std::mem::take(&mut self.hand_outs);
        if !hand_outs.is_empty() {
            self.all.returns.add(Returned::unreceived(hand_outs));
        }
    }
}
