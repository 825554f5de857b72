//! Open newtypes: a code is a number with names, and a number without a name is still a code.

/// Defines an open newtype over a little-endian wire integer (`U32`, `U16`, or `u8`).
///
/// Unknown values survive a round trip; `Debug` and `Display` print the specification's name where there is one and
/// the number in hexadecimal where there is none.
macro_rules! open_code {
    (
        $(#[$meta:meta])*
        pub struct $name:ident($wire:ident);
        $( $(#[$item:meta])* $constant:ident = $value:literal => $text:literal; )*
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, PartialEq, Eq, Hash, Default,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, zerocopy::Unaligned,
        )]
        #[repr(transparent)]
        pub struct $name($wire);

        impl $name {
            $( $(#[$item])* #[doc = concat!("\n\n`", $text, "`, ", stringify!($value), ".")]
               pub const $constant: Self = Self::new($value); )*

            /// Every named value with its name in the specification.
            pub const NAMES: &'static [(Self, &'static str)] = &[ $( (Self::$constant, $text), )* ];

            /// The specification's name, or `None` for a number that has none.
            pub fn name(self) -> Option<&'static str> {
                Self::NAMES.iter().find(|(code, _)| *code == self).map(|(_, name)| *name)
            }
        }

        $crate::wire::code::open_code!(@number $name $wire);

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, "{:#x}", self.value()),
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
    (@number $name:ident U32) => { $crate::wire::code::open_code!(@endian $name U32 u32); };
    (@number $name:ident U16) => { $crate::wire::code::open_code!(@endian $name U16 u16); };
    (@number $name:ident u8) => {
        impl $name {
            /// The code with this number, known or not.
            pub const fn new(value: u8) -> Self {
                Self(value)
            }

            /// The number of this code.
            pub const fn value(self) -> u8 {
                self.0
            }
        }
    };
    (@endian $name:ident $wire:ident $native:ident) => {
        impl $name {
            /// The code with this number, known or not.
            pub const fn new(value: $native) -> Self {
                Self($wire::new(value))
            }

            /// The number of this code.
            pub const fn value(self) -> $native {
                self.0.get()
            }
        }
    };
}
pub(crate) use open_code;

/// Proves at compile time that a wire structure has the size and the field offsets that its peers expect.
macro_rules! layout {
    ($name:ident, $size:literal, { $( $field:ident @ $offset:literal ),* $(,)? }) => {
        const _: () = {
            assert!(size_of::<$name>() == $size);
            $( assert!(core::mem::offset_of!($name, $field) == $offset); )*
        };
    };
}
pub(crate) use layout;

/// Gives the derives that every wire structure has.
macro_rules! wire {
    ($(#[$meta:meta])* pub struct $name:ident { $($body:tt)* }) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, zerocopy::Unaligned,
        )]
        #[repr(C)]
        pub struct $name { $($body)* }
    };
}
pub(crate) use wire;
