//! The plugin host against real guests: built from source by `scripts/build-guests`, or written by hand in Wasm text.

mod caching;
mod checkbacks;
mod composed;
mod consumers;
mod contract;
mod equivalence;
mod evil;
mod functions;
mod handmade;
mod harness;
mod http;
mod languages;
mod lookups;
mod rooms;
mod sharing;
mod siblings;
mod transforms;
mod watched;
mod web;
