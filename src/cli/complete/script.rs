//! What a shell needs to complete `docker-firewall`, the plugin on its own. `docker firewall` is completed by Docker's
//! own scripts.

use crate::cli::args::Shell;

/// The script for a shell, which completes the program of that name.
pub(in crate::cli) fn script(shell: Shell, program: &str) -> String {
    let script = match shell {
        Shell::Bash => include_str!("script.bash"),
        Shell::Zsh => include_str!("script.zsh"),
        Shell::Fish => include_str!("script.fish"),
    };
    let function = program.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    script.replace("@PROGRAM@", program).replace("@FUNCTION@", &function)
}
