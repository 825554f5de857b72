//! `outb PORT VALUE`: writes a byte to a port. It is for guests that test, and run in them: a distribution's kernel need not have
//! `/dev/port`.

use std::arch::asm;
use std::io;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1).map(|word| word.parse::<u16>());
    let (Some(Ok(port)), Some(Ok(value)), None) = (words.next(), words.next(), words.next()) else {
        eprintln!("outb PORT VALUE, both decimal");
        return ExitCode::from(2);
    };
    let Ok(value) = u8::try_from(value) else {
        eprintln!("outb: {value} is no byte");
        return ExitCode::from(2);
    };
    match write(port, value) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("outb: port {port:#x}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn write(port: u16, value: u8) -> io::Result<()> {
    // SAFETY: it changes only what this process may do.
    if unsafe { libc::ioperm(port.into(), 1, 1) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the process may write this port, and no memory is touched by it. What a machine does then is what its user wants.
    unsafe {
        asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack, preserves_flags));
    }
    Ok(())
}
