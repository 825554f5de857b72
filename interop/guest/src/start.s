# Where the two boot protocols enter: by PVH in 32-bit mode without paging, by Linux's 64-bit protocol with it.
# Either way the kernel goes on with tables of its own, a stack, zeroed memory, and two arguments: which protocol it was,
# and the address of what that protocol tells.

.set PROTOCOL_PVH, 1
.set PROTOCOL_LINUX, 2
.set CODE, 0x08
.set DATA, 0x10

.section .boot, "ax"
.code64
# The Linux protocol's 32-bit entry: the header does not offer it.
    ud2

# Linux's 64-bit entry: RSI is the address of the boot parameters, memory is mapped one to one, interrupts are off.
.org 0x200
linux_start:
    cld
    mov ebx, esi
    mov ebp, PROTOCOL_LINUX
    lea rax, [rip + pml4]
    mov cr3, rax
    lgdt [rip + gdt_pointer]
    lea rsp, [rip + {stack} + {stack_len}]
    push CODE
    lea rax, [rip + start]
    push rax
    retfq

.code32
# PVH: EBX is the address of the start info, segments are flat, paging and interrupts are off.
.globl pvh_start
pvh_start:
    cld
    mov ebp, PROTOCOL_PVH
    lgdt [gdt_pointer]
    mov eax, cr4
    or eax, 1 << 5                  # PAE
    mov cr4, eax
    mov eax, offset pml4
    mov cr3, eax
    mov ecx, 0xC0000080             # EFER
    rdmsr
    or eax, 1 << 8                  # long mode
    wrmsr
    mov eax, cr0
    or eax, 0x80000001              # paging, protection
    mov cr0, eax
    # The far jump to 64-bit code, as its bytes: assemblers disagree on how it is written.
    .byte 0xEA
    .long start
    .word CODE

.code64
start:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    xor eax, eax
    mov fs, eax
    mov gs, eax
    # Hypercalls may use XMM registers: EM and TS off, MP and OSFXSR on.
    mov rax, cr0
    and rax, ~0xC
    or rax, 2
    mov cr0, rax
    mov rax, cr4
    or rax, 3 << 9
    mov cr4, rax
    lea rdi, [rip + __bss_start]
    lea rcx, [rip + __bss_end]
    sub rcx, rdi
    xor eax, eax
    rep stosb
    lea rsp, [rip + {stack} + {stack_len}]
    mov edi, ebp
    mov esi, ebx
    xor ebp, ebp
    call {main}
    ud2

.section .data.boot, "aw"
.balign 16
gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF        # code, 64 bits
    .quad 0x00CF93000000FFFF        # data
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt

# The first 4 GiB one to one in pages of 2 MiB, the last one uncached: the local APIC is there.
.balign 4096
pml4:
    .quad pdpt + 3
    .fill 511, 8, 0
pdpt:
    .quad directories + 0x0003
    .quad directories + 0x1003
    .quad directories + 0x2003
    .quad directories + 0x3003
    .fill 508, 8, 0
directories:
    .set page, 0
    .rept 1536
    .quad page + 0x83
    .set page, page + 0x200000
    .endr
    .rept 512
    .quad page + 0x9B
    .set page, page + 0x200000
    .endr

# What says that there is a PVH entry: name "Xen", type 18 (XEN_ELFNOTE_PHYS32_ENTRY).
.section .note.pvh, "a", @note
.balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad pvh_start
