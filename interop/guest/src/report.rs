//! What the kernel tells of a check: text of a bounded length, without memory of a heap's.

use core::fmt::{self, Write};

/// The longest line that is told.
const LEN: usize = 224;

/// A line of text; what is too long for it is cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text(heapless::String<LEN>);

/// How a check went: what was seen, or what is wrong.
pub type Verdict = Result<Text, Text>;

impl Text {
    /// Formats a line; [`text!`](crate::text) is shorter.
    #[must_use]
    pub fn new(arguments: fmt::Arguments<'_>) -> Self {
        let mut text = Self::default();
        // Cutting is no error.
        let _never = text.write_fmt(arguments);
        text
    }

    /// The line's bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            // A line stays one: errors of other crates may have several.
            let char = if char.is_control() { ' ' } else { char };
            if self.0.push(char).is_err() {
                break;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: core::error::Error> From<E> for Text {
    fn from(error: E) -> Self {
        Self::new(format_args!("{error}"))
    }
}

/// How the kernel's run went, as the port of QEMU's `isa-debug-exit` takes it: the status of the process is twice that and
/// 1 more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Status {
    /// Every check holds. The process ends with 33.
    Passed = 0x10,
    /// Some check does not. The process ends with 35.
    Failed = 0x11,
}

impl Status {
    /// The status of the process.
    #[must_use]
    pub const fn of_process(self) -> u8 {
        (self as u8) << 1 | 1
    }
}

/// Formats a [`Text`](crate::report::Text).
#[macro_export]
macro_rules! text {
    ($($argument:tt)*) => {
        $crate::report::Text::new(::core::format_args!($($argument)*))
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_ends_with_an_odd_status() {
        assert_eq!(Status::Passed.of_process(), 33);
        assert_eq!(Status::Failed.of_process(), 35);
    }

    #[test]
    fn lines_are_cut_and_stay_one() {
        assert_eq!(text!("a{}b", "\r\n").to_string(), "a  b");
        assert_eq!(text!("{:300}", 'x').to_string().len(), LEN);
        let error = "x".parse::<u8>().unwrap_err();
        assert_eq!(Text::from(error.clone()).to_string(), error.to_string());
    }
}
