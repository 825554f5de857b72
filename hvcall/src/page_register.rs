//! Registers that switch a page on: bit 0 enables, bits 63:12 are the page's frame number, the rest is preserved.

/// Declares such a register as a type of its own, so that one cannot stand for another.
macro_rules! page_register {
    ( $( $(#[$meta:meta])* $name:ident; )+ ) => { $(
        $(#[$meta])*
        ///
        /// Bit 0 enables the page, bits 63:12 are its frame number. Bits 11:1 are reserved, and who changes the
        /// register preserves them.
        #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// The register as it was read or written, whatever it holds.
            #[must_use]
            pub const fn from_bits(bits: u64) -> Self {
                Self(bits)
            }

            /// The register as it is read or written.
            #[must_use]
            pub const fn bits(self) -> u64 {
                self.0
            }

            /// Whether the page is on.
            #[must_use]
            pub const fn is_enabled(self) -> bool {
                self.0 & 1 != 0
            }

            /// The guest-physical address that stands in the register, whether the page is on or not.
            #[must_use]
            pub const fn base(self) -> u64 {
                self.0 & !0xfff
            }

            /// The guest-physical address of the page, when it is on.
            #[must_use]
            pub const fn page(self) -> Option<u64> {
                if self.is_enabled() { Some(self.base()) } else { None }
            }

            /// The register with the page on, at this guest-physical address, or `None` when that is no multiple of
            /// 4096.
            #[must_use]
            pub const fn with_page(self, gpa: u64) -> Option<Self> {
                if gpa & 0xfff != 0 { None } else { Some(Self(gpa | self.0 & 0xffe | 1)) }
            }

            /// The register with the page off and the address gone.
            #[must_use]
            pub const fn without_page(self) -> Self {
                Self(self.0 & 0xffe)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                let state = if self.is_enabled() { "on" } else { "off" };
                write!(f, "{}({state}, {:#x}, preserved {:#x})", stringify!($name), self.base(), self.0 & 0xffe)
            }
        }
    )+ };
}

pub(crate) use page_register;
