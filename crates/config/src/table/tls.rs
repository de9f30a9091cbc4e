//! Settings of the chapter "SSL".

use super::Section::Ssl;
use super::{Kind, Preset, Setting};

pub(super) const NO_TLS: &str = "let a proxy in front, such as nginx or the load balancer, end TLS";
const NO_MEANING: &str = "it has a meaning only with TLS";

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new("keyfile", Ssl, "The TLS key.").flags(&["--keyfile"]).refused(NO_TLS),
    Setting::new("certfile", Ssl, "The TLS certificate.").flags(&["--certfile"]).refused(NO_TLS),
    Setting::new("ssl_version", Ssl, "gunicorn ignores it.")
        .flags(&["--ssl-version"])
        .kind(Kind::Object, Preset::Unset)
        .ignored(NO_MEANING),
    Setting::new("cert_reqs", Ssl, "Whether clients must show a certificate.")
        .flags(&["--cert-reqs"])
        .count(0)
        .refused(NO_TLS),
    Setting::new("ca_certs", Ssl, "The authorities that sign clients' certificates.")
        .flags(&["--ca-certs"])
        .refused(NO_TLS),
    Setting::new("suppress_ragged_eofs", Ssl, "Whether an unclean end of TLS passes for a clean one.")
        .flags(&["--suppress-ragged-eofs"])
        .kind(Kind::Switch(true), Preset::Bool(true))
        .ignored(NO_MEANING),
    Setting::new("do_handshake_on_connect", Ssl, "When the TLS handshake is made.")
        .flags(&["--do-handshake-on-connect"])
        .switch()
        .ignored(NO_MEANING),
    Setting::new("ciphers", Ssl, "The TLS ciphers.").flags(&["--ciphers"]).refused(NO_TLS),
];
