//! How a row of the table is written: which Rust types make up which type of the kernel, field by field.
//!
//! ```text
//! mirror! { vmbus_channel_modifychannel {
//!     0: MessageHeader = "header",
//!     8: ModifyChannel { relid = "child_relid", target_vp },
//! } }
//! ```
//!
//! Offsets of parts are bytes. Offsets and widths of Rust fields are never written down: the compiler knows them, and a
//! field that goes away is a compile error. On the kernel's side a text may name several fields that stand side by side
//! (`"monitor_allocated + reserved"`), and `?` behind it says that not every kernel has them. A field without a text has
//! the same name on both sides. `/ { "name" = MASK }` behind a field names bit fields inside of it.

/// One type of the kernel and what makes it up here.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) kernel: &'static str,
    /// The crate that the row is counted for.
    pub(crate) of: &'static str,
    pub(crate) parts: Vec<Part>,
    /// Fields of the kernel that are left out, with the reason.
    pub(crate) without: &'static [(&'static str, &'static str)],
    /// Why the sizes of both are not compared.
    pub(crate) other_size: Option<&'static str>,
}

/// A Rust type at an offset of the kernel's.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) rust: &'static str,
    /// Bytes from the start of the kernel's type.
    pub(crate) at: usize,
    /// Bytes.
    pub(crate) size: usize,
    pub(crate) fields: Vec<Pair>,
}

/// A stretch of a Rust type, and the fields of the kernel that it is.
#[derive(Debug)]
pub(crate) struct Pair {
    /// What it is called, empty for all of the type.
    pub(crate) rust: &'static str,
    /// Bytes from the start of the Rust type.
    pub(crate) at: usize,
    /// Bytes.
    pub(crate) size: usize,
    pub(crate) kernel: &'static str,
    /// Bit fields of the kernel in this stretch, with their masks.
    pub(crate) bits: Vec<(&'static str, u64)>,
}

impl Pair {
    /// The kernel's names, and whether a kernel may lack them.
    pub(crate) fn names(&self) -> (impl Iterator<Item = &'static str> + Clone, bool) {
        let (names, optional) = optional(self.kernel);
        (names.split(" + ").filter(|name| !name.is_empty()), optional)
    }
}

/// A name without its question mark, and whether it had one.
pub(crate) fn optional(name: &'static str) -> (&'static str, bool) {
    match name.strip_suffix('?') {
        Some(name) => (name, true),
        None => (name, false),
    }
}

impl Mirror {
    /// Bytes of the whole, as it stands here: up to the last field that the row names.
    pub(crate) fn size(&self) -> usize {
        let ends = self
            .parts
            .iter()
            .flat_map(|part| part.fields.iter().map(|pair| part.at + pair.at + pair.size));
        ends.max().unwrap_or_default()
    }
}

/// An enumeration of the kernel and the codes that mirror it.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) kernel: &'static str,
    /// The crate that the row is counted for.
    pub(crate) of: &'static str,
    pub(crate) rust: Vec<&'static str>,
    /// Name and number here, name in the kernel, with `?` where not every kernel has it.
    pub(crate) values: Vec<(&'static str, i64, &'static str)>,
    /// Every number that has a name here.
    pub(crate) named: Vec<i64>,
    /// Enumerators of the kernel that are left out, with the reason.
    pub(crate) without: &'static [(&'static str, &'static str)],
    /// The source of named numbers that the kernel does not have.
    pub(crate) beyond: Option<&'static str>,
}

/// A Rust type that no type of a kernel corresponds to, and where it is from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alone {
    pub(crate) rust: &'static str,
    pub(crate) source: &'static str,
}

/// A number with names.
pub(crate) trait Code: Copy {
    /// The number.
    fn number(self) -> i64;

    /// Every number that has a name.
    fn named() -> Vec<i64>;
}

/// Bytes of the field that this gives.
pub(crate) fn width<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

/// A type's name without its path: the crates' wire types are told apart by it and by their crate.
pub(crate) fn type_name<T>() -> &'static str {
    std::any::type_name::<T>()
}

macro_rules! mirror {
    (
        $kernel:ident $(other size $reason:literal)? {
            $( $at:literal: $rust:ty $(= $whole:literal $(/ { $($wbits:literal = $wmask:expr),* $(,)? })?)? $({
                $( $field:ident $(..= $last:ident)? $(= $name:literal)? $(/ { $($bits:literal = $mask:expr),* $(,)? })? ),*
                $(,)?
            })? ),* $(,)?
        } $(without { $($out:literal: $why:literal),* $(,)? })?
    ) => {
        $crate::layouts::mirror::Mirror {
            kernel: stringify!($kernel),
            of: "",
            parts: vec![$(
                $crate::layouts::mirror::Part {
                    rust: $crate::layouts::mirror::type_name::<$rust>(),
                    at: $at,
                    size: size_of::<$rust>(),
                    fields: vec![
                        $($crate::layouts::mirror::Pair {
                            rust: "",
                            at: 0,
                            size: size_of::<$rust>(),
                            kernel: $whole,
                            bits: vec![$($(($wbits, u64::from($wmask))),*)?],
                        },)?
                        $($(
                            $crate::layouts::mirror::pair!(
                                $rust, $field $(..= $last)?, $($name)?, $($(($bits, $mask)),*)?
                            ),
                        )*)?
                    ],
                }
            ),*],
            without: &[$($(($out, $why)),*)?],
            other_size: None $(.or(Some($reason)))?,
        }
    };
}

macro_rules! pair {
    ($rust:ty, $field:ident ..= $last:ident, $($rest:tt)*) => {{
        let at = std::mem::offset_of!($rust, $field);
        let end = std::mem::offset_of!($rust, $last) + $crate::layouts::mirror::width(|it: &$rust| &it.$last);
        $crate::layouts::mirror::pair!(@make concat!(stringify!($field), " to ", stringify!($last)), at, end - at, $field, $($rest)*)
    }};
    ($rust:ty, $field:ident, $($rest:tt)*) => {
        $crate::layouts::mirror::pair!(
            @make stringify!($field),
            std::mem::offset_of!($rust, $field),
            $crate::layouts::mirror::width(|it: &$rust| &it.$field),
            $field,
            $($rest)*
        )
    };
    (@make $shown:expr, $at:expr, $size:expr, $field:ident, , $(($bits:literal, $mask:expr)),*) => {
        $crate::layouts::mirror::pair!(@make $shown, $at, $size, $field, (stringify!($field)), $(($bits, $mask)),*)
    };
    (@make $shown:expr, $at:expr, $size:expr, $field:ident, $name:tt, $(($bits:literal, $mask:expr)),*) => {
        $crate::layouts::mirror::Pair {
            rust: $shown,
            at: $at,
            size: $size,
            kernel: $name,
            bits: vec![$(($bits, u64::from($mask))),*],
        }
    };
}

macro_rules! codes {
    (
        $kernel:literal = $rust:ty { $( $code:ident = $name:literal ),* $(,)? }
        $(without { $($out:literal: $why:literal),* $(,)? })? $(beyond $source:literal)?
    ) => {
        $crate::layouts::mirror::Codes {
            kernel: $kernel,
            of: "",
            rust: vec![$crate::layouts::mirror::type_name::<$rust>()],
            values: vec![$((stringify!($code), $crate::layouts::mirror::Code::number(<$rust>::$code), $name)),*],
            named: <$rust as $crate::layouts::mirror::Code>::named(),
            without: &[$($(($out, $why)),*)?],
            beyond: None $(.or(Some($source)))?,
        }
    };
}

/// Numbers that are no values of one type here.
macro_rules! constants {
    (
        $kernel:literal = $rust:literal { $( $code:expr => $name:literal ),* $(,)? }
        $(without { $($out:literal: $why:literal),* $(,)? })?
    ) => {
        $crate::layouts::mirror::Codes {
            kernel: $kernel,
            of: "",
            rust: vec![$rust],
            values: vec![$((stringify!($code), i64::from($code), $name)),*],
            named: Vec::new(),
            without: &[$($(($out, $why)),*)?],
            beyond: None,
        }
    };
}

macro_rules! alone {
    ($( $source:literal: $($rust:ty),+ $(,)?; )*) => {
        vec![$($(
            $crate::layouts::mirror::Alone { rust: $crate::layouts::mirror::type_name::<$rust>(), source: $source }
        ),+),*]
    };
}

pub(crate) use {alone, codes, constants, mirror, pair};
