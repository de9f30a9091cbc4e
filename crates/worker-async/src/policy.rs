//! Which headers count: names with `_`, and what a trusted proxy says of the scheme.

use ferricorn_config::{HeaderMapPolicy, Trust};
use ferricorn_protocol::Scheme;
use http::{HeaderMap, HeaderName};

/// Why a request is refused by policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// A header name contains `_`, and `header_map` is `refuse`.
    Underscore,
    /// Headers of the proxy contradict each other about the scheme (gunicorn's `InvalidSchemeHeaders`).
    Scheme,
}

/// Drops, keeps or refuses header names that contain `_`: CGI names cannot tell `X_Y` from `X-Y`, so a
/// client could forge a header that a proxy sets. Only names in `forwarder_headers` pass, and only from a
/// trusted peer.
pub(crate) fn underscores(headers: &mut HeaderMap, trust: &Trust, trusted: bool) -> Result<(), Forbidden> {
    let suspicious: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().contains('_') && !(trusted && is_forwarder(name, trust)))
        .cloned()
        .collect();
    match trust.header_map {
        _ if suspicious.is_empty() => Ok(()),
        HeaderMapPolicy::Dangerous => Ok(()),
        HeaderMapPolicy::Refuse => Err(Forbidden::Underscore),
        HeaderMapPolicy::Drop => {
            for name in suspicious {
                headers.remove(name);
            }
            Ok(())
        }
    }
}

fn is_forwarder(name: &HeaderName, trust: &Trust) -> bool {
    trust
        .forwarder_headers
        .iter()
        .any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(name.as_str()))
}

/// The scheme under which the client asked, as a trusted peer tells it.
pub(crate) fn scheme(headers: &HeaderMap, trust: &Trust, trusted: bool) -> Result<Scheme, Forbidden> {
    let mut told = None;
    if trusted {
        // One pass over the fields that came costs less than a look-up of each name.
        for (name, value) in headers {
            let Some((_, secure)) = trust.secure_scheme_headers.iter().find(|(known, _)| known == name)
            else {
                continue;
            };
            let scheme = if value.as_bytes() == secure.as_bytes() { Scheme::Https } else { Scheme::Http };
            if told.is_some_and(|before| before != scheme) {
                return Err(Forbidden::Scheme);
            }
            told = Some(scheme);
        }
    }
    Ok(told.unwrap_or(Scheme::Http))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ferricorn_config::{AllowList, ProxyProtocol};

    fn trust(header_map: HeaderMapPolicy) -> Trust {
        Trust {
            forwarded_allow_ips: AllowList::All,
            secure_scheme_headers: vec![
                (HeaderName::from_static("x-forwarded-proto"), "https".into()),
                (HeaderName::from_static("x-forwarded-ssl"), "on".into()),
            ],
            forwarder_headers: vec!["SCRIPT_NAME".into()],
            header_map,
            proxy_protocol: ProxyProtocol::Off,
            proxy_allow_ips: AllowList::All,
            real_ip: None,
        }
    }

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn underscores_are_dropped_refused_or_kept() {
        let sent = headers(&[("x_real_ip", "1"), ("script_name", "/a"), ("x-ok", "2")]);
        let mut kept = sent.clone();
        assert_eq!(underscores(&mut kept, &trust(HeaderMapPolicy::Drop), true), Ok(()));
        assert_eq!(kept, headers(&[("script_name", "/a"), ("x-ok", "2")]));
        let mut kept = sent.clone();
        assert_eq!(underscores(&mut kept, &trust(HeaderMapPolicy::Drop), false), Ok(()));
        assert_eq!(kept, headers(&[("x-ok", "2")]));
        let mut kept = sent.clone();
        assert_eq!(underscores(&mut kept, &trust(HeaderMapPolicy::Dangerous), false), Ok(()));
        assert_eq!(kept, sent);
        let refused = underscores(&mut kept, &trust(HeaderMapPolicy::Refuse), false);
        assert_eq!(refused, Err(Forbidden::Underscore));
    }

    #[test]
    fn only_a_trusted_peer_tells_the_scheme_and_only_without_contradiction() {
        let trust = trust(HeaderMapPolicy::Drop);
        let https = headers(&[("x-forwarded-proto", "https")]);
        assert_eq!(scheme(&https, &trust, true), Ok(Scheme::Https));
        assert_eq!(scheme(&https, &trust, false), Ok(Scheme::Http));
        assert_eq!(scheme(&headers(&[("x-forwarded-proto", "HTTPS")]), &trust, true), Ok(Scheme::Http));
        let both = headers(&[("x-forwarded-proto", "https"), ("x-forwarded-ssl", "off")]);
        assert_eq!(scheme(&both, &trust, true), Err(Forbidden::Scheme));
    }
}
