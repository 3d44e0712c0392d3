#![allow(missing_docs, unreachable_pub, dead_code)]
pub mod properties {
    #[derive(Debug, thiserror::Error)]
    #[error("bad line")]
    pub struct E {
        pub line: usize,
    }
    pub struct P {
        pub line: usize,
        pub key: String,
        pub value: String,
    }
    pub fn parse(b: &[u8]) -> Result<Vec<P>, E> {
        let t = String::from_utf8_lossy(b);
        Ok(t.lines()
            .enumerate()
            .filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#'))
            .map(|(i, l)| {
                let (k, v) = l.split_once('=').unwrap_or((l, ""));
                P {
                    line: i + 1,
                    key: k.trim().into(),
                    value: v.trim_start().into(),
                }
            })
            .collect())
    }
}
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
pub mod cfg {
    #[derive(PartialEq)]
    pub enum Role {
        Participant,
        Observer,
    }
    pub struct Client {
        pub host: String,
        pub port: u16,
    }
    pub struct ServerSpec {
        pub role: Role,
        pub client: Option<Client>,
    }
    impl ServerSpec {
        pub fn parse(t: &str) -> Result<Self, String> {
            let mut p = t.split(';');
            let s: Vec<_> = p.next().unwrap_or("").split(':').collect();
            if s.len() < 3 {
                return Err("short".into());
            }
            let role = if s.get(3) == Some(&"observer") {
                Role::Observer
            } else {
                Role::Participant
            };
            let client = p.next().map(|c| {
                let (h, pt) = c.split_once(':').unwrap_or(("0.0.0.0", c));
                Client {
                    host: h.into(),
                    port: pt.parse().unwrap_or(0),
                }
            });
            Ok(Self { role, client })
        }
    }
}
