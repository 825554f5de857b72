//! The console: the first serial port.

use core::fmt::{self, Write};

use uart_16550::backend::PioBackend;
use uart_16550::{Config, Uart16550};

const PORT: u16 = 0x3F8;

/// Sets the port up. Before that, and on a machine without one, what is printed is lost.
pub fn init() {
    if let Some(mut uart) = uart() {
        // What it says of a machine without a serial port there is nobody to tell.
        let _absent = uart.init(Config::default());
    }
}

fn uart() -> Option<Uart16550<PioBackend>> {
    // SAFETY: these are the ports of COM1 on any PC. Two values of this kind at a time would mix their bytes, at worst.
    unsafe { Uart16550::new_port(PORT) }.ok()
}

/// Prints to the console; what [`println!`](crate::println) comes to.
#[doc(hidden)]
pub fn print(arguments: fmt::Arguments<'_>) {
    struct Console(Uart16550<PioBackend>);

    impl Write for Console {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.send_bytes_exact(text.as_bytes());
            Ok(())
        }
    }

    if let Some(uart) = uart() {
        // Nothing above fails.
        let _never = Console(uart).write_fmt(arguments);
    }
}

/// Prints a line to the console.
#[macro_export]
macro_rules! println {
    ($($argument:tt)*) => {
        $crate::serial::print(::core::format_args!("{}\n", ::core::format_args!($($argument)*)))
    };
}
