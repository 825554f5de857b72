//! A cable that can be pulled.

use gateway::{Delivery, FrameSink, Link, StartError, Statistics, TransmitError};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

/// The cable between a card and its network.
#[derive(Default)]
pub(super) struct Cable {
    is_pulled: AtomicBool,
    card: OnceLock<Arc<dyn FrameSink>>,
}

impl Cable {
    /// Pulls the cable, or plugs it in.
    pub(super) fn set(&self, pulled: bool) {
        self.is_pulled.store(pulled, Ordering::Release);
        if let Some(card) = self.card.get() {
            card.link_changed(!pulled);
        }
    }

    fn is_pulled(&self) -> bool {
        self.is_pulled.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Cable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cable")
            .field("is_pulled", &self.is_pulled)
            .finish_non_exhaustive()
    }
}

/// A link by that cable.
pub(super) struct Cabled {
    pub(super) link: Box<dyn Link>,
    pub(super) cable: Arc<Cable>,
}

impl Link for Cabled {
    fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError> {
        let sink = self.cable.card.get_or_init(|| sink);
        self.link.start(Arc::new(Plugged {
            card: Arc::clone(sink),
            cable: Arc::clone(&self.cable),
        }))
    }

    fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
        if self.cable.is_pulled() {
            return Err(TransmitError::Down);
        }
        self.link.transmit(frame)
    }

    fn resume(&self) {
        self.link.resume();
    }

    fn is_up(&self) -> bool {
        !self.cable.is_pulled() && self.link.is_up()
    }

    fn shutdown(&self) {
        self.link.shutdown();
    }

    fn statistics(&self) -> Statistics {
        self.link.statistics()
    }
}

/// The card, as the network sees it through the cable.
struct Plugged {
    card: Arc<dyn FrameSink>,
    cable: Arc<Cable>,
}

impl FrameSink for Plugged {
    fn deliver(&self, frame: &[u8]) -> Delivery {
        if self.cable.is_pulled() {
            return Delivery::Taken;
        }
        self.card.deliver(frame)
    }

    fn flush(&self) {
        self.card.flush();
    }

    fn link_changed(&self, up: bool) {
        self.card.link_changed(up && !self.cable.is_pulled());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    /// A network that sends back what it gets.
    #[derive(Default)]
    struct Echo(OnceLock<Arc<dyn FrameSink>>);

    impl Link for Echo {
        fn start(&self, sink: Arc<dyn FrameSink>) -> Result<(), StartError> {
            self.0.set(sink).map_err(|_| StartError::Started)
        }

        fn transmit(&self, frame: &[u8]) -> Result<(), TransmitError> {
            let _delivery = self.0.get().ok_or(TransmitError::Down)?.deliver(frame);
            Ok(())
        }

        fn resume(&self) {}

        fn is_up(&self) -> bool {
            true
        }

        fn shutdown(&self) {}

        fn statistics(&self) -> Statistics {
            Statistics::default()
        }
    }

    #[derive(Default)]
    struct Card {
        frames: Mutex<usize>,
        changes: Mutex<Vec<bool>>,
    }

    impl FrameSink for Card {
        fn deliver(&self, _: &[u8]) -> Delivery {
            *self.frames.lock().unwrap() += 1;
            Delivery::Taken
        }

        fn link_changed(&self, up: bool) {
            self.changes.lock().unwrap().push(up);
        }
    }

    #[test]
    fn nothing_goes_through_a_cable_that_is_pulled() {
        let (cable, card) = (Arc::new(Cable::default()), Arc::new(Card::default()));
        let link = Cabled {
            link: Box::new(Echo::default()),
            cable: Arc::clone(&cable),
        };
        link.start(Arc::clone(&card) as Arc<dyn FrameSink>).unwrap();
        assert!(matches!(
            link.start(Arc::new(Card::default())),
            Err(StartError::Started)
        ));
        link.transmit(&[0; 60]).unwrap();
        cable.set(true);
        assert!(!link.is_up());
        assert_eq!(link.transmit(&[0; 60]), Err(TransmitError::Down));
        let late = Plugged {
            card: Arc::clone(&card) as Arc<dyn FrameSink>,
            cable: Arc::clone(&cable),
        };
        assert_eq!(late.deliver(&[0; 60]), Delivery::Taken, "and dropped");
        late.link_changed(true);
        cable.set(false);
        assert!(link.is_up());
        link.transmit(&[0; 60]).unwrap();
        assert_eq!(*card.frames.lock().unwrap(), 2);
        assert_eq!(*card.changes.lock().unwrap(), [false, false, true]);
    }
}
