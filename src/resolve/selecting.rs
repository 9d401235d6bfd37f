//! Which rules mean a container, without asking every rule of every container: those that say its name are found by it.

use std::collections::HashMap;

use super::rule_selects;
use crate::inventory::{Container, Inventory};
use crate::policy::{Rule, Target};

/// The rules of a policy by the names that they say.
pub(super) struct Selecting<'a> {
    rules: &'a [Rule],
    named: HashMap<&'a str, Vec<usize>>,
    /// Those with a target of another kind, which every container has to be held against.
    broad: Vec<usize>,
}

impl<'a> Selecting<'a> {
    pub(super) fn new(rules: &'a [Rule]) -> Self {
        let (mut named, mut broad): (HashMap<&str, Vec<usize>>, _) = (HashMap::new(), Vec::new());
        for (index, rule) in rules.iter().enumerate() {
            if rule.targets.iter().any(|target| !matches!(target, Target::Container(_))) {
                broad.push(index);
                continue;
            }
            for target in &rule.targets {
                if let Target::Container(name) = target {
                    named.entry(name).or_default().push(index);
                }
            }
        }
        Self { rules, named, broad }
    }

    /// Indices of the rules that mean `container`, in order.
    pub(super) fn of(&self, container: &Container, inventory: &Inventory) -> Vec<usize> {
        let broad = self.broad.iter().filter(|&&index| rule_selects(&self.rules[index], container, inventory));
        let named = self.named.get(container.name.as_str()).into_iter().flatten();
        let mut found: Vec<usize> = named.chain(broad).copied().collect();
        found.sort_unstable();
        // A rule may say one name twice.
        found.dedup();
        found
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::*;
    use crate::inventory::NetworkMode;
    use crate::policy::Document;

    fn container(name: &str) -> Container {
        Container {
            id: String::new(),
            name: name.to_owned(),
            labels: [("tier".to_owned(), name.to_owned())].into_iter().collect(),
            running: true,
            mode: NetworkMode::Own,
            endpoints: Vec::new(),
            bindings: Vec::new(),
            sandbox: None,
        }
    }

    #[test]
    fn finds_what_asking_every_rule_finds() {
        let targets =
            [r#""a""#, r#""b", "a""#, r#""a", "a""#, r#""label:tier=a""#, r#""c", "*""#, r#""c""#, r#""label:tier""#];
        let rule = |target| format!("[[rule]]\nverdict = \"allow\"\ntarget = [{target}]\nfrom = [\"any\"]\n");
        let text: String = targets.iter().map(rule).collect();
        let document = Document::parse(&format!("version = 1\n{text}")).unwrap();
        let (rules, inventory) = (&document.policy().rules, Inventory::default());
        let selecting = Selecting::new(rules);
        for name in ["a", "b", "c", "d"] {
            let container = container(name);
            let asked: Vec<usize> =
                (0..rules.len()).filter(|&index| rule_selects(&rules[index], &container, &inventory)).collect();
            assert_eq!(selecting.of(&container, &inventory), asked, "{name}");
            assert!(!asked.is_empty(), "{name}");
        }
    }
}
