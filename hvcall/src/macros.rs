//! How the crates of this family declare what stands on the wire: numbers that a peer chooses, and structures.
//!
//! One declaration gives each its documentation, its names in a trace and the proof of its layout. The macros are exported for
//! `vmbus-proto`, `storvsc-proto` and `netvsc-proto` alone: hidden, and changed without notice.

/// What every number with names has: `NAMED`, `name`, `Debug` and `Display`.
///
/// The text of a value is the prefix and the constant's name, or what stands behind `=>`.
#[doc(hidden)]
#[macro_export]
macro_rules! __named {
    (
        $name:ident, $prefix:tt, $style:literal, $number:expr;
        $( $(#[$vmeta:meta])* $value:ident = $code:expr $(=> $text:literal)?, )*
    ) => {
        impl $name {
            $(
                $(#[$vmeta])*
                #[doc = concat!("\n\n`", $crate::__text!($prefix $value $($text)?), "`, ", stringify!($code), ".")]
                pub const $value: Self = Self::new($code);
            )*

            /// Every value that has a name, in the order of declaration.
            pub const NAMED: &'static [Self] = &[$(Self::$value),*];

            const NAMES: &'static [&'static str] = &[$($crate::__text!($prefix $value $($text)?)),*];

            /// The name of this value, or `None` for one that is not known.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                let mut named = Self::NAMED.iter().zip(Self::NAMES);
                named.find(|(value, _)| **value == self).map(|(_, name)| *name)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "(", $style), $number(*self))?;
                if let Some(name) = self.name() {
                    write!(f, " {name}")?;
                }
                f.write_str(")")
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.pad(name),
                    None => write!(f, $style, $number(*self)),
                }
            }
        }
    };
}

/// The text of a value.
#[doc(hidden)]
#[macro_export]
macro_rules! __text {
    ([$($prefix:literal)?] $value:ident) => {
        concat!($($prefix,)? stringify!($value))
    };
    ([$($prefix:literal)?] $value:ident $text:literal) => {
        $text
    };
}

/// An open code of a register or a byte: a number with names for the known values, which keeps unknown ones as they are.
#[doc(hidden)]
#[macro_export]
macro_rules! __open_code {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident($native:ty) $(as $prefix:literal)? { $($values:tt)* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        $vis struct $name(pub $native);

        impl $name {
            /// The value with this number.
            #[must_use]
            pub const fn new(number: $native) -> Self {
                Self(number)
            }

            /// The number.
            #[must_use]
            pub const fn value(self) -> $native {
                self.0
            }
        }

        $crate::__named! { $name, [$($prefix)?], "{:#x}", $name::value; $($values)* }
        $crate::__numbers! { $name, $native }
    };
}

/// A little-endian number with a meaning of its own: an id, or a code whose known values have names. Unknown values stay as they are.
#[doc(hidden)]
#[macro_export]
macro_rules! __wire_number {
    (
        $(#[$meta:meta])*
        pub struct $name:ident($wire:ty : $native:ty), $style:literal { $($values:tt)* }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, zerocopy::Unaligned,
        )]
        #[repr(transparent)]
        pub struct $name($wire);

        impl $name {
            /// The value with this number.
            #[must_use]
            pub const fn new(number: $native) -> Self {
                Self(<$wire>::from_bytes(number.to_le_bytes()))
            }

            /// The number.
            #[must_use]
            pub const fn value(self) -> $native {
                self.0.get()
            }
        }

        $crate::__named! { $name, [], $style, $name::value; $($values)* }
        $crate::__numbers! { $name, $native }
    };
}

/// The way from a number to its newtype and back.
#[doc(hidden)]
#[macro_export]
macro_rules! __numbers {
    ($name:ident, $native:ty) => {
        impl From<$native> for $name {
            fn from(number: $native) -> Self {
                Self::new(number)
            }
        }

        impl From<$name> for $native {
            fn from(code: $name) -> $native {
                code.value()
            }
        }
    };
}

/// A structure of the wire: its derives, and its size and every field's offset asserted. With `at`, the offsets count from the start
/// of the message that the structure stands in, and the first field's is the structure's own.
#[doc(hidden)]
#[macro_export]
macro_rules! __wire_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident at $base:literal, $size:literal bytes {
            $( $(#[$fmeta:meta])* $offset:literal: $field:ident: $ty:ty, )+
        }
    ) => {
        $crate::__wire_struct! {
            @ $base " of the message.";
            $(#[$meta])*
            pub struct $name, $size { $( $(#[$fmeta])* $offset: $field: $ty, )+ }
        }
    };
    (
        $(#[$meta:meta])*
        pub struct $name:ident, $size:literal bytes {
            $( $(#[$fmeta:meta])* $offset:literal: $field:ident: $ty:ty, )+
        }
    ) => {
        $crate::__wire_struct! {
            @ 0 ".";
            $(#[$meta])*
            pub struct $name, $size { $( $(#[$fmeta])* $offset: $field: $ty, )+ }
        }
    };
    (
        @ $base:literal $end:literal;
        $(#[$meta:meta])*
        pub struct $name:ident, $size:literal {
            $( $(#[$fmeta:meta])* $offset:literal: $field:ident: $ty:ty, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, zerocopy::Unaligned,
        )]
        #[repr(C)]
        pub struct $name {
            $(
                $(#[$fmeta])*
                #[doc = concat!("\n\nAt byte ", stringify!($offset), $end)]
                pub $field: $ty,
            )+
        }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $( assert!(core::mem::offset_of!($name, $field).saturating_add($base) == $offset); )+
        };
    };
}

/// A byte with the methods that zerocopy's wider integers have.
#[derive(
    Clone,
    Copy,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    zerocopy::FromBytes,
    zerocopy::IntoBytes,
    zerocopy::Immutable,
    zerocopy::KnownLayout,
    zerocopy::Unaligned,
)]
#[doc(hidden)]
#[repr(transparent)]
pub struct Byte(u8);

impl Byte {
    /// From its little-endian bytes.
    #[must_use]
    pub const fn from_bytes([byte]: [u8; 1]) -> Self {
        Self(byte)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A structure of this crate's, which is [`Fixed`](crate::wire::Fixed) too.
macro_rules! wire_struct {
    ($(#[$meta:meta])* pub struct $name:ident, $($rest:tt)*) => {
        $crate::__wire_struct! { $(#[$meta])* pub struct $name, $($rest)* }

        impl $crate::wire::Fixed for $name {
            const NAME: &'static str = stringify!($name);
        }
    };
}

pub(crate) use __open_code as open_code;
pub(crate) use wire_struct;
