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
//! Columns arrive as Arrow lays them out. [`Batch`] gives typed views of them without copying: [`Primitive`], [`Utf8`],
//! [`Binary`] and [`Boolean`], each with a batch-wise form (`test`) and a row-wise one (`get`, with [`Batch::select`]).
//! `scripts/build-guests` of the Millstream project turns the crate into a component.

mod batch;
mod bitmap;
mod column;
#[doc(hidden)]
pub mod export;
mod flat;
pub mod log;
mod schema;
mod types;

pub use batch::{Batch, Error};
pub use bitmap::Bitmap;
pub use column::{Binary, Boolean, Native, Primitive, Utf8};
pub use export::Filter;
pub use types::{DataType, Parameter, TimeUnit};

#[doc(hidden)]
#[allow(unreachable_pub, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit",
        world: "filter",
        pub_export_macro: true,
        default_bindings_module: "millstream_plugin::bindings",
    });
}
