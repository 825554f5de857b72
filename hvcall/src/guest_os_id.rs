//! Who a guest says it is.

use core::fmt;

use crate::macros::open_code;

open_code! {
    /// The kind of an open-source guest, 0 to 127. Source: TLFS "Guest OS Identity MSR for Open Source Operating
    /// Systems".
    pub struct OsType(u8) as "" {
        /// None that has a number.
        UNDEFINED = 0,
        /// Linux.
        LINUX = 1,
        /// FreeBSD.
        FREEBSD = 2,
        /// Xen.
        XEN = 3,
        /// Illumos.
        ILLUMOS = 4,
    }
}

open_code! {
    /// The vendor of a proprietary guest, 0 to 0x7fff. Source: TLFS "Guest OS Identity for proprietary Operating
    /// Systems".
    pub struct Vendor(u16) as "" {
        /// Microsoft.
        MICROSOFT = 1,
        /// HPE.
        HPE = 2,
        /// LANCOM.
        LANCOM = 0x200,
    }
}

/// The identity that a guest writes before it may make hypercalls; 0 until then.
///
/// | bits | open source | proprietary |
/// |---|---|---|
/// | 63 | 1 | 0 |
/// | 62:56 | [`OsType`] | [`Vendor`], with 55:48 |
/// | 55:48 | more about the vendor | (vendor) |
/// | 47:16 | version of the kernel | OS id, major, minor, service version, a byte each |
/// | 15:0 | build | build |
///
/// Source: TLFS "Reporting the Guest OS Identity".
///
/// ```
/// use hvcall::{GuestOs, GuestOsId, OsType};
///
/// let id = GuestOsId::open_source(OsType::LINUX, 0, 0x0006_0114, 0);
/// assert_eq!(id.bits(), 0x8100_0006_0114_0000);
/// assert!(matches!(id.decode(), GuestOs::OpenSource { os_type: OsType::LINUX, .. }));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct GuestOsId(u64);

/// What a [`GuestOsId`] tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GuestOs {
    /// Nothing yet: the guest has not said who it is, and the hypercall page is off.
    Unset,
    /// An open-source guest.
    OpenSource {
        /// Its kind.
        os_type: OsType,
        /// More about its vendor.
        os_id: u8,
        /// Version of its kernel; Linux puts `LINUX_VERSION_CODE` here.
        version: u32,
        /// Build, or whatever else it tells.
        build: u16,
    },
    /// A proprietary guest.
    Proprietary {
        /// Who makes it.
        vendor: Vendor,
        /// Which of the vendor's; 4 is Windows NT, for Microsoft.
        os_id: u8,
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
        /// Service version, for example a service pack.
        service: u8,
        /// Build.
        build: u16,
    },
}

impl GuestOsId {
    /// An open-source guest. Only the low 7 bits of the type count.
    #[must_use]
    pub const fn open_source(os_type: OsType, os_id: u8, version: u32, build: u16) -> Self {
        let kind = (0x80 | os_type.0) as u64;
        Self(kind << 56 | (os_id as u64) << 48 | (version as u64) << 16 | build as u64)
    }

    /// A proprietary guest. Only the low 15 bits of the vendor count.
    #[must_use]
    pub const fn proprietary(vendor: Vendor, os_id: u8, version: [u8; 3], build: u16) -> Self {
        let [major, minor, service] = version;
        Self(
            ((vendor.0 & 0x7fff) as u64) << 48
                | (os_id as u64) << 40
                | (major as u64) << 32
                | (minor as u64) << 24
                | (service as u64) << 16
                | build as u64,
        )
    }

    /// The register as a guest wrote it, whatever it holds.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The register.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// What it tells. Guests are free to put other things there: this is for display, not for decisions.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "each cast takes the field that the shift left"
    )]
    pub const fn decode(self) -> GuestOs {
        let bits = self.0;
        if bits == 0 {
            GuestOs::Unset
        } else if bits >> 63 != 0 {
            GuestOs::OpenSource {
                os_type: OsType((bits >> 56) as u8 & 0x7f),
                os_id: (bits >> 48) as u8,
                version: (bits >> 16) as u32,
                build: bits as u16,
            }
        } else {
            GuestOs::Proprietary {
                vendor: Vendor((bits >> 48) as u16),
                os_id: (bits >> 40) as u8,
                major: (bits >> 32) as u8,
                minor: (bits >> 24) as u8,
                service: (bits >> 16) as u8,
                build: bits as u16,
            }
        }
    }
}

impl fmt::Debug for GuestOsId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GuestOsId({:#x}: {:?})", self.0, self.decode())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn windows_tells_its_version() {
        let id = GuestOsId::proprietary(Vendor::MICROSOFT, 4, [10, 0, 0], 20348);
        assert_eq!(id.bits(), 0x0001_040a_0000_4f7c);
    }

    proptest! {
        #[test]
        fn any_id_survives(bits: u64) {
            let rebuilt = match GuestOsId::from_bits(bits).decode() {
                GuestOs::Unset => GuestOsId::default(),
                GuestOs::OpenSource { os_type, os_id, version, build } => {
                    GuestOsId::open_source(os_type, os_id, version, build)
                }
                GuestOs::Proprietary { vendor, os_id, major, minor, service, build } => {
                    GuestOsId::proprietary(vendor, os_id, [major, minor, service], build)
                }
            };
            prop_assert_eq!(rebuilt.bits(), bits);
        }
    }
}
