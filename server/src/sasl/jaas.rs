//! Owns the text of JAAS files: sections, login modules, options. May use nothing. Must not know
//! what an option means. Source: `sun.security.provider.ConfigFile`, whose grammar it follows:
//!
//! ```text
//! Server {
//!     org.apache.zookeeper.server.auth.DigestLoginModule required
//!     user_bob="geheim";
//! };
//! ```

/// A section, `NAME { … };`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    pub(crate) name: String,
    /// Where its name stands, from 1.
    pub(crate) line: usize,
    pub(crate) modules: Vec<Module>,
}

/// A login module of a section with its options, which may be passwords.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Module {
    pub(crate) class: String,
    /// Where its class stands, from 1.
    pub(crate) line: usize,
    pub(crate) options: Vec<(String, String)>,
}

impl Module {
    /// An option's value; of several the last.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter().rev();
        let (_, value) = options.find(|(key, _)| key == name)?;
        Some(value)
    }
}

impl std::fmt::Debug for Module {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({} options)", self.class, self.options.len())
    }
}

/// What is wrong, and on which line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JaasError {
    pub(crate) line: usize,
    pub(crate) reason: String,
}

/// The sections of a file, in their order.
pub(crate) fn parse(text: &str) -> Result<Vec<Section>, JaasError> {
    let mut parser = Parser::new(text)?;
    let mut sections: Vec<Section> = Vec::new();
    while parser.token != Token::End {
        let section = parser.section()?;
        if let Some(earlier) = sections.iter().find(|other| other.name == section.name) {
            let reason = format!(
                "the section {} is on line {} already",
                section.name, earlier.line
            );
            let line = section.line;
            return Err(JaasError { line, reason });
        }
        sections.push(section);
    }
    Ok(sections)
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// A word or a text in quotes.
    Text(String),
    Sign(char),
    End,
}

struct Parser<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    /// The line that reading has come to.
    line: usize,
    /// What comes next, and on which line it begins.
    token: Token,
    token_line: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, JaasError> {
        let mut parser = Self {
            rest: text.chars().peekable(),
            line: 1,
            token: Token::End,
            token_line: 1,
        };
        parser.advance()?;
        Ok(parser)
    }

    fn error<T>(&self, reason: String) -> Result<T, JaasError> {
        let line = self.token_line;
        Err(JaasError { line, reason })
    }

    fn section(&mut self) -> Result<Section, JaasError> {
        let line = self.token_line;
        let name = self.text("the name of a section")?;
        self.sign('{', "behind the name of a section")?;
        let mut modules = Vec::new();
        while self.token != Token::Sign('}') {
            modules.push(self.module()?);
        }
        self.advance()?;
        self.sign(';', "behind the } of a section")?;
        Ok(Section {
            name,
            line,
            modules,
        })
    }

    fn module(&mut self) -> Result<Module, JaasError> {
        let line = self.token_line;
        let class = self.text("the class of a login module, or }")?;
        let flags = ["required", "requisite", "sufficient", "optional"];
        let expected = "required, requisite, sufficient or optional";
        let flag_line = self.token_line;
        let flag = self.text(expected)?;
        if !flags.iter().any(|known| flag.eq_ignore_ascii_case(known)) {
            let reason = format!("{expected} is expected behind the class, not {flag}");
            let line = flag_line;
            return Err(JaasError { line, reason });
        }
        let mut options = Vec::new();
        while self.token != Token::Sign(';') {
            let key = self.text("an option, or ; behind the last one")?;
            self.sign('=', &format!("behind the option {key}"))?;
            let value = self.text(&format!("the value of {key}, in quotes,"))?;
            if value.contains("${") {
                let reason = format!(
                    "{key}: ${{…}} stands for a Java property, and there are none; write the \
                     value itself"
                );
                return self.error(reason);
            }
            options.push((key, value));
        }
        self.advance()?;
        Ok(Module {
            class,
            line,
            options,
        })
    }

    fn text(&mut self, what: &str) -> Result<String, JaasError> {
        match std::mem::replace(&mut self.token, Token::End) {
            Token::Text(text) => {
                self.advance()?;
                Ok(text)
            }
            other => self.error(format!("{what} is expected, not {}", shown(&other))),
        }
    }

    fn sign(&mut self, sign: char, place: &str) -> Result<(), JaasError> {
        if self.token == Token::Sign(sign) {
            return self.advance();
        }
        // A text may be a password.
        let found = shown(&self.token);
        self.error(format!("{sign} is expected {place}, not {found}"))
    }

    fn take(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    fn advance(&mut self) -> Result<(), JaasError> {
        self.skip()?;
        self.token_line = self.line;
        self.token = match self.take() {
            None => Token::End,
            Some('"') => Token::Text(self.quoted()?),
            Some(c) if is_word(c) => {
                let mut word = String::from(c);
                while let Some(c) = self.rest.next_if(|c| is_word(*c)) {
                    word.push(c);
                }
                if word.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '.' | '-')) {
                    return self.error("a number must stand in quotes".to_owned());
                }
                Token::Text(word)
            }
            Some(c) => Token::Sign(c),
        };
        Ok(())
    }

    /// Skips white space and comments.
    fn skip(&mut self) -> Result<(), JaasError> {
        loop {
            while self.rest.next_if(|c| *c <= ' ' && *c != '\n').is_some() {}
            match self.rest.peek() {
                Some('\n') => {
                    self.take();
                }
                // Java's reader takes a lone slash for a comment to the end of the line, too.
                Some('/') => {
                    self.token_line = self.line;
                    self.take();
                    if self.rest.next_if_eq(&'*').is_some() {
                        self.skip_comment()?;
                    } else {
                        while self.rest.next_if(|c| *c != '\n').is_some() {}
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), JaasError> {
        let mut last = ' ';
        while let Some(c) = self.take() {
            if last == '*' && c == '/' {
                return Ok(());
            }
            last = c;
        }
        self.error("the comment that begins here is not closed".to_owned())
    }

    fn quoted(&mut self) -> Result<String, JaasError> {
        let mut text = String::new();
        loop {
            match self.rest.peek() {
                None | Some('\n' | '\r') => {
                    return self.error("the quote is not closed on its line".to_owned());
                }
                Some(_) => {}
            }
            match self.take() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escaped()),
                Some(c) => text.push(c),
                None => {}
            }
        }
    }

    /// Source: `StreamTokenizer.nextToken`.
    fn escaped(&mut self) -> char {
        match self.take() {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(c @ '0'..='7') => {
                let mut value = u32::from(c) - u32::from('0');
                let most = if c <= '3' { 2 } else { 1 };
                for _ in 0..most {
                    let Some(next) = self.rest.next_if(|c| ('0'..='7').contains(c)) else {
                        break;
                    };
                    value = value * 8 + u32::from(next) - u32::from('0');
                }
                char::from_u32(value).unwrap_or('\0')
            }
            Some(c) => c,
            None => '\\',
        }
    }
}

/// Letters, digits and what Java adds to them, so that class names are words.
fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '$' | '*') || c >= '\u{a0}'
}

fn shown(token: &Token) -> String {
    match token {
        Token::Text(_) => "a word".to_owned(),
        Token::Sign(sign) => sign.to_string(),
        Token::End => "the end of the file".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
// For clients.
Server {
    org.apache.zookeeper.server.auth.DigestLoginModule required
    user_super="adminsecret" // a comment
    user_bob = "b\"o\\b\101";
};
/* For servers,
   both ways. */
QuorumServer { X REQUIRED user_a=word; Y optional debug="true"; };
Empty { };
"#;

    #[test]
    fn a_file_as_in_the_documentation() {
        let sections = parse(FILE).unwrap();
        let names: Vec<_> = sections.iter().map(|s| (&*s.name, s.line)).collect();
        assert_eq!(names, [("Server", 3), ("QuorumServer", 10), ("Empty", 11)]);
        let module = &sections[0].modules[0];
        assert_eq!(
            module.class,
            "org.apache.zookeeper.server.auth.DigestLoginModule"
        );
        let option = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let options = [
            option("user_super", "adminsecret"),
            option("user_bob", "b\"o\\bA"),
        ];
        assert_eq!(module.options, options);
        assert_eq!(sections[1].modules.len(), 2);
        assert_eq!(sections[1].modules[0].options, [option("user_a", "word")]);
        assert_eq!(parse(" // nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, reason) in [
            ("Server", 1, "{ is expected behind the name of a section"),
            ("\n= {", 2, "the name of a section is expected, not ="),
            (
                "S {\n X needed;\n};",
                2,
                "sufficient or optional is expected",
            ),
            ("S {\n X required\n user_a;\n};", 3, "= is expected behind"),
            ("S {\n X required user_a=\n;};", 3, "the value of user_a"),
            ("S {\n X required user_a=12;};", 2, "must stand in quotes"),
            ("S {\n X required user_a=\"b\n\";};", 2, "not closed on its"),
            ("S {\n X required user_a='b';};", 2, "not '"),
            ("S {\n X required\n}", 3, "an option, or ;"),
            ("S {\n X required;\n}", 3, "; is expected behind the }"),
            ("S {};\nS {};", 2, "the section S is on line 1 already"),
            ("S {};\n/* T {};\n", 2, "is not closed"),
            ("S {\n X required a=\"${user.home}\";};", 2, "Java property"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error:?}");
            assert!(error.reason.contains(reason), "{text}: {error:?}");
        }
    }
}
