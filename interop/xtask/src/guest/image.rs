//! The kernel as a bzImage: what the Linux boot protocol's loaders take, made of the ELF file that is linked.

use anyhow::{Context as _, Result, bail};
use object::LittleEndian;
use object::read::elf::{ElfFile64, ProgramHeader as _};

/// Where the kernel is linked to lie, as its linker script says; the protocol's loaders put it there.
const BASE: u64 = 0x10_0000;
/// Bytes of the part in front that real-mode loaders would run: the boot sector and one more, the fewest that hold the header.
const SETUP: usize = 1024;

/// A field of the boot header: its offset and bytes. Source: Linux `Documentation/arch/x86/boot.rst`.
type Field<'a> = (usize, &'a [u8]);

/// Makes the image.
pub(super) fn bzimage(elf: &[u8]) -> Result<Vec<u8>> {
    let file = ElfFile64::<LittleEndian>::parse(elf).context("the kernel is no ELF file")?;
    let mut content = Vec::new();
    let mut end = BASE;
    for segment in file.elf_program_headers() {
        if segment.p_type(LittleEndian) != object::elf::PT_LOAD {
            continue;
        }
        let (address, data) = (
            segment.p_paddr(LittleEndian),
            segment
                .data(LittleEndian, elf)
                .ok()
                .context("a segment is cut off")?,
        );
        let start = address
            .checked_sub(BASE)
            .context("a segment lies below the kernel")?;
        let start = usize::try_from(start)?;
        if start < content.len() {
            bail!("segments overlap, or are out of order");
        }
        content.resize(start, 0);
        content.extend_from_slice(data);
        end = end.max(address + segment.p_memsz(LittleEndian));
    }
    content.resize(content.len().next_multiple_of(16), 0);
    let paragraphs = u32::try_from(content.len() / 16)?;
    let memory = u32::try_from(end - BASE)?;

    let sectors = [u8::try_from(SETUP / 512 - 1)?];
    let fields: [Field<'_>; 13] = [
        (0x1F1, &sectors),                       // setup_sects
        (0x1F4, &paragraphs.to_le_bytes()),      // syssize
        (0x1FE, &[0x55, 0xAA]),                  // boot_flag
        (0x200, &[0xEB, 0x66]),                  // jump, over the header to its end at 0x268
        (0x202, b"HdrS"),                        // header
        (0x206, &0x020F_u16.to_le_bytes()),      // version
        (0x211, &[1]),                           // loadflags: LOADED_HIGH
        (0x214, &0x10_0000_u32.to_le_bytes()),   // code32_start
        (0x22C, &0x7FFF_FFFF_u32.to_le_bytes()), // initrd_addr_max
        (0x236, &1_u16.to_le_bytes()),           // xloadflags: XLF_KERNEL_64, the 64-bit entry alone
        (0x238, &2047_u32.to_le_bytes()),        // cmdline_size
        (0x258, &BASE.to_le_bytes()),            // pref_address
        (0x260, &memory.to_le_bytes()),          // init_size
    ];
    let mut image = vec![0; SETUP];
    for (offset, bytes) in fields {
        image[offset..offset + bytes.len()].copy_from_slice(bytes);
    }
    image.extend_from_slice(&content);
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An ELF file with one header and these loadable segments: address, bytes, and size in memory.
    fn elf(segments: &[(u64, &[u8], u64)]) -> Vec<u8> {
        let mut file = vec![0; 64 + 56 * segments.len()];
        file[..8].copy_from_slice(&[0x7F, b'E', b'L', b'F', 2, 1, 1, 0]);
        file[16..18].copy_from_slice(&2_u16.to_le_bytes());
        file[18..20].copy_from_slice(&62_u16.to_le_bytes());
        file[20] = 1;
        file[32] = 64;
        file[52] = 64;
        file[54] = 56;
        file[56] = segments.len() as u8;
        for (index, (address, bytes, memory)) in segments.iter().enumerate() {
            let words = [
                file.len() as u64,
                *address,
                *address,
                bytes.len() as u64,
                *memory,
                1,
            ];
            let header = &mut file[64 + 56 * index..][..56];
            header[0] = 1;
            for (word, place) in words.iter().zip(header[8..].chunks_mut(8)) {
                place.copy_from_slice(&word.to_le_bytes());
            }
            file.extend_from_slice(bytes);
        }
        file
    }

    #[test]
    fn segments_lie_where_they_are_linked() {
        let image = bzimage(&elf(&[(BASE, b"code", 4), (BASE + 0x1000, b"data", 0x3000)])).unwrap();
        assert_eq!(image.len(), SETUP + 0x1010);
        assert_eq!(&image[SETUP..SETUP + 5], b"code\0");
        assert_eq!(&image[SETUP + 0x1000..][..4], b"data");
        assert_eq!(image[0x1F1], 1);
        assert_eq!(&image[0x202..0x206], b"HdrS");
        assert_eq!(image[0x1F4..0x1F8], (0x1010_u32 / 16).to_le_bytes());
        assert_eq!(image[0x260..0x264], 0x4000_u32.to_le_bytes());
    }

    #[test]
    fn what_cannot_be_loaded_is_refused() {
        assert!(bzimage(b"no ELF").is_err());
        assert!(bzimage(&elf(&[(BASE - 1, b"x", 1)])).is_err());
        assert!(bzimage(&elf(&[(BASE + 1, b"x", 1), (BASE, b"x", 1)])).is_err());
    }
}
