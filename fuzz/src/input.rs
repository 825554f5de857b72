//! From the fuzzer's bytes to steps, and back.

use std::path::Path;

use arbitrary::{Arbitrary, Result, Unstructured};

/// Steps beyond this many are not taken: what goes wrong later goes wrong earlier too.
const MOST_STEPS: usize = 512;

/// What can be written as the bytes that it is read from.
pub trait Seed {
    /// Appends those bytes.
    fn put(&self, out: &mut Vec<u8>);

    /// Those bytes.
    fn seed(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }
}

macro_rules! integers {
    ($($integer:ty)*) => {
        $(impl Seed for $integer {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend(self.to_le_bytes());
            }
        })*
    };
}
integers!(u8 u16 u32 u64);

impl Seed for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push((*self).into());
    }
}

impl<T: Seed, const N: usize> Seed for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|item| item.put(out));
    }
}

/// Bytes with their number before them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    const MOST: usize = 0x1000;
}

impl<'a> Arbitrary<'a> for Bytes {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let len = usize::from(u16::arbitrary(u)?) % Self::MOST;
        let len = len.min(u.len());
        Ok(Self(u.bytes(len)?.to_vec()))
    }
}

impl Seed for Bytes {
    fn put(&self, out: &mut Vec<u8>) {
        let len = self.0.len().min(Self::MOST - 1);
        (len as u16).put(out);
        out.extend(&self.0[..len]);
    }
}

/// As many as the bytes are enough for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Steps<T>(pub Vec<T>);

impl<'a, T: Arbitrary<'a>> Arbitrary<'a> for Steps<T> {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut steps = Vec::new();
        while !u.is_empty() && steps.len() < MOST_STEPS {
            steps.push(T::arbitrary(u)?);
        }
        Ok(Self(steps))
    }
}

impl<T: Seed> Seed for Steps<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.iter().for_each(|step| step.put(out));
    }
}

impl<T> IntoIterator for Steps<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Runs what stands in files, and in the files of folders. Gives how many of them are inputs.
///
/// # Errors
/// When one cannot be read.
pub fn run_files<T: for<'a> Arbitrary<'a>>(
    paths: impl Iterator<Item: AsRef<Path>>,
    run: impl Fn(T),
) -> std::io::Result<usize> {
    let mut inputs = 0;
    for path in paths {
        if !path.as_ref().is_dir() {
            inputs += usize::from(run_bytes(&std::fs::read(path)?, &run));
            continue;
        }
        for entry in path.as_ref().read_dir()? {
            // A fuzzer that is at work there may have taken it away.
            if let Ok(bytes) = std::fs::read(entry?.path()) {
                inputs += usize::from(run_bytes(&bytes, &run));
            }
        }
    }
    Ok(inputs)
}

/// Runs an input, as the fuzzer does. Tells whether the bytes are one.
fn run_bytes<T: for<'a> Arbitrary<'a>>(bytes: &[u8], run: impl Fn(T)) -> bool {
    T::arbitrary_take_rest(Unstructured::new(bytes)).map(run).is_ok()
}

/// Declares an enum or a struct that is [`Arbitrary`] and a [`Seed`]. A variant is one byte, then its fields.
#[macro_export]
macro_rules! steps {
    ($(#[$meta:meta])* pub enum $name:ident { $(
        $(#[$vmeta:meta])* $variant:ident $(($($field:ident: $type:ty),+))?,
    )+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $( $(#[$vmeta])* $variant $(($($type),+))?, )+ }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            #[allow(unused_assignments, reason = "after the last variant")]
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                const VARIANTS: u8 = [$(stringify!($variant)),+].len() as u8;
                let mut at = u8::arbitrary(u)? % VARIANTS;
                $(
                    if at == 0 {
                        return Ok(Self::$variant $(($(<$type as arbitrary::Arbitrary>::arbitrary(u)?),+))?);
                    }
                    at -= 1;
                )+
                Err(arbitrary::Error::IncorrectFormat)
            }
        }

        impl $crate::input::Seed for $name {
            #[allow(unused_assignments, reason = "after the last variant")]
            fn put(&self, out: &mut Vec<u8>) {
                let mut at = 0u8;
                $(
                    if let Self::$variant $(($($field),+))? = self {
                        out.push(at);
                        $($($crate::input::Seed::put($field, out);)+)?
                        return;
                    }
                    at += 1;
                )+
            }
        }
    };
    ($(#[$meta:meta])* pub struct $name:ident { $( $(#[$fmeta:meta])* pub $field:ident: $type:ty, )+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $( $(#[$fmeta])* pub $field: $type, )+ }

        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                Ok(Self { $( $field: <$type as arbitrary::Arbitrary>::arbitrary(u)?, )+ })
            }
        }

        impl $crate::input::Seed for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $( $crate::input::Seed::put(&self.$field, out); )+
            }
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    steps! {
        pub enum Step {
            Nothing,
            Send(bytes: Bytes, again: bool),
            Words(words: [u32; 3]),
        }
    }
    steps! {
        pub struct Run {
            pub first: u16,
            pub steps: Steps<Step>,
        }
    }

    #[test]
    fn a_seed_is_read_as_what_was_written() {
        let run = Run {
            first: 0x1234,
            steps: Steps(vec![
                Step::Send(Bytes(vec![1, 2, 3]), true),
                Step::Nothing,
                Step::Words([1, 2, u32::MAX]),
                Step::Send(Bytes(vec![]), false),
            ]),
        };
        let seed = run.seed();
        assert_eq!(Run::arbitrary(&mut Unstructured::new(&seed)).unwrap(), run);
    }
}
