//! The one question this program asks.

use std::io::{self, BufRead};

use super::failure::Failure;
use super::output::Output;

/// Asks `question [y/N]` on stdout; only `y` and `Y` are a yes, as in Docker.
///
/// Docker answers "no" for whom it cannot ask and exits with 0. Of a firewall a script would then believe something that
/// is not so: without a terminal this is a failure that names `flag`.
pub fn confirm(output: &mut Output, warning: &str, question: &str, flag: &str) -> Result<bool, Failure> {
    if !output.terminal().stdin {
        return Err(Failure::refused(format!("nothing was changed: there is no terminal to ask on; {flag} confirms")));
    }
    ask(output, warning, question, &mut io::stdin().lock())
}

fn ask(output: &mut Output, warning: &str, question: &str, answers: &mut impl BufRead) -> Result<bool, Failure> {
    output.print(&format!("{warning}\n{question} [y/N] "));
    output.flush();
    let mut answer = String::new();
    let read = answers.read_line(&mut answer).map_err(|error| Failure::environment(format!("no answer: {error}")))?;
    if read == 0 {
        output.line("");
    }
    Ok(matches!(answer.trim(), "y" | "Y"))
}

#[cfg(test)]
mod tests {
    use super::super::output::tests::{NO_TERMINAL, Shared};
    use super::*;

    #[test]
    fn only_y_is_yes() {
        for (answer, yes) in
            [("y\n", true), ("Y\n", true), ("yes\n", false), ("\n", false), ("", false), ("n\n", false)]
        {
            let out = Shared::default();
            let mut output = Output::new(Box::new(out.clone()), Box::new(io::sink()), NO_TERMINAL);
            assert_eq!(ask(&mut output, "WARNING! Gone.", "Sure?", &mut answer.as_bytes()).unwrap(), yes, "{answer:?}");
            assert!(out.text().starts_with("WARNING! Gone.\nSure? [y/N] "));
        }
    }

    #[test]
    fn refuses_without_a_terminal() {
        let mut output = Output::new(Box::new(io::sink()), Box::new(io::sink()), NO_TERMINAL);
        assert_eq!(confirm(&mut output, "w", "q", "--force").unwrap_err().code(), 1);
    }
}
