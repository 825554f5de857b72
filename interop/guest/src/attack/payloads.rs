//! What devices get to read: SCSI requests, and messages to a network card.

use super::bytes::{Bytes, Dice, put};

/// `VSTOR_OPERATION_*` of a negotiation, in its order: begin, version, properties, end.
const STORAGE_HELLO: [u32; 4] = [7, 9, 10, 8];
/// The version that is asked for, 6.2.
const STORAGE_VERSION: u32 = 0x0602;
/// Bytes of an SRB with its extension.
const SRB_LEN: u32 = 0x34;
/// Operation codes that a disk knows, and some that none does.
const OPCODES: [u32; 24] = [
    0x00, 0x03, 0x12, 0x15, 0x1A, 0x1B, 0x1E, 0x25, 0x28, 0x2A, 0x2F, 0x35, 0x41, 0x42, 0x55, 0x5A, 0x7F,
    0x88, 0x8A, 0x8F, 0x91, 0x93, 0x9E, 0xA0,
];
/// NVSP's messages, as `netvsc_proto::wire::nvsp` numbers them: those of a guest, and some of a host.
const NVSP: [u32; 18] = [
    1, 2, 3, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 125, 128, 130, 133, 135,
];
/// RNDIS's messages.
const RNDIS: [u32; 9] = [1, 2, 3, 4, 5, 6, 7, 8, 0x8000_0002];

/// Step `step` of a storage channel's negotiation, done right.
pub fn storage_hello(step: usize) -> Option<Bytes> {
    let operation = *STORAGE_HELLO.get(step)?;
    let mut bytes = Bytes::new();
    put(&mut bytes, &[operation, 1, 0]);
    put(&mut bytes, &[if step == 1 { STORAGE_VERSION } else { 0 }]);
    let _fits = bytes.resize(64, 0);
    Some(bytes)
}

/// A storage packet: mostly a command with a CDB and lengths of any kind.
pub fn storage(dice: &mut Dice) -> Bytes {
    let mut bytes = Bytes::new();
    let operation = if dice.one_in(4) { dice.word() & 0xF } else { 3 };
    put(&mut bytes, &[operation, 1, 0]);
    let length = if dice.one_in(4) {
        dice.word() & 0xFFFF
    } else {
        SRB_LEN
    };
    let address = if dice.one_in(3) { dice.word() } else { 0 };
    let (cdb_length, sense, direction) = (dice.below(24), dice.word() & 0xFF, dice.below(4));
    let transfer = if dice.one_in(2) {
        dice.word()
    } else {
        dice.below(9) * 512
    };
    put(
        &mut bytes,
        &[
            length,
            address,
            direction << 16 | sense << 8 | cdb_length,
            transfer,
        ],
    );
    let opcode = if dice.one_in(6) {
        dice.word()
    } else {
        dice.of(&OPCODES)
    };
    let [opcode, ..] = opcode.to_le_bytes();
    let _fits = bytes.push(opcode);
    dice.fill(&mut bytes, 23);
    let _fits = bytes.resize(64, 0);
    dice.spoil(&mut bytes);
    bytes
}

/// Step `step` of a network channel's negotiation, done right as far as it needs no memory.
pub fn network_hello(step: usize) -> Option<Bytes> {
    let mut bytes = Bytes::new();
    match step {
        0 => put(&mut bytes, &[1, 0x6_0001, 0x6_0001]),
        1 => put(&mut bytes, &[125, 1500 + 14, 0, 0, 0]),
        2 => put(&mut bytes, &[100, 6, 30]),
        _ => return None,
    }
    let _fits = bytes.resize(40, 0);
    Some(bytes)
}

/// A message to a network card.
pub fn network(dice: &mut Dice) -> Bytes {
    let mut bytes = Bytes::new();
    let kind = if dice.one_in(8) {
        dice.word()
    } else {
        dice.of(&NVSP)
    };
    let (first, second, third) = (dice.word(), dice.word(), dice.word());
    put(&mut bytes, &[kind, first, second, third]);
    dice.fill(&mut bytes, 24);
    dice.spoil(&mut bytes);
    bytes
}

/// The message that says: an RNDIS message is in the pages that this packet lists.
pub fn rndis_announcement(dice: &mut Dice) -> Bytes {
    let mut bytes = Bytes::new();
    let section = if dice.one_in(4) { dice.word() } else { u32::MAX };
    let (channel, size) = (dice.below(3), dice.word());
    put(&mut bytes, &[107, channel, section, size]);
    let _fits = bytes.resize(40, 0);
    bytes
}

/// An RNDIS message: offsets and lengths that lie.
pub fn rndis(dice: &mut Dice) -> Bytes {
    let mut bytes = Bytes::new();
    let kind = if dice.one_in(8) {
        dice.word()
    } else {
        dice.of(&RNDIS)
    };
    let length = if dice.one_in(2) {
        dice.word()
    } else {
        44 + dice.below(400)
    };
    put(&mut bytes, &[kind, length]);
    for _ in 0..dice.below(60) {
        let word = dice.word();
        put(&mut bytes, &[word]);
    }
    dice.spoil(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use netvsc_proto::wire::nvsp_message::GuestMessage as NetworkMessage;
    use storvsc_proto::wire::GuestMessage as StorageMessage;

    #[test]
    fn negotiations_are_right() {
        let storage: std::vec::Vec<_> = (0..).map_while(storage_hello).collect();
        assert_eq!(storage.len(), 4);
        assert!(storage.iter().all(|bytes| StorageMessage::decode(bytes).is_ok()));
        let network: std::vec::Vec<_> = (0..).map_while(network_hello).collect();
        assert_eq!(network.len(), 3);
        assert!(network.iter().all(|bytes| NetworkMessage::decode(bytes).is_ok()));
    }

    #[test]
    fn some_get_through_the_decoder_and_some_do_not() {
        let mut dice = Dice::new(9);
        let storage = (0..2000)
            .filter(|_| StorageMessage::decode(&storage(&mut dice)).is_ok())
            .count();
        let network = (0..2000)
            .filter(|_| NetworkMessage::decode(&network(&mut dice)).is_ok())
            .count();
        assert!((200..1900).contains(&storage), "{storage}");
        assert!((200..1900).contains(&network), "{network}");
        for _ in 0..2000 {
            let _any = (rndis_announcement(&mut dice), rndis(&mut dice));
        }
    }
}
