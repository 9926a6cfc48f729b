//! Continuous topics: rows of tables are read in the order of commits, windows close as event time goes on, and what comes of them is
//! rows of a table.
//!
//! What a topic computes is the business of its plan ([`crate::contract::ContinuousPlan`]). This room reads the sources from one instant
//! to the next (`read`), says how far event time had come before each (`watermark`), and has what closes, what came late, the state
//! and the position on record in one submission (`commit`), which is refused unless the position is still what it was and the topic runs
//! in this version. So nothing lasts here: whatever ends, ends as of its last step, and a run is thrown away and read back.
//!
//! A step is made when something is to be said, or enough has come; between steps a run is ahead of the record. History and what
//! comes now are read the same way. Threads of the room take turns (`board`), a topic a turn at a time; one that has nothing to do is
//! told of rows by the apply thread, and of the time at which its next window closes by the board.
//!
//! A topic that reads another's output goes by the watermark that the other has on record with it. It says how far that has to come
//! for its own windows, so that the other has it on record also where no row tells of it.

mod board;
mod commit;
mod handle;
mod loaded;
mod needs;
mod read;
mod running;
mod standing;
mod turn;
mod watermark;
mod worker;

pub(crate) use handle::ContinuousTopics;
