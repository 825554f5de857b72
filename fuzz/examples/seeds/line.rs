//! A trace's lines.

/// A line of the trace.
pub struct Line<'a> {
    /// `vmbus`, or a device and the channel's index.
    pub place: &'a str,
    pub from_guest: bool,
    /// The packet's type and all that is told of it.
    pub what: &'a str,
    /// Those that are shown.
    pub bytes: Vec<u8>,
    /// Whether all are.
    pub is_whole: bool,
}

impl<'a> Line<'a> {
    /// Reads a line; none where no bytes are shown.
    pub fn read(line: &'a str) -> Option<Self> {
        let (head, tail) = line.rsplit_once(" | ")?;
        let (len, hex) = tail.split_once(" bytes ")?;
        let bytes: Option<Vec<u8>> = hex
            .trim_end_matches("...")
            .as_bytes()
            .chunks(2)
            .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())
            .collect();
        let bytes = bytes?;
        let mut words = head.trim_start().splitn(4, ' ');
        let (_time, place, direction) = (words.next()?, words.next()?, words.next()?);
        Some(Self {
            place,
            from_guest: direction == "guest>host",
            what: words.next().unwrap_or_default(),
            is_whole: len.parse() == Ok(bytes.len()),
            bytes,
        })
    }

    pub fn device(&self) -> &'a str {
        self.place.split('/').next().unwrap_or_default()
    }

    /// The packet's type, or the protocol of a message that it carries.
    pub fn kind(&self) -> &'a str {
        self.what.split(' ').next().unwrap_or_default()
    }

    /// The packet's transaction id, which is also that of messages that it carries.
    pub fn id(&self) -> &'a str {
        let id = self.what.split(' ').nth(2).unwrap_or_default();
        id.trim_end_matches(':')
    }

    /// A little-endian word.
    pub fn word(&self, at: usize) -> u32 {
        let word = self.bytes.get(at..).and_then(|bytes| bytes.first_chunk());
        u32::from_le_bytes(*word.unwrap_or(&[0; 4]))
    }
}
