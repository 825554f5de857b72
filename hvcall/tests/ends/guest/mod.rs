//! The guest's end.

mod calls;
mod setup;
mod synic;
