//! Owns what of a configuration may be shown: everything but secrets. Must not read files.

use menagerie_wire::text::properties;

use super::error::shown;
use super::keys::{Property, lookup};
use super::settings::Config;

impl Config {
    /// Whether this key of the table was given, by line or flag.
    #[must_use]
    pub fn is_given(&self, key: &str) -> bool {
        self.origins.contains_key(key)
    }

    /// Whether the admin server has a console: unless somebody says so, one that came with a
    /// configuration file opens nothing that Apache's server would not.
    #[must_use]
    pub fn has_console(&self) -> bool {
        self.admin.console.enabled.unwrap_or(self.file.is_none())
    }

    /// The text of the configuration file, with `…` in place of secrets; empty without a file.
    #[must_use]
    pub fn shown_initial_config(&self) -> String {
        let text = self.initial_config.as_ref();
        let text = text.map_or("", |text| text.reveal());
        let mut out = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            let assignment = line.split_once(['=', ':']);
            match assignment.filter(|(key, _)| !key.trim_start().starts_with(['#', '!'])) {
                Some((key, value)) if shown(key.trim(), value) != value => {
                    out.push_str(key);
                    out.push_str("=…\n");
                }
                _ => out.push_str(line),
            }
        }
        out
    }

    /// The settings of the file that are properties to Java, without `zookeeper.`, with `…` in place
    /// of secrets. Source: `QuorumPeerConfig.parseProperties`.
    #[must_use]
    pub fn shown_properties(&self) -> Vec<(String, String)> {
        let text = self.initial_config.as_ref();
        let text = text.map_or("", |text| text.reveal());
        // The file was read when the server started, so that it can be read.
        let all = properties::parse_str(text).unwrap_or_default();
        let is_property = |key: &str| lookup(key).is_none_or(|s| s.property != Property::None);
        let all = all.into_iter().filter(|one| is_property(&one.key));
        all.map(|one| {
            let value = shown(&one.key, &one.value);
            (one.key, value)
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[test]
    fn secrets_are_not_shown() {
        let text = "# a=b\ndataDir=/d\nDigestAuthenticationProvider.superDigest = super:x\n\
                    ssl.keyStore.password=geheim\nsnapCount=7\nmy.key=v\n";
        let mut config = Config::embedded_default();
        config.initial_config = Some(Secret::new(text.to_owned()));
        let shown = config.shown_initial_config();
        assert!(
            !shown.contains("geheim") && !shown.contains("super:x"),
            "{shown}"
        );
        assert!(shown.starts_with("# a=b\ndataDir=/d\n"), "{shown}");
        assert!(shown.ends_with("\nsnapCount=7\nmy.key=v\n"), "{shown}");
        let properties = config.shown_properties();
        let keys: Vec<&str> = properties.iter().map(|(key, _)| key.as_str()).collect();
        let expected = [
            "DigestAuthenticationProvider.superDigest",
            "ssl.keyStore.password",
            "snapCount",
            "my.key",
        ];
        assert_eq!(keys, expected);
        assert_eq!(properties[0].1, "…");
    }
}
