//! Owns what ACLs call a Kerberos principal: the parts of its name and the rules that shorten it.
//! May use `regex-lite`, whose classes are ASCII's like Java's. Must not know tickets or realms'
//! configuration. Source: `KerberosName`, `SaslServerCallbackHandler.handleAuthorizeCallback`.

use regex_lite::{Captures, Regex};

/// `service[/host]@realm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Principal<'a> {
    service: &'a str,
    host: Option<&'a str>,
    realm: &'a str,
}

impl<'a> Principal<'a> {
    fn parse(name: &'a str) -> Option<Self> {
        let (name, realm) = name.split_once('@')?;
        let (service, host) = match name.split_once('/') {
            Some((service, host)) => (service, Some(host)),
            None => (name, None),
        };
        let clean = |part: &str| !part.contains(['/', '@']);
        (clean(realm) && host.is_none_or(clean)).then_some(Self {
            service,
            host,
            realm,
        })
    }
}

/// A principal that ZooKeeper cannot read: more than two components, or more than one `@`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the principal {0} is not SERVICE[/HOST]@REALM")]
pub struct MalformedPrincipal(pub String);

/// What is wrong with the rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// It does not look like a rule.
    #[error("DEFAULT or RULE:[N:FORMAT](MATCH)s/FROM/TO/g, and not {0}")]
    Syntax(String),
    /// A pattern that cannot be used.
    #[error("a regular expression that can be used, and not {0}: {1}")]
    Pattern(String, String),
    /// `$` without a number, or with one that means nothing.
    #[error("$ with a number from 0 to {1}, and not {0}")]
    Parameter(String, usize),
}

/// Rules that shorten principals, in the order in which they are tried.
#[derive(Debug, Clone)]
pub struct Rules(Vec<Rule>);

#[derive(Debug, Clone)]
enum Rule {
    /// The first component of a principal of the default realm.
    Default,
    Custom(Box<Custom>),
}

#[derive(Debug, Clone)]
struct Custom {
    components: usize,
    format: Template,
    matching: Option<Regex>,
    substitution: Option<Substitution>,
}

#[derive(Debug, Clone)]
struct Substitution {
    from: Regex,
    to: Template,
    all: bool,
}

/// Text with numbered holes.
#[derive(Debug, Clone)]
struct Template(Vec<Piece>);

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    Parameter(usize),
}

impl Template {
    /// Holes are `$` and a number up to `max`. In what replaces a match the backslash takes a
    /// character's meaning away, and a digit that would make the number too large is text.
    /// Source: `KerberosName.Rule.replaceParameters`, `java.util.regex.Matcher.appendReplacement`.
    fn parse(text: &str, max: usize, replacement: bool) -> Result<Self, RuleError> {
        let wrong = || RuleError::Parameter(text.to_owned(), max);
        let (mut pieces, mut plain) = (Vec::new(), String::new());
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            if c == '\\' && replacement {
                plain.push(rest.next().ok_or_else(wrong)?);
                continue;
            }
            if c != '$' {
                plain.push(c);
                continue;
            }
            let mut number = None;
            while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                let next = number
                    .unwrap_or(0usize)
                    .saturating_mul(10)
                    .saturating_add(digit as usize);
                if replacement && number.is_some() && next > max {
                    break;
                }
                number = Some(next);
                rest.next();
            }
            let number = number.filter(|number| *number <= max).ok_or_else(wrong)?;
            pieces.push(Piece::Text(std::mem::take(&mut plain)));
            pieces.push(Piece::Parameter(number));
        }
        pieces.push(Piece::Text(plain));
        Ok(Self(pieces))
    }

    fn fill<'a>(&self, parameter: impl Fn(usize) -> &'a str) -> String {
        let mut filled = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => filled.push_str(text),
                Piece::Parameter(number) => filled.push_str(parameter(*number)),
            }
        }
        filled
    }
}

fn pattern(text: &str, whole: bool) -> Result<Regex, RuleError> {
    let anchored = if whole {
        format!("^(?:{text})$")
    } else {
        text.to_owned()
    };
    Regex::new(&anchored).map_err(|error| RuleError::Pattern(text.to_owned(), error.to_string()))
}

impl Custom {
    /// What stands behind `RULE:[`, and what is left of it.
    fn parse<'a>(text: &'a str, whole: &str) -> Result<(Self, &'a str), RuleError> {
        let syntax = || RuleError::Syntax(whole.to_owned());
        let (components, rest) = text.split_once(':').ok_or_else(syntax)?;
        let components: usize = components.parse().map_err(|_| syntax())?;
        let (format, mut rest) = rest.split_once(']').ok_or_else(syntax)?;
        let mut rule = Self {
            components,
            format: Template::parse(format, components, false)?,
            matching: None,
            substitution: None,
        };
        if let Some(begun) = rest.strip_prefix('(') {
            let (matching, behind) = begun.split_once(')').ok_or_else(syntax)?;
            rule.matching = Some(pattern(matching, true)?);
            rest = behind;
        }
        if let Some(begun) = rest.strip_prefix("s/") {
            let (from, behind) = begun.split_once('/').ok_or_else(syntax)?;
            let (to, behind) = behind.split_once('/').ok_or_else(syntax)?;
            let from = pattern(from, false)?;
            let to = Template::parse(to, from.captures_len() - 1, true)?;
            let (all, behind) = match behind.strip_prefix('g') {
                Some(behind) => (true, behind),
                None => (false, behind),
            };
            rule.substitution = Some(Substitution { from, to, all });
            rest = behind;
        }
        Ok((rule, rest))
    }

    fn apply(&self, principal: Principal<'_>) -> Option<String> {
        let parts = [Some(principal.service), principal.host];
        let parts: Vec<&str> = parts.into_iter().flatten().collect();
        if parts.len() != self.components {
            return None;
        }
        let base = self.format.fill(|number| match number.checked_sub(1) {
            None => principal.realm,
            Some(at) => parts.get(at).copied().unwrap_or_default(),
        });
        if self.matching.as_ref().is_some_and(|m| !m.is_match(&base)) {
            return None;
        }
        let Some(Substitution { from, to, all }) = &self.substitution else {
            return Some(base);
        };
        let replace = |found: &Captures<'_>| {
            to.fill(|number| found.get(number).map_or("", |group| group.as_str()))
        };
        let limit = usize::from(!all);
        Some(from.replacen(&base, limit, replace).into_owned())
    }
}

impl Rules {
    /// Reads rules as `zookeeper.security.auth_to_local` has them, with white space between.
    /// Source: `KerberosName.parseRules`.
    ///
    /// # Errors
    /// [`RuleError`], which says what is expected. ZooKeeper finds some of these errors only when
    /// somebody logs in.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let mut rules = Vec::new();
        let mut rest = text.trim();
        while !rest.is_empty() {
            if let Some(behind) = rest.strip_prefix("DEFAULT") {
                rules.push(Rule::Default);
                rest = behind;
            } else if let Some(behind) = rest.strip_prefix("RULE:[") {
                let (rule, behind) = Custom::parse(behind, rest)?;
                rules.push(Rule::Custom(Box::new(rule)));
                rest = behind;
            } else {
                return Err(RuleError::Syntax(rest.to_owned()));
            }
            rest = rest.trim_start();
        }
        Ok(Self(rules))
    }

    /// What the first rule makes of it that says anything. One that makes a name which looks like a
    /// principal again spoils all.
    fn short(&self, principal: Principal<'_>, default_realm: &str) -> Option<String> {
        let apply = |rule: &Rule| match rule {
            Rule::Default => {
                (principal.realm == default_realm).then(|| principal.service.to_owned())
            }
            Rule::Custom(rule) => rule.apply(principal),
        };
        let name = self.0.iter().find_map(apply)?;
        (!name.contains(['/', '@'])).then_some(name)
    }
}

/// How principals become users.
#[derive(Debug, Clone)]
pub struct UserNames {
    /// `security.auth_to_local`
    pub rules: Rules,
    /// The realm of principals that need no rule; empty if there is none.
    pub default_realm: String,
    /// `kerberos.removeHostFromPrincipal`
    pub remove_host: bool,
    /// `kerberos.removeRealmFromPrincipal`
    pub remove_realm: bool,
}

impl UserNames {
    /// The user that a client is who has proved to be `principal`. Whom no rule shortens keeps the
    /// whole name; Apache's server then takes the one that the client asks for.
    ///
    /// # Errors
    /// [`MalformedPrincipal`]; such a client gets no answer from ZooKeeper.
    pub fn user(&self, principal: &str) -> Result<String, MalformedPrincipal> {
        let parsed =
            Principal::parse(principal).ok_or_else(|| MalformedPrincipal(principal.to_owned()))?;
        let Some(mut user) = self.rules.short(parsed, &self.default_realm) else {
            return Ok(principal.to_owned());
        };
        if let Some(host) = parsed.host.filter(|_| !self.remove_host) {
            user = user + "/" + host;
        }
        if !self.remove_realm {
            user = user + "@" + parsed.realm;
        }
        Ok(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(rules: &str) -> UserNames {
        UserNames {
            rules: Rules::parse(rules).unwrap(),
            default_realm: "R".to_owned(),
            remove_host: false,
            remove_realm: true,
        }
    }

    fn user(rules: &str, principal: &str) -> String {
        names(rules).user(principal).unwrap()
    }

    #[test]
    fn host_and_realm_stay_unless_they_are_removed() {
        for (host, realm, expected) in [
            (false, false, "a/h@R"),
            (true, false, "a@R"),
            (false, true, "a/h"),
            (true, true, "a"),
        ] {
            let mut names = names("DEFAULT");
            (names.remove_host, names.remove_realm) = (host, realm);
            assert_eq!(names.user("a/h@R").unwrap(), expected);
        }
        assert_eq!(user("DEFAULT", "a@R"), "a");
        assert_eq!(user("DEFAULT", "a@S"), "a@S");
        assert_eq!(user("", "a@R"), "a@R");
        for malformed in ["a/b/c@R", "a@R@R", "a@R/R", "a", ""] {
            let error = names("DEFAULT").user(malformed).unwrap_err();
            assert_eq!(error, MalformedPrincipal(malformed.to_owned()));
        }
    }

    #[test]
    fn the_first_rule_that_fits_names_the_user() {
        let rules = "RULE:[1:$1@$0](.*@S)s/@S//\nRULE:[2:$1-$2]  DEFAULT";
        assert_eq!(user(rules, "a@S"), "a");
        assert_eq!(user(rules, "a@T"), "a@T");
        assert_eq!(user(rules, "a@R"), "a");
        assert_eq!(user(rules, "a/h@T"), "a-h/h");
        // Its whole has to match.
        assert_eq!(user("RULE:[1:$1](x)DEFAULT", "xy@R"), "xy");
        assert_eq!(user("RULE:[1:$1]s/a/b/", "aaa@R"), "baa");
        assert_eq!(user("RULE:[1:$1]s/a/b/g", "aaa@R"), "bbb");
        assert_eq!(
            user("RULE:[1:$1](.*)s/(.)(.)/$2$1\\$3$15/", "xyz@R"),
            "yx$3x5z"
        );
        assert_eq!(user("RULE:[1:user]", "x@R"), "user");
        // A name that looks like a principal again.
        assert_eq!(user("RULE:[1:$1@$0]DEFAULT", "x@R"), "x@R");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (rules, reason) in [
            ("default", "DEFAULT or RULE:"),
            ("DEFAULT RULE", "not RULE"),
            ("RULE:[1:$1", "DEFAULT or RULE:"),
            ("RULE:[:$1]", "DEFAULT or RULE:"),
            ("RULE:[1:$1](x", "DEFAULT or RULE:"),
            ("RULE:[1:$1]s/x", "DEFAULT or RULE:"),
            ("RULE:[1:$1]s/x/y", "DEFAULT or RULE:"),
            ("RULE:[1:$1]/L", "not /L"),
            ("RULE:[1:$2]", "$ with a number from 0 to 1, and not $2"),
            ("RULE:[1:$]", "$ with a number"),
            ("RULE:[1:$99999999999999999999]", "$ with a number"),
            ("RULE:[1:$1]s/x/$1/", "$ with a number from 0 to 0"),
            ("RULE:[1:$1]s/[/x/", "a regular expression"),
            ("RULE:[1:$1](?=x)", "a regular expression"),
        ] {
            let error = Rules::parse(rules).unwrap_err().to_string();
            assert!(error.contains(reason), "{rules}: {error}");
        }
    }
}
