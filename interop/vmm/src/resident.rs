//! How much memory this process takes.

use std::{fs, io};

/// Bytes that are in memory, those of the guest among them.
///
/// # Errors
/// `/proc` is not there.
pub fn resident_bytes() -> io::Result<u64> {
    let pages = fs::read_to_string("/proc/self/statm")?;
    let resident = pages.split_ascii_whitespace().nth(1);
    let pages: u64 = resident
        .and_then(|pages| pages.parse().ok())
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    Ok(pages.saturating_mul(PAGE))
}

/// Bytes of a page of x86-64's.
const PAGE: u64 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_counts() {
        let before = resident_bytes().unwrap();
        let bytes = vec![1_u8; 64 << 20];
        let after = resident_bytes().unwrap();
        assert!(after > before + (32 << 20), "{before} {after}, {}", bytes.len());
    }
}
