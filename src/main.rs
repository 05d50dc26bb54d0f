//! The `towline` binary.

/// glibc's allocator spends a fifth of a busy leader's time on its arenas' locks.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    towline::cli::main()
}
