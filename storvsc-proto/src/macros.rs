//! The shape in which this crate keeps numbers that a peer chooses.

/// An open code: a number with names for the known values, which keeps unknown ones as they are.
macro_rules! open_code {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident($repr:ty) {
            $( $(#[$vmeta:meta])* $value:ident = $number:literal, $text:literal; )+
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
                    $( Self::$value => Some($text), )+
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
                    Some(name) => f.write_str(name),
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

/// Asserts at compile time that fields stand where the wire has them.
macro_rules! layout {
    ($type:ty, size $size:literal, $( $field:ident @ $offset:literal ),+ $(,)?) => {
        const _: () = {
            assert!(core::mem::size_of::<$type>() == $size);
            $( assert!(core::mem::offset_of!($type, $field) == $offset); )+
        };
    };
}

pub(crate) use {layout, open_code};
