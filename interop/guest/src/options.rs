//! The command line: words of the form `name=value`.

/// What the command line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options<'a> {
    checks: Option<&'a str>,
    /// What an attack follows from: `attack=SEED`.
    pub attack: Option<u64>,
}

impl<'a> Options<'a> {
    /// Reads a command line. Words that are none of these options are the loader's, and left alone.
    #[must_use]
    pub fn parse(command_line: &'a str) -> Self {
        let value = |name: &str| {
            command_line
                .split_ascii_whitespace()
                .rev()
                .find_map(|word| word.split_once('=').filter(|(key, _)| *key == name))
                .map(|(_, value)| value)
        };
        Self {
            checks: value("checks"),
            attack: value("attack").and_then(|seed| seed.parse().ok()),
        }
    }

    /// Whether a check is to be run: with `checks=A,B` those that are named, without it all.
    #[must_use]
    pub fn wants(&self, check: &str) -> bool {
        self.checks
            .is_none_or(|checks| checks.split(',').any(|name| name == check))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_checks_are_run_unless_some_are_named() {
        assert!(Options::parse("").wants("ping"));
        let some = Options::parse("BOOT_IMAGE=x checks=version,offers quiet");
        assert!(some.wants("version") && some.wants("offers"));
        assert!(!some.wants("ping") && !some.wants("offer"));
    }

    #[test]
    fn an_attack_has_a_seed() {
        assert_eq!(Options::parse("attack=7").attack, Some(7));
        assert_eq!(Options::parse("attack=x").attack, None);
        assert_eq!(Options::parse("").attack, None);
    }

    #[test]
    fn the_last_word_counts() {
        assert!(!Options::parse("checks=a checks=b").wants("a"));
    }
}
