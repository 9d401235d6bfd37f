//! The lab by hand: `lab up 28.5`, try things, `lab down`.
#![forbid(unsafe_code)]

use std::io::Write;
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Instant;

use lab::{Client, Engine, Lab, LabError, LabSpec, Probe, Protocol, known, sweep};

const USAGE: &str = "usage: lab COMMAND
  up ENGINE [--flavour nft|legacy] [--name PREFIX] [--no-ipv6] [--foreground] [-- DOCKERD_ARG...]
                                      make a lab that stays until `down`, or until Ctrl-C with --foreground;
                                      ENGINE: 20.10, 26.1, 28.5. Prints its name on stdout, how to get in on stderr
  ls                                  the labs of this machine
  exec NAME COMMAND [ARG...]          run something on the lab's host
  shell NAME                          the same with bash
  as NAME CLIENT COMMAND [ARG...]     run something on host, friend or stranger
  shell-command NAME                  print the nsenter line instead of running it
  run NAME CONTAINER [DOCKER_ARG...] [-- SERVICE...]
                                      start a peer in a container: lab run NAME web -p 8080:80 -- tcp=80 udp=53
  probe NAME CLIENT tcp|udp ADDRESS PORT
                                      one attempt from host, friend or stranger; exit 1 unless it was answered
  install NAME BINARY                 install the plugin in the lab
  engine NAME start|stop|kill         what it says; see dockerd's log in the lab's directory
  down [NAME...]                      take these labs away, or all that stay
  sweep                               take away what dead owners left behind";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match obey(&words) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn obey(words: &[&str]) -> Result<ExitCode, LabError> {
    match words {
        ["up", engine, options @ ..] => return up(engine, options),
        ["ls"] => {
            for lab in known() {
                let state = if lab.kept {
                    "stays"
                } else if lab.is_wanted() {
                    "owned"
                } else {
                    "left behind"
                };
                println!("{}\t{}\t{}\t{state}\t{}", lab.name, lab.spec.engine, lab.spec.flavour, lab.dir.display());
            }
        }
        ["exec", name, command @ ..] if !command.is_empty() => return become_it(name, command),
        ["shell", name] => return become_it(name, &["bash"]),
        ["as", name, client, command @ ..] if !command.is_empty() => {
            let error = Lab::attach(name)?.command_as(client.parse()?, command).exec();
            return Err(LabError::Io { what: command[0].to_owned(), source: error });
        }
        ["shell-command", name] => println!("{}", entrance(&Lab::attach(name)?)),
        ["run", name, container, rest @ ..] => {
            let (docker_args, services) = divided(rest);
            Lab::attach(name)?.run(container, docker_args, services)?;
        }
        ["probe", name, client, protocol, address, port] => {
            let to: IpAddr = parsed("address", address, "IPv4, IPv6")?;
            let port = parsed("port", port, "1 to 65535")?;
            let probe = Probe::new(client.parse::<Client>()?, protocol.parse::<Protocol>()?, to, port);
            let answer = Lab::attach(name)?.probe(&probe)?;
            println!("{answer}");
            return Ok(if answer.reached() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
        }
        ["install", name, binary] => Lab::attach(name)?.install_plugin(Path::new(binary))?,
        ["engine", name, "start"] => Lab::attach(name)?.start_engine()?,
        ["engine", name, "stop"] => Lab::attach(name)?.stop_engine()?,
        ["engine", name, "kill"] => Lab::attach(name)?.kill_engine()?,
        ["down"] => {
            for lab in known().into_iter().filter(|lab| lab.kept || !lab.is_wanted()) {
                lab.down()?;
                eprintln!("{} is down", lab.name);
            }
        }
        ["down", names @ ..] => {
            for name in names {
                let lab = known().into_iter().find(|lab| lab.name == *name);
                lab.ok_or_else(|| LabError::NoLab((*name).to_owned()))?.down()?;
                eprintln!("{name} is down");
            }
        }
        ["sweep"] => {
            for name in sweep()? {
                eprintln!("{name} is down");
            }
        }
        _ => {
            eprintln!("{USAGE}");
            return Ok(ExitCode::from(125));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn up(engine: &str, options: &[&str]) -> Result<ExitCode, LabError> {
    let (options, dockerd_args) = divided(options);
    let mut spec = LabSpec::new(engine.parse::<Engine>()?).dockerd_args(dockerd_args.iter().copied());
    let mut foreground = false;
    let mut rest = options;
    loop {
        rest = match rest {
            [] => break,
            ["--flavour", flavour, rest @ ..] => {
                spec = spec.flavour(flavour.parse()?);
                rest
            }
            ["--name", name, rest @ ..] => {
                spec = spec.name(*name);
                rest
            }
            ["--no-ipv6", rest @ ..] => {
                spec = spec.without_ipv6();
                rest
            }
            // Staying is what `up` does anyway; the word is taken for clearness' sake.
            ["--keep", rest @ ..] => rest,
            ["--foreground", rest @ ..] => {
                foreground = true;
                rest
            }
            [other, ..] => {
                eprintln!("lab up: {other}: unknown\n{USAGE}");
                return Ok(ExitCode::from(125));
            }
        };
    }
    let start = Instant::now();
    let lab = if foreground { Lab::up(spec)? } else { Lab::up_to_stay(spec)? };
    println!("{}", lab.name());
    // Whoever reads the name from a pipe must not wait for the end of the line buffer.
    let _ = std::io::stdout().flush();
    eprintln!(
        "up after {:.1} s, files and logs in {}\nget in:  lab shell {name}\n    or:  {}\nprobe:   lab probe {name} stranger tcp {} 8080",
        start.elapsed().as_secs_f32(),
        lab.dir().display(),
        entrance(&lab),
        Client::Host.v4(),
        name = lab.name(),
    );
    if foreground {
        loop {
            thread::park();
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Replaces this process, so that the terminal, signals and the exit code are the command's own.
fn become_it(name: &str, command: &[&str]) -> Result<ExitCode, LabError> {
    let error = Lab::attach(name)?.command(command).exec();
    Err(LabError::Io { what: command[0].to_owned(), source: error })
}

/// The line that leads into the lab's host from any shell.
fn entrance(lab: &Lab) -> String {
    format!("nsenter --target {} --mount --net --pid --uts --ipc --cgroup -- env HOME=/root bash -l", lab.pid())
}

/// What stands before and behind `--`.
fn divided<'a>(words: &'a [&'a str]) -> (&'a [&'a str], &'a [&'a str]) {
    match words.iter().position(|word| *word == "--") {
        Some(at) => (&words[..at], &words[at + 1..]),
        None => (words, &[]),
    }
}

fn parsed<T: std::str::FromStr>(what: &'static str, text: &str, known: &'static str) -> Result<T, LabError> {
    text.parse().map_err(|_| LabError::Unknown { what, name: text.to_owned(), known })
}
