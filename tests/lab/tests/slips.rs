//! Slips of the keyboard and of the editor: each is refused with a sentence that names it, and changes nothing.
//!
//! Needs root and the engines of `tests/engines.sh`: `cargo test -p docker-firewall-lab -- --ignored`.

mod desk;

use desk::{CONFIG, Desk, POLICY, Result};

on_both_ends!(all_of_it, "slips");

fn all_of_it(desk: &Desk) -> Result {
    desk.lab.run("web", &["-p", "8080:80"], &[])?;
    desk.lab.run("web2", &["-p", "8090:80"], &[])?;
    desk.done("set create ipfriends")?;
    desk.done("set add ipfriends 203.0.113.10 198.51.100.0/24")?;
    desk.done("allow web --from ipfriends")?;
    flags(desk)?;
    names(desk)?;
    rules_and_sets(desk)?;
    broken_policies(desk)?;
    broken_sets(desk)?;
    a_lost_policy_opens_nothing(desk)
}

/// Bad values of flags and unknown flags are flag errors.
fn flags(desk: &Desk) -> Result {
    for (line, says) in [
        ("allow web --from any --port 0", "port 0 is out of range"),
        ("allow web --from any --port 65536", "port 65536 is out of range"),
        ("allow web --from any --port 80abc", "\"80abc\" is not a port number"),
        ("allow web --from any --port 443/foo", "unknown protocol \"foo\""),
        ("allow web --from any --port 90-80", "did you mean 80-90?"),
        ("allow web --from any --port 80,", "a port is missing"),
        ("allow web --from any --published 99999", "port 99999 is out of range"),
        ("allow web --from fe80::1%eth0", "has an IPv6 zone"),
        ("allow web --from 10.0.0.300", "\"10.0.0.300\" is not an IP address"),
        ("allow web --from 10.0.0.0/33", "from 0 to 32"),
        ("allow web --from 10.0.0.9-10.0.0.1", "goes backwards"),
        ("allow web --from 10.0.0.1,,10.0.0.2", "a source is empty"),
        ("allow web --from ,", "a source is empty"),
        ("allow web --from ", "a source is empty"),
        ("allow web --from ipset:", "is no kernel ipset"),
        ("allow web --from any --for 0s", "\"0s\" is no time at all"),
        ("allow web --from any --for -1h", "\"-1h\" lies in the past"),
        ("allow web --from any --for soon", "\"soon\" is no duration"),
        ("allow web --from any --before 0", "rules are counted from 1"),
        ("allow web --from any --interface a/b", "is no interface name"),
        ("allow web --from any --interface averyverylongname", "the kernel takes at most 15"),
        ("allow web --frm any", "unknown flag: --frm"),
        ("allow --web --from any", "unknown flag: --web"),
        ("allow web -x", "unknown shorthand flag: 'x' in -x"),
        ("set create --foo", "unknown flag: --foo"),
        ("ls --format yaml", "only table and json are supported"),
        ("ls --filter web", "bad format of filter"),
        ("default --bogus", "unknown flag: --bogus"),
    ] {
        desk.refused(line, 125, &[says, "Run 'docker firewall "])?;
    }
    desk.refused_words(&["allow", "web", "--from", "any", "--comment", "a\nb"], 125, &["one line of plain text"])
}

/// Names that mean nothing, names that could do harm, and words that are missing.
fn names(desk: &Desk) -> Result {
    for (line, says) in [
        ("allow we --from any", "no container is named we; did you mean web?"),
        ("allow wbe --from any", "no container is named wbe; did you mean web?"),
        ("allow web3 --from any", "no container is named web3; did you mean web"),
        ("allow label: --from any", "write label:KEY or label:KEY=VALUE"),
        ("allow label:=x --from any", "write label:KEY or label:KEY=VALUE"),
        ("allow label:tier --from any", "no container is meant by label:tier"),
        ("allow network: --from any", "write network:NAME"),
        ("allow network:nowhere --from any", "no container is meant by network:nowhere"),
        ("allow shop/api --from any", "no container is meant by shop/api"),
        ("allow a/b/c --from any", "write PROJECT/SERVICE"),
        ("allow web --from ipfriend", "there is no set ipfriend; did you mean ipfriends?"),
        ("allow web --from ipset:nope", "the kernel has no ipset nope"),
        ("deny web --from ipset:nope", "the kernel has no ipset nope"),
        ("deny web --from any --interface br-ex", "this host has no interface br-ex; did you mean br-ext?"),
        ("allow web", "requires --from"),
        ("allow", "requires at least 1 argument"),
        ("allow --from any", "requires at least 1 argument"),
        ("allow web --from any --published 9999", "published are 8080/tcp"),
        ("allow web;id --from any", "\"web;id\" cannot be a container's name"),
        ("allow $(id) --from any", "\"$(id)\" cannot be a container's name"),
        ("allow we'b --from any", "cannot be a container's name"),
        ("ls nobody", "no container is meant by nobody"),
        ("ls --filter colour=red", "invalid filter 'colour'"),
        ("ls --filter managed=maybe", "Write managed=true or managed=false"),
        ("default ajar", "neither open nor closed"),
        ("frobnicate", "unknown command: docker firewall frobnicate"),
        ("set frobnicate", "unknown command: docker firewall set frobnicate"),
        ("plan everything", "accepts no arguments"),
        ("apply -f /nowhere", "/nowhere does not exist"),
        ("reset", "there is no terminal to ask on; --force confirms"),
    ] {
        desk.refused(line, 1, &[says])?;
    }
    desk.refused_words(&["allow", "we\nb\u{1b}[2J", "--from", "any"], 1, &["we\\nb", "cannot be a container's name"])?;
    desk.refused_words(&["allow", "", "--from", "any"], 1, &["a target is empty"])
}

fn rules_and_sets(desk: &Desk) -> Result {
    for (line, says) in [
        ("allow web --from any --before 9", "there is no rule 9 to put it before: the policy has 1 rule"),
        ("rm 0", "rules are counted from 1"),
        ("rm 2", "there is no rule 2: the policy has 1 rule"),
        ("rm 1 2", "there is no rule 2"),
        ("rm web", "--target takes targets"),
        ("rm --target web2", "no rule names web2"),
        ("rm ffffffff", "there is no rule ffffffff"),
        ("rm", "requires at least 1 argument"),
        ("set create ipfriends", "the set ipfriends exists already"),
        ("set create aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd", "at most 28 fit"),
        ("set create a;b", "has a character that no set may have"),
        ("set create $(id)", "has a character that no set may have"),
        ("set create a'b", "has a character that no set may have"),
        ("set create a\"b", "has a character that no set may have"),
        ("set create -- -x", "has a character that no set may have"),
        ("set create ../../etc/passwd", "has a character that no set may have"),
        ("set create any", "is taken"),
        ("set create df4-inside", "is taken"),
        ("set create x-v6", "is taken"),
        ("set create ", "a set name is empty"),
        ("set add ipfriend 192.0.2.1", "there is no set ipfriend; did you mean ipfriends?"),
        ("set add ipfriends", "requires at least 2 arguments"),
        ("set add ipfriends 192.0.2.1 192.0.2.300", "\"192.0.2.300\" is not an IP address"),
        ("set add ipfriends fe80::1%eth0", "has an IPv6 zone"),
        ("set del ipfriends 192.0.2.1", "192.0.2.1 is not in ipfriends"),
        ("set del ipfriends 203.0.113.10 192.0.2.1", "192.0.2.1 is not in ipfriends"),
        ("set del ipfriends 198.51.100.7", "It is covered by 198.51.100.0/24"),
        ("set rm ipfriends", "docker firewall rm 1"),
        ("set rm nope", "there is no set nope"),
        ("set inspect nope", "there is no set nope"),
        ("set test ipfriends friend", "\"friend\" is not an IP address"),
        ("set export nope", "there is no set nope"),
        ("set import x /nowhere", "/nowhere does not exist"),
        ("set import x /etc", "/etc is a directory, not a file"),
    ] {
        desk.refused(line, 1, &[says])?;
    }
    for name in ["a b", "a\nb"] {
        desk.refused_words(&["set", "create", name], 1, &["has a character that no set may have"])?;
    }
    Ok(())
}

/// Every command says what is wrong with the policy and where, and none goes on with half of it.
fn broken_policies(desk: &Desk) -> Result {
    let good = desk.shell(&format!("cat {POLICY}"))? + "\n";
    let few = ["ls", "allow web2 --from any"];
    let commands = ["rules", "ls", "plan", "status", "apply", "allow web2 --from any", "set add ipfriends 192.0.2.1"];
    let half = &good[..good.len() - 8];
    for (text, says) in [
        (half.to_owned(), "line "),
        (good[..200].to_owned(), "it was cut while it was written"),
        (String::new(), "breaks off after 0 bytes"),
        (format!("colour = 1\n{good}"), "line 1: unknown key `colour`"),
        (good.replace("\nfrom", "\nform"), "unknown key `form`, did you mean `from`"),
        (good.replace("\"allow\"\ntarget", "\"alow\"\ntarget"), "alow"),
        (format!("{good}{}", "#".repeat(10_000_000)), "too large"),
    ] {
        desk.write(POLICY, &text)?;
        for command in if text == half { &commands[..] } else { &few } {
            desk.refused(command, 1, &[POLICY, says, "Nothing was changed"])?;
        }
    }
    desk.shell(&format!("head -c 500 /dev/urandom > {POLICY}"))?;
    desk.refused("allow web2 --from any", 1, &["is not a text file"])?;
    desk.shell(&format!("rm {POLICY} && mkdir {POLICY}"))?;
    for command in few {
        desk.refused(command, 1, &["is a directory, not a file"])?;
    }
    desk.shell(&format!("rmdir {POLICY} && mkfifo {POLICY}"))?;
    desk.refused("allow web2 --from any", 1, &["is not a regular file"])?;
    desk.shell(&format!("rm {POLICY} && ln -s policy.toml {POLICY}"))?;
    desk.refused("allow web2 --from any", 1, &["Too many levels of symbolic links"])?;
    desk.shell(&format!("rm {POLICY}"))?;
    desk.write(POLICY, &good)?;
    assert_eq!(desk.idle("plan")?.code, 0);
    Ok(())
}

fn broken_sets(desk: &Desk) -> Result {
    let file = format!("{CONFIG}/sets/ipfriends.conf");
    let good = desk.shell(&format!("cat {file}"))? + "\n";
    desk.write(&file, &format!("{good}add ipfriends 192.0.2\n"))?;
    for command in ["set ls", "rules", "allow web2 --from any", "apply"] {
        desk.refused(command, 1, &[&file, "column 15", "\"192.0.2\" is not an IP address"])?;
    }
    desk.write(&file, &good)?;
    desk.write(&format!("{CONFIG}/sets/a b.conf"), "")?;
    desk.refused("apply", 1, &["a b.conf cannot be a set file"])?;
    desk.shell(&format!("rm '{CONFIG}/sets/a b.conf'"))?;
    // A set that a rule asks is not to be lost with its file.
    desk.shell(&format!("mv {file} /tmp/kept"))?;
    for command in ["apply", "allow web2 --from any"] {
        desk.refused(command, 1, &["there is no set ipfriends"])?;
    }
    desk.shell(&format!("mv /tmp/kept {file}"))?;
    assert_eq!(desk.run("plan")?.code, 0);
    Ok(())
}

/// A policy file that is gone reads as "no rules", which is not what its loss means.
fn a_lost_policy_opens_nothing(desk: &Desk) -> Result {
    desk.shell(&format!("mv {POLICY} /tmp/policy"))?;
    for command in ["apply", "allow web2 --from any", "set add ipfriends 192.0.2.1", "default closed"] {
        desk.refused(command, 1, &[POLICY, "is missing", "Nothing was changed. To have it back: cp "])?;
    }
    let plan = desk.idle("plan")?;
    assert_eq!(plan.code, 2);
    assert!(plan.stderr.contains("is missing"), "{plan:?}");
    desk.done("apply -f /tmp/policy")?;
    assert_eq!(desk.idle("plan")?.code, 0);
    Ok(())
}
