//! The wires: three network namespaces around the bridge `br-ext` of the host.

use std::process::Command;

use crate::LabError;
use crate::client::{Client, within};
use crate::command::{PATH, run};

/// Makes the namespaces of a lab and joins them.
pub(crate) fn lay(lab: &str) -> Result<(), LabError> {
    for client in Client::ALL {
        ip(&["netns", "add", &client.namespace(lab)], "")?;
        within(lab, client, || settings(client))?;
    }
    // Made in place, so that no device of any lab is ever seen outside its namespaces.
    let wires = [Client::Friend, Client::Stranger].map(|client| {
        let namespace = client.namespace(lab);
        format!("link add {client} type veth peer name eth0 netns {namespace}\nlink set {client} master br-ext up\n")
    });
    // Snooping would make the bridge wait for a listener report before it passes neighbour discovery on.
    let host = format!(
        "link set lo up\nlink add br-ext type bridge mcast_snooping 0\n{}\
         link set br-ext up\naddr add {}/24 dev br-ext\naddr add {}/64 dev br-ext nodad\n",
        wires.concat(),
        Client::Host.v4(),
        Client::Host.v6()
    );
    batch(lab, Client::Host, &host)?;
    for client in [Client::Friend, Client::Stranger] {
        let (v4, v6) = (Client::Host.v4(), Client::Host.v6());
        let text = format!(
            "link set lo up\nlink set eth0 up\naddr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad\n\
             route add default via {v4}\nroute add default via {v6}\n",
            client.v4(),
            client.v6()
        );
        batch(lab, client, &text)?;
    }
    Ok(())
}

/// The kernel switches of a namespace; before any device is there, so that all devices get them.
fn settings(client: Client) -> Result<(), LabError> {
    // Without the second that duplicate address detection takes, during which an address is there but not usable.
    let mut switches = vec![("ipv6/conf/all/accept_dad", "0"), ("ipv6/conf/default/accept_dad", "0")];
    if client == Client::Host {
        // On beforehand, as on most servers: dockerd then leaves the FORWARD policy at ACCEPT, the harder case for us.
        switches.extend([("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")]);
    }
    for (switch, value) in switches {
        let path = format!("/proc/sys/net/{switch}");
        std::fs::write(&path, value).map_err(LabError::io(path.clone()))?;
    }
    Ok(())
}

fn batch(lab: &str, client: Client, text: &str) -> Result<(), LabError> {
    ip(&["-n", &client.namespace(lab), "-batch", "-"], text)
}

fn ip(arguments: &[&str], input: &str) -> Result<(), LabError> {
    // Root's PATH after a plain `su` lacks the sbin directories.
    run(Command::new("ip").env("PATH", PATH).args(arguments), input)?
        .require(&format!("ip {}", arguments.join(" ")))
        .map(drop)
}
