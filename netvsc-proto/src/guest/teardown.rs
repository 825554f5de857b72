//! In which order a guest takes its memory back.

use vmbus_proto::wire::Version;

/// When the GPADLs of the receive and send buffer are torn down, after [`Event::ShutDown`](super::Event::ShutDown).
///
/// ```
/// use netvsc_proto::guest::Teardown;
/// use vmbus_proto::wire::Version;
///
/// assert_eq!(Teardown::order(Version::WIN8_1), Teardown::BeforeClose);
/// assert_eq!(Teardown::order(Version::COPPER), Teardown::AfterClose);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teardown {
    /// Before the channel is closed.
    BeforeClose,
    /// After the channel was closed.
    AfterClose,
}

impl Teardown {
    /// What the host of this VMBus version expects: after the close from 4.0 on. Source: Linux
    /// `drivers/net/hyperv/netvsc.c`.
    #[must_use]
    pub fn order(version: Version) -> Self {
        if version < Version::WIN10 {
            Self::BeforeClose
        } else {
            Self::AfterClose
        }
    }
}
