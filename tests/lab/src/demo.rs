//! The main job in front of an audience: one container, two neighbours, and the commands that part them.

use std::net::IpAddr;
use std::path::Path;

use crate::{Answer, Client, Lab, LabError, LabSpec, Probe, Protocol};

const PORT: u16 = 8080;
const OTHER_PORT: u16 = 8081;

/// What is typed.
const COMMANDS: [&str; 4] =
    ["set create ipfriends", "set add ipfriends 203.0.113.10 fd00:1::10", "allow web --from ipfriends", "ls"];

/// Makes a lab, shows it, takes it away. Whether everybody got what they should.
pub fn run(spec: LabSpec, plugin: &Path, verbose: bool) -> Result<bool, LabError> {
    println!("Starting a host with Docker {} and two neighbours around it", spec.engine);
    let lab = Lab::up(spec)?;
    lab.install_plugin(plugin)?;
    lab.run("web", &["-p", "8080:80"], &["tcp=80"])?;
    lab.run("other", &["-p", "8081:80"], &["tcp=80"])?;
    println!("\n# docker ps");
    print!("{}", lab.docker(&["ps", "--format", "table {{.Names}}\t{{.Ports}}"])?.stdout);

    println!("\nBefore: Docker lets everybody in");
    let mut right = look(&lab, &[Client::Friend, Client::Stranger])?;
    for command in COMMANDS {
        println!("\n# docker firewall {command}");
        let mut words = vec!["firewall"];
        words.extend(command.split_whitespace());
        let output = lab.docker(&words)?;
        print!("{}{}", output.stderr, output.stdout);
        right &= output.success();
    }
    println!("\nAfter: web is the friend's alone, other is as it was");
    right &= look(&lab, &[Client::Friend])?;
    if verbose {
        let saves = lab.save()?;
        for (title, text) in [("iptables-save", saves.v4), ("ip6tables-save", saves.v6), ("ipset save", saves.ipset)] {
            println!("\n# {title}\n{text}");
        }
    }
    println!("\n{}", if right { "All as it should be." } else { "NOT as it should be." });
    lab.down()?;
    println!("The host, its neighbours and everything on it are gone again.");
    Ok(right)
}

/// Has both neighbours try both containers and prints what they got; `welcome` are those whom web shall answer.
fn look(lab: &Lab, welcome: &[Client]) -> Result<bool, LabError> {
    let addresses: [IpAddr; 2] = [Client::Host.v4(), Client::Host.v6()];
    println!("  {:<10} {:<10} {:<24} {:<24}", "FROM", "TO", "IPV4", "IPV6");
    let mut right = true;
    for client in [Client::Friend, Client::Stranger] {
        for (container, port) in [("web", PORT), ("other", OTHER_PORT)] {
            let probes = addresses.map(|to| Probe::new(client, Protocol::Tcp, to, port));
            let answers = lab.probe_all(&probes)?;
            let open = container != "web" || welcome.contains(&client);
            right &= answers.iter().all(|answer| answer.peer() == open.then_some(container));
            let words: Vec<String> = answers.iter().map(word).collect();
            println!("  {:<10} {:<10} {:<24} {:<24}", client.name(), container, words[0], words[1]);
        }
    }
    Ok(right)
}

fn word(answer: &Answer) -> String {
    match answer {
        Answer::Answered(_) => "answered".to_owned(),
        other => other.to_string(),
    }
}
