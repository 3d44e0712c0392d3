#![allow(missing_docs, unreachable_pub, dead_code)]
pub mod jvmflags {
    pub enum Flag {
        Property { name: String, value: String },
        Other(String),
    }
    pub fn parse(t: &str) -> Vec<Flag> {
        t.split_whitespace()
            .map(|w| match w.strip_prefix("-D") {
                Some(p) => {
                    let (n, v) = p.split_once('=').unwrap_or((p, ""));
                    Flag::Property {
                        name: n.into(),
                        value: v.into(),
                    }
                }
                None => Flag::Other(w.into()),
            })
            .collect()
    }
}
