//! The `towline` binary.

/// glibc's allocator spends a fifth of a busy leader's time on its arenas' locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    // The allocator asks for huge pages, of which an idle process would touch some and hold
    // all: twice its memory. Without them it takes what it uses.
    let _ = nix::sys::prctl::set_thp_disable(true);
    towline::cli::main()
}
