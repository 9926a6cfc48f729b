//! Write Millstream plugins in Rust.
//!
//! A filter is a type that implements [`Filter`], exported with [`export_filter!`]:
//!
//! ```ignore
//! use millstream_plugin::{Batch, Bitmap, DataType, Filter, Parameter, export_filter};
//!
//! struct LateDepartures;
//!
//! impl Filter for LateDepartures {
//!     const NAME: &'static str = "late-departures";
//!     const PARAMETERS: &'static [Parameter] = &[Parameter::new("dep_delay", DataType::Float32)];
//!
//!     fn open(_config: &str) -> Result<Self, String> {
//!         Ok(LateDepartures)
//!     }
//!
//!     fn filter(&self, batch: &Batch) -> Result<Bitmap, String> {
//!         Ok(batch.primitive::<f32>("dep_delay")?.test(|minutes| minutes > 60.0))
//!     }
//! }
//!
//! export_filter!(LateDepartures);
//! ```
//!
//! A [`Function`] gives a [`Column`] instead, exported with [`export_function!`]; a [`Transform`] gives rows of columns of
//! its own, exported with [`export_transform!`]; a [`Consumer`] follows a topic, keeps [`state`] and writes to tables,
//! exported with [`export_consumer!`]; a [`CheckbackHandler`] decides on transactions, exported with [`export_checkback!`]. The
//! last two may look rows of tables up, each a [`Lookup`], and send requests, each an [`http::Request`].
//!
//! Columns arrive as Arrow lays them out. [`Batch`] gives typed views of them without copying: [`Primitive`], [`Utf8`],
//! [`Binary`] and [`Boolean`], each with a batch-wise form (`test`, `map`) and a row-wise one (`get`, with
//! [`Batch::select`]). Columns that go back are built by [`Column`]'s constructors or by builders.
//! `scripts/build-guests` of the Millstream project turns the crate into a component.

mod batch;
mod bitmap;
mod builder;
pub mod clock;
mod column;
#[doc(hidden)]
pub mod export;
mod flat;
mod flat_writer;
pub mod http;
pub mod log;
mod message;
pub mod random;
mod schema;
pub mod state;
mod tables;
mod types;

pub use batch::{Batch, Error};
pub use bitmap::Bitmap;
pub use builder::{BinaryBuilder, BooleanBuilder, Column, PrimitiveBuilder, Utf8Builder};
pub use column::{Binary, Boolean, Native, Primitive, Utf8};
pub use export::{
    Answer, CheckVerdict, CheckbackHandler, Consumer, Filter, Function, Output, Position, Table, Transform, Verdict,
};
pub use tables::{Found, Lookup, LookupError};
pub use types::{Capability, DataType, Parameter, TimeUnit};

/// The contract, a module for each world. What a plugin does not use is not in its component.
#[doc(hidden)]
#[allow(unreachable_pub, reason = "generated code")]
pub mod bindings {
    pub mod filter {
        wit_bindgen::generate!({
            path: "../wit/v0.2",
            world: "filter",
            pub_export_macro: true,
            default_bindings_module: "millstream_plugin::bindings::filter",
        });
    }

    pub mod function {
        wit_bindgen::generate!({
            path: "../wit/v0.2",
            world: "function",
            pub_export_macro: true,
            default_bindings_module: "millstream_plugin::bindings::function",
            with: {
                "millstream:plugin/types@0.2.0": crate::bindings::filter::millstream::plugin::types,
                "millstream:plugin/logging@0.2.0": crate::bindings::filter::millstream::plugin::logging,
                "millstream:plugin/clock@0.2.0": crate::bindings::filter::millstream::plugin::clock,
                "millstream:plugin/random@0.2.0": crate::bindings::filter::millstream::plugin::random,
            },
        });
    }

    pub mod consumer {
        wit_bindgen::generate!({
            path: "../wit/v0.2",
            world: "consumer",
            pub_export_macro: true,
            default_bindings_module: "millstream_plugin::bindings::consumer",
            with: {
                "millstream:plugin/types@0.2.0": crate::bindings::filter::millstream::plugin::types,
                "millstream:plugin/logging@0.2.0": crate::bindings::filter::millstream::plugin::logging,
                "millstream:plugin/clock@0.2.0": crate::bindings::filter::millstream::plugin::clock,
                "millstream:plugin/random@0.2.0": crate::bindings::filter::millstream::plugin::random,
            },
        });
    }

    pub mod checkback {
        wit_bindgen::generate!({
            path: "../wit/v0.2",
            world: "checkback-handler",
            pub_export_macro: true,
            default_bindings_module: "millstream_plugin::bindings::checkback",
            with: {
                "millstream:plugin/types@0.2.0": crate::bindings::filter::millstream::plugin::types,
                "millstream:plugin/logging@0.2.0": crate::bindings::filter::millstream::plugin::logging,
                "millstream:plugin/clock@0.2.0": crate::bindings::filter::millstream::plugin::clock,
                "millstream:plugin/tables@0.2.0": crate::bindings::consumer::millstream::plugin::tables,
                "millstream:plugin/http@0.2.0": crate::bindings::consumer::millstream::plugin::http,
            },
        });
    }

    pub mod transform {
        wit_bindgen::generate!({
            path: "../wit/v0.2",
            world: "transform",
            pub_export_macro: true,
            default_bindings_module: "millstream_plugin::bindings::transform",
            with: {
                "millstream:plugin/types@0.2.0": crate::bindings::filter::millstream::plugin::types,
                "millstream:plugin/logging@0.2.0": crate::bindings::filter::millstream::plugin::logging,
            },
        });
    }
}
