//! The `towline` binary.

fn main() -> std::process::ExitCode {
    towline::cli::main()
}
