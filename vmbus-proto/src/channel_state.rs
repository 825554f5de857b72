//! What a channel is, for both ends.

/// What a channel is, as its guest and its host tell it in their errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelState {
    /// Not open.
    Closed,
    /// The open request is not answered yet.
    Opening,
    /// Open.
    Open,
    /// On the host: closed by the guest or rescinded, while the device still works on it. On the guest: closed, while the host is still to
    /// be told.
    Closing,
}

impl core::fmt::Display for ChannelState {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Opening => "opening",
            Self::Open => "open",
            Self::Closing => "closing",
        })
    }
}
