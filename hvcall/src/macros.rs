//! Declares the two shapes in which this crate keeps numbers that a peer chooses.

/// An open code: a number with names for the known values, which keeps unknown ones as they are.
macro_rules! open_code {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident($repr:ty) as $prefix:literal {
            $( $(#[$vmeta:meta])* $value:ident = $number:expr, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        $vis struct $name(pub $repr);

        impl $name {
            $( $(#[$vmeta])* pub const $value: Self = Self($number); )+

            /// Every value that has a name, in the order of declaration.
            pub const NAMED: &'static [Self] = &[$(Self::$value),+];

            /// The specification's name for this value, or `None` for one that is not known.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $( Self::$value => Some(concat!($prefix, stringify!($value))), )+
                    _ => None,
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}({:#x}", stringify!($name), self.0)?;
                if let Some(name) = self.name() {
                    write!(f, " {name}")?;
                }
                f.write_str(")")
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({:#x})", self.0),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl From<$repr> for $name {
            fn from(number: $repr) -> Self {
                Self(number)
            }
        }

        impl From<$name> for $repr {
            fn from(code: $name) -> $repr {
                code.0
            }
        }
    };
}

/// A structure of the wire: its derives, and its size and every field's offset asserted.
macro_rules! wire_struct {
    (
        $(#[$meta:meta])*
        pub struct $name:ident, $size:literal bytes {
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
                #[doc = concat!("\n\nAt byte ", stringify!($offset), ".")]
                pub $field: $ty,
            )+
        }

        const _: () = {
            assert!(core::mem::size_of::<$name>() == $size);
            $( assert!(core::mem::offset_of!($name, $field) == $offset); )+
        };

        impl $crate::wire::Fixed for $name {
            const NAME: &'static str = stringify!($name);
        }
    };
}

pub(crate) use {open_code, wire_struct};
