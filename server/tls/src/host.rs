//! Owns the question whether a certificate is for a host: by its alternative names, else by its
//! common name. Must not ask name services. Source: `ZKHostnameVerifier`, `ZKTrustManager`.

use std::net::IpAddr;

use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Whether the certificate is for that address or for one of those names.
///
/// # Errors
/// Why not.
pub(super) fn check(certificate: &[u8], ip: IpAddr, names: &[String]) -> Result<(), String> {
    let (_, certificate) = X509Certificate::from_der(certificate).map_err(|e| e.to_string())?;
    let ip = ip.to_canonical();
    let alternatives = certificate.subject_alternative_name();
    let alternatives = alternatives.map_err(|error| error.to_string())?;
    let its: Vec<String> = match alternatives {
        Some(extension) => extension
            .value
            .general_names
            .iter()
            .filter_map(shown)
            .collect(),
        None => {
            let common = certificate.subject().iter_common_name().last();
            let common = common.and_then(|name| name.as_str().ok());
            common.into_iter().map(str::to_owned).collect()
        }
    };
    let address = ip.to_string();
    let fits = |its: &String| {
        *its == address
            || names
                .iter()
                .any(|name| fits(&its.to_ascii_lowercase(), name))
    };
    if its.iter().any(fits) {
        return Ok(());
    }
    let mut wanted = names.to_vec();
    wanted.push(address);
    Err(format!(
        "its certificate is for {}, not for {}",
        if its.is_empty() {
            "no host".to_owned()
        } else {
            its.join(", ")
        },
        wanted.join(" or ")
    ))
}

/// Names and addresses of hosts as text.
fn shown(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            if let Ok(v4) = <[u8; 4]>::try_from(*bytes) {
                return Some(IpAddr::from(v4).to_string());
            }
            let v6 = <[u8; 16]>::try_from(*bytes).ok()?;
            Some(IpAddr::from(v6).to_canonical().to_string())
        }
        _ => None,
    }
}

/// Whether a name is the wanted one, or `*` stands for its first label.
fn fits(its: &str, wanted: &str) -> bool {
    let wanted = wanted.trim_end_matches('.').to_ascii_lowercase();
    if its == wanted {
        return true;
    }
    let (Some(domain), Some((_, rest))) = (its.strip_prefix("*."), wanted.split_once('.')) else {
        return false;
    };
    domain.contains('.') && domain == rest
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(fits("*.example.org", "zoo1.Example.org."));
        assert!(fits("zoo1", "ZOO1"));
        for (its, wanted) in [
            ("*.example.org", "example.org"),
            ("*.example.org", "a.b.example.org"),
            ("*.org", "example.org"),
            ("*", "zoo1"),
            ("zoo1.example.org", "zoo2.example.org"),
            ("", "zoo1"),
        ] {
            assert!(!fits(its, wanted), "{its} {wanted}");
        }
    }
}
