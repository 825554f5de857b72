//! The VMBus ring buffer between two partitions that distrust each other.
#![no_std]
