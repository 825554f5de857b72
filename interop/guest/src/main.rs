//! The kernel: where it is entered, and how it ends.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod bare {
    use core::arch::global_asm;
    use core::cell::UnsafeCell;
    use core::panic::PanicInfo;

    use guest::boot::Boot;
    use guest::report::Status;
    use guest::{checks, cpu, println, serial};

    const STACK_LEN: usize = 512 << 10;

    #[repr(C, align(4096))]
    struct Stack(UnsafeCell<[u8; STACK_LEN]>);

    // SAFETY: nothing but the processor's stack pointer reaches it.
    unsafe impl Sync for Stack {}

    static STACK: Stack = Stack(UnsafeCell::new([0; STACK_LEN]));

    global_asm!(
        include_str!("start.s"),
        stack = sym STACK,
        stack_len = const STACK_LEN,
        main = sym main,
    );

    extern "sysv64" fn main(protocol: u32, info: u32) -> ! {
        serial::init();
        // SAFETY: this is the one start of the one processor, and `start.s` has set up paging as it has to be.
        let status = unsafe {
            cpu::init();
            checks::run(&Boot::new(protocol, info))
        };
        cpu::exit(status)
    }

    #[panic_handler]
    fn panic(info: &PanicInfo<'_>) -> ! {
        println!("@fatal {}", info);
        cpu::exit(Status::Failed)
    }
}

#[cfg(not(target_os = "none"))]
fn main() -> std::process::ExitCode {
    eprintln!("error: this is a kernel; build and run it with: cargo xtask guest");
    std::process::ExitCode::FAILURE
}
