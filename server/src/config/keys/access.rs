//! Owns the keys for authentication, ACLs, TLS and SASL. May use the readers of values. Must not
//! hold any setting itself.

use menagerie_core::acl::DigestAlg;

use super::{KeySpec, key, no_effect, refuse, refuse_true, silent, unused_bool};
use crate::config::settings::{Config, Secret};
use crate::config::value::{Applied, Refused, Taken, lenient_bool, strict_bool};

const NO_TLS: &str = "TLS is not in this version; remove the key to serve without encryption";
const NO_SASL: &str = "SASL is not in this version; remove the key to serve without it (clients that \
                       insist on SASL are then turned away)";
const NEEDS_SASL: &str = "has a meaning with SASL only, which is not in this version";
const NEEDS_ADMIN: &str = "has a meaning for the admin server only, which is not in this version";
/// Where ZooKeeper's own providers are.
const PROVIDERS: &str = "org.apache.zookeeper.server.auth.";

pub(super) const ACCESS: &[KeySpec] = &[
    key(
        "skipACL",
        "no",
        "ACLs are not checked; only the word yes turns that on.",
        |c, _, v| {
            c.skip_acl = v == "yes";
            if v == "yes" || v == "no" {
                return Ok(Taken::Exactly);
            }
            Ok(Taken::Adjusted(
                "is neither yes nor no; as in ZooKeeper it means no".into(),
            ))
        },
    ),
    key(
        "enableEagerACLCheck",
        "false",
        "ACLs are checked once more before a write goes to the leader.",
        silent,
    )
    .ensemble(),
    key(
        "DigestAuthenticationProvider.enabled",
        "true",
        "The scheme digest exists.",
        |c, _, v| lenient_bool(v, &mut c.digest_auth_enabled),
    ),
    key(
        "DigestAuthenticationProvider.superDigest",
        "",
        "The id super:base64 that passes every ACL.",
        |c, _, v| {
            c.super_digest = Some(Secret::new(v.to_owned()));
            Ok(Taken::Exactly)
        },
    ),
    key(
        "DigestAuthenticationProvider.digestAlg",
        "SHA1",
        "Hash of passwords: MD5, SHA1, SHA-224, SHA-256, SHA-384, SHA-512, SHA-512/224, SHA-512/256.",
        |c, _, v| {
            c.digest_alg = DigestAlg::from_name(v).ok_or_else(|| {
                Refused::Invalid("MD5, SHA1, SHA-224, SHA-256, SHA-384 or SHA-512".into())
            })?;
            Ok(Taken::Exactly)
        },
    ),
    key(
        "superUser",
        "",
        "A user name that passes every ACL.",
        |c, _, v| {
            c.super_users.insert(v.to_owned());
            Ok(Taken::Exactly)
        },
    ),
    key("superUser.*", "", "More of them.", |c, _, v| {
        c.super_users.insert(v.to_owned());
        Ok(Taken::Exactly)
    }),
    key(
        "X509AuthenticationProvider.superUser",
        "",
        "The X.500 name that passes every ACL.",
        |c, _, v| {
            c.x509_super_user = Some(v.to_owned());
            Ok(Taken::Exactly)
        },
    ),
    key(
        "enforce.auth.enabled",
        "false",
        "A session needs one of the schemes.",
        |c, _, v| lenient_bool(v, &mut c.enforce_auth_enabled),
    ),
    key(
        "enforce.auth.schemes",
        "",
        "The schemes, with commas between.",
        |c, _, v| {
            c.enforce_auth_schemes = v
                .split(',')
                .map(|scheme| scheme.trim().to_owned())
                .collect();
            Ok(Taken::Exactly)
        },
    ),
    key(
        "sessionRequireClientSASLAuth",
        "false",
        "A session needs SASL, so that in this version no client gets one.",
        |c, _, v| lenient_bool(v, &mut c.session_require_client_sasl_auth),
    ),
    key(
        "allowSaslFailedClients",
        "false",
        "A connection lives on after SASL failed.",
        no_effect,
    )
    .not_yet(NEEDS_SASL),
    key(
        "authProvider.*",
        "",
        "More authentication schemes, by ZooKeeper's own Java class; other classes are refused.",
        auth_provider,
    ),
    key(
        "ensembleAuthName",
        "",
        "Names that the scheme ensemble accepts.",
        |c, _, v| {
            c.ensemble_names = v.split(',').map(|name| name.trim().to_owned()).collect();
            Ok(Taken::Exactly)
        },
    ),
    key(
        "IPAuthenticationProvider.usexforwardedfor",
        "false",
        "The admin server believes X-Forwarded-For.",
        no_effect,
    )
    .not_yet(NEEDS_ADMIN),
];

pub(super) const TLS_SASL: &[KeySpec] = &[
    key("secureClientPort", "", "Port for clients with TLS.", refuse)
        .file_only()
        .refused(NO_TLS),
    key(
        "secureClientPortAddress",
        "",
        "Address for clients with TLS.",
        refuse,
    )
    .file_only()
    .refused(NO_TLS),
    key(
        "client.portUnification",
        "false",
        "TLS on the client port too.",
        refuse_true,
    )
    .refused(NO_TLS),
    key(
        "client.certReload",
        "false",
        "Certificates are read again when they change.",
        refuse_true,
    )
    .refused(NO_TLS),
    key(
        "ssl.*",
        "",
        "Keys, certificates and options of TLS for clients.",
        refuse,
    )
    .refused(NO_TLS),
    key(
        "fips-mode",
        "true",
        "TLS uses the platform's own trust manager.",
        silent,
    )
    .not_yet("has a meaning with TLS only, which is not in this version"),
    key(
        "ssl.quorum.*",
        "",
        "Keys, certificates and options of TLS between servers.",
        silent,
    )
    .ensemble(),
    key("sslQuorum", "false", "TLS between servers.", |c, _, v| {
        strict_bool(v, &mut c.quorum.ssl)
    })
    .file_only()
    .ensemble(),
    key(
        "sslQuorumReloadCertFiles",
        "false",
        "Certificates between servers are read again when they change.",
        unused_bool,
    )
    .file_only()
    .ensemble(),
    key(
        "portUnification",
        "false",
        "Plain and TLS between servers.",
        unused_bool,
    )
    .file_only()
    .ensemble(),
    key(
        "java.security.auth.login.config",
        "",
        "The JAAS file of SASL.",
        refuse,
    )
    .bare()
    .refused(NO_SASL),
    key(
        "sasl.serverconfig",
        "Server",
        "Section of the JAAS file.",
        no_effect,
    )
    .not_yet(NEEDS_SASL),
    key(
        "SASLAuthenticationProvider.superPassword",
        "",
        "Password of super.",
        no_effect,
    )
    .not_yet(NEEDS_SASL),
    key(
        "letAnySaslUserDoX",
        "",
        "A user whose ACL entries are for all.",
        |c, _, v| {
            c.let_any_sasl_user_do = Some(v.to_owned());
            Ok(Taken::Exactly)
        },
    ),
    key(
        "requireKerberosConfig",
        "false",
        "Start only with a Kerberos realm.",
        refuse_true,
    )
    .refused(NO_SASL),
    key(
        "kerberos.*",
        "",
        "How Kerberos names become user names.",
        no_effect,
    )
    .not_yet(NEEDS_SASL),
    key(
        "security.auth_to_local",
        "DEFAULT",
        "Rules for Kerberos names.",
        no_effect,
    )
    .not_yet(NEEDS_SASL),
    key("kinit", "/usr/bin/kinit", "Path of kinit.", no_effect).not_yet(NEEDS_SASL),
    key(
        "quorum.auth.enableSasl",
        "false",
        "SASL between servers.",
        |c, _, v| strict_bool(v, &mut c.quorum_auth.enable_sasl),
    )
    .file_only()
    .ensemble(),
    key(
        "quorum.auth.serverRequireSasl",
        "false",
        "Servers insist on it.",
        |c, _, v| strict_bool(v, &mut c.quorum_auth.server_require_sasl),
    )
    .file_only()
    .ensemble(),
    key(
        "quorum.auth.learnerRequireSasl",
        "false",
        "Learners insist on it.",
        |c, _, v| strict_bool(v, &mut c.quorum_auth.learner_require_sasl),
    )
    .file_only()
    .ensemble(),
    key("quorum.auth.*", "", "More of SASL between servers.", silent)
        .file_only()
        .ensemble(),
];

/// Source: `ProviderRegistry.addOrUpdateProvider`. The scheme `sasl` then exists in ACLs, as on a
/// server of ZooKeeper without a JAAS file; nobody can authenticate by it.
fn auth_provider(config: &mut Config, _: &str, value: &str) -> Applied {
    match value.strip_prefix(PROVIDERS) {
        Some("DigestAuthenticationProvider" | "IPAuthenticationProvider") => {}
        Some("X509AuthenticationProvider") => config.x509_enabled = true,
        Some("EnsembleAuthenticationProvider") => config.ensemble_auth_enabled = true,
        Some("SASLAuthenticationProvider") => {
            config.sasl_enabled = true;
            let message =
                "makes sasl a scheme of ACLs; authenticating by it is not in this version";
            return Ok(Taken::Adjusted(message.into()));
        }
        _ => {
            let known = "the Digest-, IP-, X509-, SASL- or EnsembleAuthenticationProvider";
            let allowed = format!("{known} of {PROVIDERS}*; other Java classes cannot be loaded");
            return Err(Refused::Invalid(allowed));
        }
    }
    Ok(Taken::Exactly)
}
