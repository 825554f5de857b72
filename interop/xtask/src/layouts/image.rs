//! The kernel inside of a bzImage: its type information, which the modules' builds upon.

use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use object::{Object as _, ObjectSection as _};

/// The section of an ELF file that holds type information.
const SECTION: &str = ".BTF";

/// Offsets in a bzImage. Source: the Linux kernel's `Documentation/arch/x86/boot.rst`.
mod boot_header {
    /// u8: sectors of 512 bytes that the real-mode code has, less the boot sector; 0 stands for 4.
    pub(super) const SETUP_SECTORS: usize = 0x1f1;
    /// u32: where the packed kernel begins, counted from the end of the real-mode code.
    pub(super) const PAYLOAD_OFFSET: usize = 0x248;
    /// u32: its bytes, with the length of the unpacked kernel in the last four.
    pub(super) const PAYLOAD_LENGTH: usize = 0x24c;
}

/// The type information of the kernel in this image.
pub(super) fn btf(image: &Path) -> Result<Vec<u8>> {
    let shown = image.display();
    let bytes = std::fs::read(image).with_context(|| format!("cannot read {shown}"))?;
    let packed = payload(&bytes).with_context(|| format!("{shown} is no bzImage"))?;
    let kernel = unpack(packed).with_context(|| format!("cannot unpack the kernel in {shown}"))?;
    section(&kernel)
        .with_context(|| format!("the kernel in {shown} has no type information (CONFIG_DEBUG_INFO_BTF)"))
}

/// The type information of an ELF file: a kernel, or a module.
pub(super) fn section(elf: &[u8]) -> Result<Vec<u8>> {
    let file = object::File::parse(elf)?;
    let section = file
        .section_by_name(SECTION)
        .with_context(|| format!("there is no section {SECTION}"))?;
    Ok(section.data()?.to_vec())
}

fn payload(image: &[u8]) -> Option<&[u8]> {
    let number = |at: usize| {
        let bytes = image.get(at..at.checked_add(4)?)?;
        usize::try_from(u32::from_le_bytes(bytes.try_into().ok()?)).ok()
    };
    let sectors = match image.get(boot_header::SETUP_SECTORS)? {
        0 => 4,
        sectors => usize::from(*sectors),
    };
    let start = (sectors + 1) * 512 + number(boot_header::PAYLOAD_OFFSET)?;
    image.get(start..start.checked_add(number(boot_header::PAYLOAD_LENGTH)?)?)
}

/// Unpacks what a kernel's build packed, by any of the ways in which Debian and self-made kernels do.
fn unpack(packed: &[u8]) -> Result<Vec<u8>> {
    // The last four bytes are the length of the whole, which only makes a good guess of the capacity.
    let mut kernel = Vec::new();
    match packed {
        [0x02, 0x21, 0x4c, 0x18, blocks @ ..] => return unpack_lz4(blocks),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => {
            ruzstd::decoding::StreamingDecoder::new(packed)?.read_to_end(&mut kernel)?;
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => {
            lzma_rust2::XzReader::new(packed, false).read_to_end(&mut kernel)?;
        }
        [0x1f, 0x8b, ..] => {
            flate2::read::GzDecoder::new(packed).read_to_end(&mut kernel)?;
        }
        _ => bail!("it is packed with none of gzip, lz4, xz and zstd"),
    }
    Ok(kernel)
}

/// The "legacy" form: blocks of up to 8 MiB, each behind its packed length.
fn unpack_lz4(mut packed: &[u8]) -> Result<Vec<u8>> {
    const BLOCK: usize = 8 << 20;
    let mut kernel = Vec::new();
    // The length of the whole stands behind the last block.
    while packed.len() > 4 {
        let (length, rest) = packed
            .split_first_chunk()
            .context("a block's length is cut off")?;
        let length = usize::try_from(u32::from_le_bytes(*length))?;
        let (block, rest) = rest.split_at_checked(length).context("a block is cut off")?;
        kernel.extend(lz4_flex::block::decompress(block, BLOCK)?);
        packed = rest;
    }
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_payload_is_where_the_boot_header_says() {
        let mut image = vec![0; 0x1000];
        image[boot_header::SETUP_SECTORS] = 1;
        image[boot_header::PAYLOAD_OFFSET..][..4].copy_from_slice(&0x20u32.to_le_bytes());
        image[boot_header::PAYLOAD_LENGTH..][..4].copy_from_slice(&3u32.to_le_bytes());
        image[1024 + 0x20..][..3].copy_from_slice(b"abc");
        assert_eq!(payload(&image), Some(b"abc".as_slice()));
        image[boot_header::PAYLOAD_LENGTH..][..4].copy_from_slice(&0xffff_ffffu32.to_le_bytes());
        assert_eq!(payload(&image), None);
        assert_eq!(payload(&image[..0x100]), None);
    }

    #[test]
    fn blocks_of_lz4_follow_each_other() {
        let mut packed = vec![0x02, 0x21, 0x4c, 0x18];
        for part in [b"kernel ".as_slice(), b"and more"] {
            let block = lz4_flex::block::compress(part);
            packed.extend(u32::try_from(block.len()).unwrap().to_le_bytes());
            packed.extend(block);
        }
        packed.extend(15u32.to_le_bytes());
        assert_eq!(unpack(&packed).unwrap(), b"kernel and more");
        packed.truncate(packed.len() - 6);
        assert!(unpack(&packed).unwrap_err().to_string().contains("cut off"));
    }

    #[test]
    fn what_is_packed_otherwise_is_refused() {
        assert!(unpack(b"BZh9").unwrap_err().to_string().contains("none of gzip"));
    }
}
