//! The shapes in which this crate declares what stands on the wire.

pub(crate) use hvcall::{__wire_number as wire_number, __wire_struct as wire_struct, Byte};
