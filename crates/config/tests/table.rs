//! The table of settings is well-formed.

use std::collections::HashSet;

use ferricorn_config::table::{self, Kind, Preset, Reload, Support};
use ferricorn_config::{Facts, Layers};

/// The names of all settings of gunicorn 27.0.1.
const GUNICORN: &str = "
    access_log_format accesslog asgi_disconnect_grace_period asgi_lifespan asgi_loop backlog bind ca_certs
    capture_output casefold_http_method cert_reqs certfile chdir check_config child_exit ciphers config
    control_socket control_socket_disable control_socket_mode daemon default_proc_name dirty_apps
    dirty_graceful_timeout dirty_post_fork dirty_threads dirty_timeout dirty_worker_exit dirty_worker_init
    dirty_workers disable_redirect_access_to_syslog do_handshake_on_connect dogstatsd_tags enable_backlog_metric
    enable_stdio_inheritance errorlog forwarded_allow_ips forwarder_headers graceful_timeout group header_map
    http2_cleartext http2_initial_window_size http2_max_concurrent_streams http2_max_frame_size
    http2_max_header_list_size http_parser http_protocols initgroups keepalive keyfile limit_request_field_size
    limit_request_fields limit_request_line logconfig logconfig_dict logconfig_json logger_class loglevel
    max_requests max_requests_jitter nworkers_changed on_dirty_starting on_exit on_reload on_starting paste
    permit_obsolete_folding permit_unconventional_http_method permit_unconventional_http_version pidfile post_fork
    post_request post_worker_init pre_exec pre_fork pre_request preload_app print_config proc_name protocol
    proxy_allow_ips proxy_protocol pythonpath raw_env raw_paste_global_conf reload reload_engine reload_extra_files
    reuse_port root_path secure_scheme_headers sendfile spew ssl_context ssl_version statsd_host statsd_prefix
    strip_header_spaces suppress_ragged_eofs syslog syslog_addr syslog_facility syslog_prefix threads timeout
    tmp_upload_dir umask user uwsgi_allow_ips websocket_max_message_size when_ready worker_abort worker_class
    worker_connections worker_exit worker_int worker_tmp_dir workers wsgi_app
";

#[test]
fn names_and_flags_are_unique() {
    let mut seen = HashSet::new();
    for setting in table::settings() {
        assert!(seen.insert(setting.name), "{} is there twice", setting.name);
        for flag in setting.flags {
            assert!(seen.insert(flag), "{flag} is there twice");
        }
    }
    for taken in ["-h", "--help", "-v", "--version"] {
        assert!(!seen.contains(taken), "{taken} is taken");
    }
}

#[test]
fn all_of_gunicorns_settings_are_known() {
    let unknown: Vec<&str> = GUNICORN.split_whitespace().filter(|name| table::find(name).is_none()).collect();
    assert_eq!(unknown, [""; 0]);
    assert_eq!(GUNICORN.split_whitespace().count(), 120);
}

#[test]
fn every_entry_is_complete() {
    for setting in table::settings() {
        let name = setting.name;
        assert!(
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'),
            "{name}"
        );
        assert!(setting.help.ends_with('.'), "the help of {name} is no sentence");
        for flag in setting.flags {
            let word = flag.trim_start_matches('-');
            let hyphens = flag.len() - word.len();
            assert!(if word.len() == 1 { hyphens == 1 } else { hyphens == 2 }, "{flag}");
        }
        assert!(setting.flags.is_empty() || setting.long_flag() == Some(setting.flags[0]), "{name}");
        if setting.support != Support::Yes {
            assert_eq!(setting.reload, Reload::Never, "{name}");
        }
        if let (Kind::Int(least, most) | Kind::IntOrAuto(least, most), Preset::Int(default)) =
            (setting.kind, setting.default)
        {
            assert!((least..=most).contains(&default), "{name}");
        }
    }
}

#[test]
fn the_defaults_resolve() {
    let facts = Facts { cpus: 1, directory: "/srv".into(), program: "test".to_owned() };
    let resolved = Layers::new().resolve(&facts).unwrap();
    assert_eq!(resolved.notes, []);
    assert!(!resolved.check_config);
}
