//! The host's end.

mod decode;
mod synic;
