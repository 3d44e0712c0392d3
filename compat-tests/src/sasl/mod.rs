//! Owns the comparison of SASL: the same steps against both servers under the same settings, by
//! frames of its own and by official clients; what is answered and which connections end must be
//! the same. May use `server`, `raw`. Must not use Menagerie's own mechanism.

mod answer;
mod clients;
mod frames;
mod steps;

use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};

pub(crate) use self::clients::lines;
use crate::programs::Programs;
use crate::server::{Kind, Server, Settings};
use crate::tally::Tally;

/// Users whom both servers know.
const JAAS: &str = "Server {\n    org.apache.zookeeper.server.auth.DigestLoginModule required\n    \
                    user_super=\"adminsecret\" // not what superPassword says\n    \
                    user_bob=\"geheim\"\n    user_zoe=\"größer\"\n    \"user_a/b\"=\"x\\\"y\";\n};\n";

/// The provider without which `sasl` is no scheme of ACLs.
pub(crate) const PROVIDER: &str =
    "authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider";

/// Settings and the steps to take under them.
struct Case {
    name: &'static str,
    lines: &'static [&'static str],
    jaas: bool,
    run: fn(&mut steps::Steps) -> Result<()>,
}

const CASES: &[Case] = &[
    Case {
        name: "log in",
        lines: &[PROVIDER],
        jaas: true,
        run: frames::log_in,
    },
    Case {
        name: "tokens out of order, wrong, too long",
        lines: &[PROVIDER],
        jaas: true,
        run: frames::bad_tokens,
    },
    Case {
        name: "answers with one part changed",
        lines: &[PROVIDER],
        jaas: true,
        run: frames::changed_answers,
    },
    Case {
        name: "ACLs of the scheme",
        lines: &[PROVIDER, "letAnySaslUserDoX=anyone", "superUser.1=zoe"],
        jaas: true,
        run: frames::acls,
    },
    Case {
        name: "super by a password of its own",
        lines: &[PROVIDER, "SASLAuthenticationProvider.superPassword=other"],
        jaas: true,
        run: frames::super_password,
    },
    Case {
        name: "users without the provider",
        lines: &[],
        jaas: true,
        run: frames::acls,
    },
    Case {
        name: "the provider without users",
        lines: &[PROVIDER],
        jaas: false,
        run: frames::bad_tokens,
    },
    Case {
        name: "failed clients allowed",
        lines: &[PROVIDER, "allowSaslFailedClients=true"],
        jaas: true,
        run: frames::bad_tokens,
    },
    Case {
        name: "a section that is not there",
        lines: &[PROVIDER, "sasl.serverconfig=Nothing"],
        jaas: true,
        run: frames::bad_tokens,
    },
    Case {
        name: "SASL required",
        lines: &[PROVIDER, "sessionRequireClientSASLAuth=true"],
        jaas: true,
        run: frames::enforced,
    },
    Case {
        name: "SASL required, failed clients allowed",
        lines: &[
            PROVIDER,
            "sessionRequireClientSASLAuth=true",
            "allowSaslFailedClients=true",
        ],
        jaas: true,
        run: frames::enforced,
    },
    Case {
        name: "SASL required, other schemes enforced too",
        lines: &[
            PROVIDER,
            "sessionRequireClientSASLAuth=true",
            "enforce.auth.enabled=true",
            "enforce.auth.schemes=digest",
        ],
        jaas: true,
        run: frames::enforced,
    },
    Case {
        name: "SASL or digest enforced",
        lines: &[
            PROVIDER,
            "enforce.auth.enabled=true",
            "enforce.auth.schemes=sasl, digest",
        ],
        jaas: true,
        run: frames::enforced,
    },
    Case {
        name: "digest enforced",
        lines: &[
            PROVIDER,
            "enforce.auth.enabled=true",
            "enforce.auth.schemes=digest",
        ],
        jaas: true,
        run: frames::enforced,
    },
];

/// Settings with which neither server starts.
const REFUSED: &[(&str, &[&str])] = &[
    ("no scheme to enforce", &["enforce.auth.enabled=true"]),
    (
        "an unknown scheme enforced",
        &["enforce.auth.enabled=true", "enforce.auth.schemes=nosuch"],
    ),
    (
        "SASL required without its provider",
        &["sessionRequireClientSASLAuth=true"],
    ),
];

/// Runs everything; false when something differs.
pub(crate) fn run(programs: &Programs) -> Result<bool> {
    let home = tempfile::Builder::new()
        .prefix("menagerie-sasl-")
        .tempdir()?;
    let jaas = home.path().join("jaas.conf");
    std::fs::write(&jaas, JAAS)?;
    let mut tally = Tally::default();
    for case in CASES {
        tally.note(case.name, compare(case, programs, &jaas));
    }
    for (name, lines) in REFUSED {
        tally.note(name, refused(lines, programs));
    }
    for (name, client) in clients::CLIENTS {
        tally.note(
            name,
            clients::compare(*client, programs, home.path(), &jaas),
        );
    }
    Ok(tally.end())
}

/// A server with the JAAS file, if any.
fn start(kind: Kind, programs: &Programs, lines: &[&str], jaas: Option<&Path>) -> Result<Server> {
    let mut settings = Settings::new(lines, &[]);
    settings.flags.extend(jaas.map(flag));
    Server::started(kind, programs, settings)
}

/// Names the JAAS file to a server or a client.
pub(crate) fn flag(jaas: &Path) -> String {
    format!("-Djava.security.auth.login.config={}", jaas.display())
}

fn compare(case: &Case, programs: &Programs, jaas: &Path) -> Result<String> {
    let jaas: Option<PathBuf> = case.jaas.then(|| jaas.to_owned());
    let of = |kind| -> Result<Vec<String>> {
        let server = start(kind, programs, case.lines, jaas.as_deref())?;
        let mut steps = steps::Steps::new(server.address());
        (case.run)(&mut steps)?;
        Ok(steps.seen)
    };
    same(&of(Kind::Apache)?, &of(Kind::Menagerie)?)
}

/// Fails with the first line that differs.
pub(crate) fn same(apache: &[String], ours: &[String]) -> Result<String> {
    for (index, (apache, ours)) in apache.iter().zip(ours).enumerate() {
        ensure!(
            apache == ours,
            "line {index}:\n    Apache     {apache}\n    Menagerie  {ours}"
        );
    }
    ensure!(
        apache.len() == ours.len(),
        "{} lines by Apache, {} by Menagerie",
        apache.len(),
        ours.len()
    );
    ensure!(!ours.is_empty(), "nothing was compared");
    Ok(format!("{} lines the same", ours.len()))
}

fn refused(lines: &[&str], programs: &Programs) -> Result<String> {
    for kind in [Kind::Apache, Kind::Menagerie] {
        let mut server = Server::new(kind, programs, Settings::new(lines, &[]))?;
        server.spawn()?;
        let status = server.wait_exit(std::time::Duration::from_secs(30))?;
        ensure!(!status.success(), "{} ends with {status}", kind.name());
    }
    Ok("both refuse to start".to_owned())
}
