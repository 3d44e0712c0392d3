//! Owns splitting a line into words and words into options, as zkCli's tokenizer and the option
//! parser behind it do. Must not know commands.

use super::failure::Failure;

/// Splits at blanks; single and double quotes hold words together and go away.
pub(crate) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, behind) = match first {
            '\'' | '"' => match rest.get(1..).and_then(|inner| inner.split_once(first)) {
                Some(quoted) => quoted,
                // Without an end the quote is a character like others.
                None => split_at_blank(rest),
            },
            _ => split_at_blank(rest),
        };
        words.push(word.to_owned());
        rest = behind.trim_start();
    }
    words
}

fn split_at_blank(text: &str) -> (&str, &str) {
    text.split_at(text.find(char::is_whitespace).unwrap_or(text.len()))
}

/// An option without its dash, and whether a value follows it.
pub(crate) type Opt = (&'static str, bool);

/// A command's options and what is left.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parsed {
    options: Vec<(&'static str, Option<String>)>,
    /// Everything that is neither an option nor the value of one.
    pub(crate) rest: Vec<String>,
}

impl Parsed {
    /// Whether an option was given.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| *option == name)
    }

    /// The value of an option.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        let found = self.options.iter().find(|(option, _)| *option == name);
        found.and_then(|(_, value)| value.as_deref())
    }

    /// A number given as an option.
    pub(crate) fn number<T: std::str::FromStr>(
        &self,
        name: &str,
        kind: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(text) = self.value(name) else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Failure::Text(format!(
                "-{name} argument must be {kind} value"
            ))),
        }
    }

    /// What is left at `at`.
    pub(crate) fn word(&self, at: usize) -> Option<&str> {
        self.rest.get(at).map(String::as_str)
    }
}

/// Reads the words behind a command. Options may come anywhere and share a dash (`-sR`); `--` ends
/// them.
pub(crate) fn parse(words: &[String], known: &[Opt]) -> Result<Parsed, Failure> {
    let mut parsed = Parsed::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let name = word.strip_prefix('-').unwrap_or_default();
        if name == "-" {
            parsed.rest.extend(words.cloned());
            break;
        }
        // A negative number is a word like others.
        if name.is_empty() || name.parse::<f64>().is_ok() {
            parsed.rest.push(word.clone());
            continue;
        }
        let found = known.iter().find(|(option, _)| *option == name);
        let Some((option, with_value)) = found else {
            for option in together(name, known).ok_or_else(|| unrecognized(word))? {
                parsed.options.push((option, None));
            }
            continue;
        };
        let value = if *with_value {
            let missing = || {
                Failure::Text(format!(
                    "org.apache.commons.cli.MissingArgumentException: \
                     Missing argument for option: {option}"
                ))
            };
            Some(words.next().ok_or_else(missing)?.clone())
        } else {
            None
        };
        parsed.options.push((option, value));
    }
    Ok(parsed)
}

/// The options of `-sR`, all without values.
fn together(name: &str, known: &[Opt]) -> Option<Vec<&'static str>> {
    name.chars()
        .map(|letter| {
            let is_it = |option: &&Opt| !option.1 && option.0.chars().eq([letter]);
            known.iter().find(is_it).map(|(option, _)| *option)
        })
        .collect()
}

fn unrecognized(word: &str) -> Failure {
    Failure::Text(format!(
        "org.apache.commons.cli.UnrecognizedOptionException: Unrecognized option: {word}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(line: &str) -> Vec<String> {
        words(line)
    }

    #[test]
    fn quotes_hold_words_together() {
        assert_eq!(split("  get   /a "), ["get", "/a"]);
        assert_eq!(split("create '/a b' \"c d\""), ["create", "/a b", "c d"]);
        assert_eq!(split("create /a \"\""), ["create", "/a", ""]);
        assert_eq!(split("set /a it's"), ["set", "/a", "it's"]);
        assert_eq!(split("set /a 'open"), ["set", "/a", "'open"]);
        assert!(split("   ").is_empty());
    }

    #[test]
    fn options_come_anywhere() {
        let known = [("s", false), ("R", false), ("v", true)];
        let parsed = parse(&split("/a -v -1 data -sR"), &known).unwrap();
        assert!(parsed.has("s") && parsed.has("R"));
        assert_eq!(parsed.number::<i32>("v", "an int").unwrap(), Some(-1));
        assert_eq!(parsed.rest, ["/a", "data"]);
        let after = parse(&split("-- -s"), &known).unwrap();
        assert_eq!(after.rest, ["-s"]);
    }

    #[test]
    fn wrong_options_are_named() {
        let known = [("s", false), ("v", true)];
        let text = |line| parse(&split(line), &known).unwrap_err().to_string();
        assert!(text("-x").ends_with("Unrecognized option: -x"));
        assert!(text("-sx").ends_with("Unrecognized option: -sx"));
        assert!(text("-v").ends_with("Missing argument for option: v"));
        let parsed = parse(&split("-v x"), &known).unwrap();
        assert!(parsed.number::<i32>("v", "an int").is_err());
    }
}
