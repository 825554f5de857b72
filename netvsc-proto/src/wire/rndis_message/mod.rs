//! RNDIS messages as two enums: what a guest sends and what a host sends. The wrong one does not decode.

mod framed;
mod guest;
mod host;
mod packet;
mod put;

use core::fmt;

pub use framed::Framed;
pub use guest::GuestMessage;
pub use host::HostMessage;
pub use packet::PacketMessage;
pub(crate) use packet::packet_head;

/// The first bytes of a buffer in hexadecimal, and how many there are.
fn bytes(f: &mut fmt::Formatter<'_>, buffer: &[u8]) -> fmt::Result {
    if buffer.is_empty() {
        return Ok(());
    }
    write!(f, " {} bytes", buffer.len())?;
    for (index, byte) in buffer.iter().take(16).enumerate() {
        write!(f, "{}{byte:02x}", if index % 4 == 0 { " " } else { "" })?;
    }
    f.write_str(if buffer.len() > 16 { " .." } else { "" })
}
