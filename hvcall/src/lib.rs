//! Hypercalls, SynIC, MSRs, CPUID leaves and reference time of the Hyper-V ABI, for guests and VMMs.
#![no_std]
