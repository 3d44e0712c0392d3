//! Owns the keys for authentication, ACLs and SASL. May use the readers of values. Must not
//! hold any setting itself.

use menagerie_core::acl::DigestAlg;
use menagerie_tls::Secret;

use super::{KeySpec, key, no_effect};
use crate::config::settings::Config;
use crate::config::value::{Applied, Refused, Taken, lenient_bool, strict_bool};

const NO_QUORUM_KERBEROS: &str =
    "servers do not log in to each other by Kerberos in this version; remove the key";
const NO_TICKETS: &str = "a server has its key in a keytab and needs no ticket";
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
        "Members of an ensemble check ACLs before a write goes its way to the leader, and refuse what is \
         not allowed without a transaction.",
        |c, _, v| lenient_bool(v, &mut c.eager_acl_check),
    ),
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
        "A session needs SASL; the two keys above then say nothing.",
        |c, _, v| lenient_bool(v, &mut c.session_require_client_sasl_auth),
    ),
    key(
        "allowSaslFailedClients",
        "false",
        "A connection lives on after SASL failed, unless SASL is enforced.",
        |c, _, v| lenient_bool(v, &mut c.sasl.allow_failed_clients),
    ),
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
        |c, _, v| lenient_bool(v, &mut c.admin.use_x_forwarded_for),
    ),
];

pub(super) const SASL: &[KeySpec] = &[
    key(
        "java.security.auth.login.config",
        "",
        "The JAAS file of SASL, with the users and their passwords.",
        |c, _, v| {
            c.sasl.jaas_file = Some(v.into());
            Ok(Taken::Exactly)
        },
    )
    .bare(),
    key(
        "sasl.serverconfig",
        "Server",
        "Section of the JAAS file that is for clients.",
        |c, _, v| {
            v.clone_into(&mut c.sasl.section);
            Ok(Taken::Exactly)
        },
    ),
    key(
        "SASLAuthenticationProvider.superPassword",
        "",
        "Password of the user super, in place of the one in the JAAS file.",
        |c, _, v| {
            c.sasl.super_password = Some(Secret::new(v.to_owned()));
            Ok(Taken::Exactly)
        },
    ),
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
        "Start only with a Kerberos realm. This and the next five: with the Cargo feature `gssapi`.",
        |c, _, v| lenient_bool(v, &mut c.sasl.names.required),
    ),
    key(
        "kerberos.removeHostFromPrincipal",
        "false",
        "Users are named without the host of their Kerberos principal.",
        |c, _, v| only_true(v, &mut c.sasl.names.remove_host),
    ),
    key(
        "kerberos.removeRealmFromPrincipal",
        "false",
        "Users are named without the realm of their Kerberos principal.",
        |c, _, v| only_true(v, &mut c.sasl.names.remove_realm),
    ),
    key(
        "security.auth_to_local",
        "DEFAULT",
        "Rules that shorten Kerberos principals: `DEFAULT`, or `RULE:[N:FORMAT]` and maybe `(MATCH)` and `s/FROM/TO/` or `s/FROM/TO/g` behind it.",
        |c, _, v| c.sasl.names.set_rules(v),
    ),
    key(
        "java.security.krb5.conf",
        "",
        "The configuration of Kerberos, in place of `KRB5_CONFIG` and `/etc/krb5.conf`.",
        |c, _, v| {
            c.sasl.names.krb5_conf = Some(v.into());
            Ok(Taken::Exactly)
        },
    )
    .bare(),
    key(
        "java.security.krb5.realm",
        "",
        "The default realm, in place of the one in that file.",
        |c, _, v| {
            c.sasl.names.realm = Some(v.to_owned());
            Ok(Taken::Exactly)
        },
    )
    .bare(),
    key(
        "java.security.krb5.kdc",
        "",
        "Addresses of the KDC.",
        no_effect,
    )
    .bare()
    .no_need(NO_TICKETS),
    key("kinit", "/usr/bin/kinit", "Path of kinit.", no_effect).no_need(NO_TICKETS),
    key(
        "quorum.auth.enableSasl",
        "false",
        "Servers may log in to each other by SASL.",
        |c, _, v| strict_bool(v, &mut c.quorum_auth.enable_sasl),
    )
    .file_only(),
    key(
        "quorum.auth.learnerRequireSasl",
        "false",
        "This server logs in to others.",
        |c, _, v| strict_bool(v, &mut c.quorum_auth.learner_require_sasl),
    )
    .file_only(),
    key(
        "quorum.auth.serverRequireSasl",
        "false",
        "No server may connect that does not log in.",
        |c, _, v| strict_bool(v, &mut c.quorum_auth.server_require_sasl),
    )
    .file_only(),
    key(
        "quorum.auth.learner.saslLoginContext",
        "QuorumLearner",
        "Section of the JAAS file that says who this server is.",
        |c, _, v| {
            v.clone_into(&mut c.quorum_auth.learner_section);
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "quorum.auth.server.saslLoginContext",
        "QuorumServer",
        "Section of the JAAS file that says which servers may log in.",
        |c, _, v| {
            v.clone_into(&mut c.quorum_auth.server_section);
            Ok(Taken::Exactly)
        },
    )
    .file_only(),
    key(
        "quorum.auth.kerberos.servicePrincipal",
        "",
        "The servers' Kerberos name.",
        |_, _, _| Err(Refused::Unsupported),
    )
    .file_only()
    .refused(NO_QUORUM_KERBEROS),
];

/// A switch that only the word true turns on. Source:
/// `SaslServerCallbackHandler.isSystemPropertyTrue`.
fn only_true(value: &str, on: &mut bool) -> Applied {
    *on = value == "true";
    if *on || value == "false" {
        return Ok(Taken::Exactly);
    }
    Ok(Taken::Adjusted(
        "is neither true nor false; as in ZooKeeper it means false".into(),
    ))
}

/// Source: `ProviderRegistry.addOrUpdateProvider`.
fn auth_provider(config: &mut Config, _: &str, value: &str) -> Applied {
    match value.strip_prefix(PROVIDERS) {
        Some("DigestAuthenticationProvider" | "IPAuthenticationProvider") => {}
        Some("X509AuthenticationProvider") => config.x509_enabled = true,
        Some("EnsembleAuthenticationProvider") => config.ensemble_auth_enabled = true,
        Some("SASLAuthenticationProvider") => config.sasl_enabled = true,
        _ => {
            let known = "the Digest-, IP-, X509-, SASL- or EnsembleAuthenticationProvider";
            let allowed = format!("{known} of {PROVIDERS}*; other Java classes cannot be loaded");
            return Err(Refused::Invalid(allowed));
        }
    }
    Ok(Taken::Exactly)
}
