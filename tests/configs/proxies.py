"""Trust in a chain of proxies, and strict limits."""
forwarded_allow_ips = "127.0.0.1,10.0.0.0/8,::1"
proxy_allow_ips = "*"
proxy_protocol = False
secure_scheme_headers = {
    "X-FORWARDED-PROTOCOL": "ssl",
    "X-FORWARDED-PROTO": "https",
    "X-FORWARDED-SSL": "on",
}
forwarder_headers = "SCRIPT_NAME,PATH_INFO,REMOTE_USER"
header_map = "drop"
limit_request_line = 2048
limit_request_fields = 40
limit_request_field_size = 4096
strip_header_spaces = False
permit_unconventional_http_method = False
