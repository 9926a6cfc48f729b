//! Clients that take what they can get: the server keeps to its bounds, and the others go on.

mod attacks;
mod http;
mod late;
mod memory;
mod queues;
mod raw;
