//! A small KVM VMM whose only disk and network card are VMBus devices.
