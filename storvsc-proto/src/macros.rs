//! The shapes in which this crate declares what stands on the wire.

pub(crate) use vmbus_proto::hvcall::{__open_code as open_code, __wire_struct as wire_struct};
