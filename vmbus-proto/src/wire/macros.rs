//! The shapes in which this crate declares what stands on the wire.

/// A little-endian number with a meaning of its own: an id, or a code whose known values have names. Unknown values stay as they are.
macro_rules! wire_number {
    (
        $(#[$meta:meta])*
        pub struct $name:ident($wire:ty : $native:ty), $style:literal {
            $( $(#[$vmeta:meta])* $value:ident = $number:expr, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash,
            zerocopy::FromBytes, zerocopy::IntoBytes, zerocopy::Immutable, zerocopy::KnownLayout, zerocopy::Unaligned,
        )]
        #[repr(transparent)]
        pub struct $name($wire);

        impl $name {
            $( $(#[$vmeta])* pub const $value: Self = Self::new($number); )*

            /// Every value that has a name, with that name.
            pub const NAMED: &'static [(Self, &'static str)] = &[$((Self::$value, stringify!($value))),*];

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

            /// The name of this value, or `None` for one that has none.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                Self::NAMED.iter().find(|(value, _)| *value == self).map(|(_, name)| *name)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "(", $style), self.value())?;
                if let Some(name) = self.name() {
                    write!(f, " {name}")?;
                }
                f.write_str(")")
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, $style, self.value()),
                }
            }
        }

        impl From<$native> for $name {
            fn from(number: $native) -> Self {
                Self::new(number)
            }
        }

        impl From<$name> for $native {
            fn from(id: $name) -> $native {
                id.value()
            }
        }
    };
}

/// A structure of a message, with its size and every field's offset asserted. The offsets count from the start of the message, so the
/// first field's is that of the structure in it.
macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident at $base:literal, $size:literal bytes {
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
                #[doc = concat!("\n\nAt byte ", stringify!($offset), " of the message.")]
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
#[repr(transparent)]
pub struct Byte(u8);

impl Byte {
    pub(crate) const fn from_bytes([byte]: [u8; 1]) -> Self {
        Self(byte)
    }

    pub(crate) const fn get(self) -> u8 {
        self.0
    }
}

pub(crate) use {wire_number, wire_struct};
