//! Owns the form of a line: `key=value` with tabs between, what is not known left out. Must not know
//! requests. Source: `AuditEvent.toString`, `ZKAuditProvider.createLogEvent`.

/// How something ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Success,
    Failure,
    /// It has only just begun.
    Invoked,
}

impl Outcome {
    const fn text(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Invoked => "invoked",
        }
    }
}

/// What a line says, in the order in which it says it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) session: Option<i64>,
    pub(crate) user: Option<&'a str>,
    pub(crate) ip: Option<&'a str>,
    pub(crate) operation: &'a str,
    pub(crate) znode: Option<&'a str>,
    pub(crate) znode_type: Option<&'a str>,
    pub(crate) acl: Option<&'a str>,
}

/// A line without its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) text: String,
    pub(crate) outcome: Outcome,
}

impl Fields<'_> {
    pub(super) fn line(&self, outcome: Outcome) -> Line {
        let session = self.session.map(|session| format!("0x{session:x}"));
        let mut text = String::with_capacity(160);
        for (key, value) in [
            ("session", session.as_deref()),
            ("user", self.user),
            ("ip", self.ip),
            ("operation", Some(self.operation)),
            ("znode", self.znode),
            ("znode_type", self.znode_type),
            ("acl", self.acl),
            ("result", Some(outcome.text())),
        ] {
            let Some(value) = value else { continue };
            if !text.is_empty() {
                text.push('\t');
            }
            text.push_str(key);
            text.push('=');
            push_escaped(&mut text, value);
        }
        Line { text, outcome }
    }
}

/// A client chooses paths and names, and must not be able to write lines of its own: control
/// characters become `\uXXXX`, which ZooKeeper writes as they are.
fn push_escaped(text: &mut String, value: &str) {
    for c in value.chars() {
        if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let fields = Fields {
            session: Some(0x1234),
            user: Some("127.0.0.1,bob"),
            ip: Some("127.0.0.1"),
            operation: "create",
            znode: Some("/a"),
            znode_type: Some("persistent"),
            acl: None,
        };
        assert_eq!(
            fields.line(Outcome::Success).text,
            "session=0x1234\tuser=127.0.0.1,bob\tip=127.0.0.1\toperation=create\tznode=/a\t\
             znode_type=persistent\tresult=success"
        );
        let fields = Fields {
            user: Some("root"),
            operation: "serverStop",
            ..Fields::default()
        };
        let line = fields.line(Outcome::Invoked);
        assert_eq!(line.text, "user=root\toperation=serverStop\tresult=invoked");
    }

    #[test]
    fn nobody_forges_a_line() {
        let fields = Fields {
            operation: "create",
            znode: Some("/a\nuser=root\tresult=success\r\u{2028}ü"),
            ..Fields::default()
        };
        assert_eq!(
            fields.line(Outcome::Failure).text,
            "operation=create\tznode=/a\\u000auser=root\\u0009result=success\\u000d\\u2028ü\t\
             result=failure"
        );
    }
}
