//! The only way to stdout and stderr.
//!
//! stdout carries results, stderr everything else. A reader that goes away (`| head -1`) ends the printing, not the
//! command, and never panics; any other fault of stdout is kept and becomes the command's failure.

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write};

use serde::Serialize;
use serde_json::ser::PrettyFormatter;

use super::environment::Env;
use super::failure::Failure;
use super::table::Table;
use super::text::printable_json;

/// Columns of a page when nobody knows better, as in Docker.
const DEFAULT_WIDTH: usize = 80;

/// What is known of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "three streams and a wish are no state machine")]
pub struct Terminal {
    /// stdin is one.
    pub stdin: bool,
    /// stdout is one.
    pub stdout: bool,
    /// stderr is one.
    pub stderr: bool,
    /// Colour is welcome on stdout: it is a terminal and `NO_COLOR` is empty.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

impl Terminal {
    /// Asks the process's own streams.
    pub fn of_process(env: &Env) -> Self {
        let stdout = io::stdout().is_terminal();
        // Docker measures stdin, so that `--help | less` fills the screen.
        let size = rustix::termios::tcgetwinsize(io::stdin())
            .or_else(|_| rustix::termios::tcgetwinsize(io::stdout()))
            .map_or(0, |size| usize::from(size.ws_col));
        Self {
            stdin: io::stdin().is_terminal(),
            stdout,
            stderr: io::stderr().is_terminal(),
            colour: stdout && env.text("NO_COLOR").is_none(),
            width: if size == 0 { DEFAULT_WIDTH } else { size },
        }
    }
}

/// Results and remarks.
pub struct Output {
    out: BufWriter<Box<dyn Write + Send>>,
    err: Box<dyn Write + Send>,
    /// Nobody reads stdout any more.
    closed: bool,
    /// stdout took something badly: a full disk.
    fault: Option<io::Error>,
    terminal: Terminal,
}

impl Output {
    /// The process's own streams.
    pub fn of_process(env: &Env) -> Self {
        Self::new(Box::new(io::stdout()), Box::new(io::stderr()), Terminal::of_process(env))
    }

    /// Any two streams.
    pub fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>, terminal: Terminal) -> Self {
        Self { out: BufWriter::with_capacity(64 * 1024, out), err, closed: false, fault: None, terminal }
    }

    /// What is known of the terminal.
    pub fn terminal(&self) -> Terminal {
        self.terminal
    }

    /// Whether printing more is pointless; long lists may stop.
    pub fn is_closed(&self) -> bool {
        self.closed || self.fault.is_some()
    }

    fn attempt(&mut self, write: impl FnOnce(&mut BufWriter<Box<dyn Write + Send>>) -> io::Result<()>) {
        if self.is_closed() {
            return;
        }
        match write(&mut self.out) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::BrokenPipe => self.closed = true,
            Err(error) => self.fault = Some(error),
        }
    }

    /// Prints text to stdout as it is.
    pub fn print(&mut self, text: &str) {
        self.attempt(|out| out.write_all(text.as_bytes()));
    }

    /// Prints a line to stdout.
    pub fn line(&mut self, text: &str) {
        self.attempt(|out| writeln!(out, "{text}"));
    }

    /// Prints a table to stdout from its line `first` on: on a terminal as wide as that is, whole everywhere else.
    pub fn table_from(&mut self, table: &Table, first: usize) {
        let width = self.terminal.stdout.then_some(self.terminal.width);
        let text = table.render(width, self.terminal.colour);
        text.split_inclusive('\n').skip(first).for_each(|line| self.print(line));
    }

    /// Prints a whole table to stdout.
    pub fn table(&mut self, table: &Table) {
        self.table_from(table, 0);
    }

    /// Prints one compact object on a line of its own, keys sorted as Docker's are.
    pub fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let value = serde_json::to_value(value).map_err(|error| Failure::internal(error.to_string()))?;
        self.line(&printable_json(&value.to_string()));
        Ok(())
    }

    /// Prints what `inspect` prints: an array, indented by 4 spaces, or compact for `--format json`.
    pub fn json_array<T: Serialize>(&mut self, values: &[T], compact: bool) -> Result<(), Failure> {
        let mut text = Vec::new();
        let result = if compact {
            serde_json::to_writer(&mut text, values)
        } else {
            let formatter = PrettyFormatter::with_indent(b"    ");
            values.serialize(&mut serde_json::Serializer::with_formatter(&mut text, formatter))
        };
        result.map_err(|error| Failure::internal(error.to_string()))?;
        text.push(b'\n');
        self.print(&printable_json(&String::from_utf8_lossy(&text)));
        Ok(())
    }

    /// Prints a remark to stderr, after what stdout has so far.
    pub fn note(&mut self, text: &str) {
        self.flush();
        // There is nowhere left to complain about stderr.
        let _ = writeln!(self.err, "{text}");
    }

    /// Prints the message and the hints of a failure to stderr.
    pub fn failure(&mut self, failure: &Failure) {
        if !failure.message.is_empty() {
            self.note(&failure.message);
        }
        for hint in &failure.hints {
            self.note(hint);
        }
    }

    /// Sends what is buffered on its way.
    pub fn flush(&mut self) {
        self.attempt(Write::flush);
    }

    /// Flushes, and reports what stdout took badly.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.flush();
        match self.fault.take() {
            None => Ok(()),
            Some(error) => Err(Failure::environment(format!("cannot write to standard output: {error}"))),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// A stream whose bytes can be read afterwards.
    #[derive(Clone, Default)]
    pub(crate) struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Shared {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A stream that fails.
    struct Failing(ErrorKind);

    impl Write for Failing {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    pub(crate) const NO_TERMINAL: Terminal =
        Terminal { stdin: false, stdout: false, stderr: false, colour: false, width: 80 };

    #[test]
    fn keeps_results_and_remarks_apart_and_in_order() {
        let both = Shared::default();
        let mut output = Output::new(Box::new(both.clone()), Box::new(both.clone()), NO_TERMINAL);
        output.line("one");
        output.note("two");
        output.json_line(&serde_json::json!({"Name": "web", "Id": "3"})).unwrap();
        output.json_array(&[[1]], false).unwrap();
        output.json_array::<u8>(&[], true).unwrap();
        output.finish().unwrap();
        assert_eq!(both.text(), "one\ntwo\n{\"Id\":\"3\",\"Name\":\"web\"}\n[\n    [\n        1\n    ]\n]\n[]\n");
    }

    #[test]
    fn a_reader_gone_is_no_fault_but_a_full_disk_is() {
        let mut output = Output::new(Box::new(Failing(ErrorKind::BrokenPipe)), Box::new(io::sink()), NO_TERMINAL);
        output.line("one");
        output.flush();
        assert!(output.is_closed());
        assert!(output.finish().is_ok());
        let mut output = Output::new(Box::new(Failing(ErrorKind::StorageFull)), Box::new(io::sink()), NO_TERMINAL);
        output.line("one");
        assert!(output.finish().is_err());
    }
}
