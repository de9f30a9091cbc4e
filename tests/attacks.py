"""Bytes that a server must survive, and what must come back: read by test_hostile.py.

An outcome lists the statuses of the answers in order. A `+` at its end means that the connection then serves another
request; without it the server ends the connection. ` | ` separates outcomes that are equally good. The path
`/smuggled` appears only where it must not reach the app.
"""

HOST = b"Host: x\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
CRLF = b"\r\n"

FINISH = "the client ends its side"
"""Marks a case whose client shuts its writing side down behind the bytes; those that may be left unanswered do, too."""


def get(*fields, target=b"/", method=b"GET", version=b"HTTP/1.1", host=HOST):
    """A request without a body."""
    return method + b" " + target + b" " + version + CRLF + host + b"".join(field + CRLF for field in fields) + CRLF


def post(*fields, body=b""):
    """A request whose framing the fields declare."""
    return get(*fields, method=b"POST") + body


def chunked(body, *fields):
    """A request with a chunked body, given as it goes over the wire."""
    return post(b"Transfer-Encoding: chunked", *fields, body=body)


def length(value, body=b"", *more):
    """A request with this Content-Length."""
    return post(b"Content-Length: " + value, *more, body=body)


# Other protocols that knock on the wrong door. The client ends its side after them.
PROTOCOLS = {
    "ssh": (b"SSH-2.0-OpenSSH_9.6\r\n", " | 400"),
    "tls-hello": (bytes.fromhex("1603010200010001fc0303") + bytes(range(256)), " | 400"),
    "tls-hello-with-line-ends": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400"),
    "sslv2-hello": (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10\x01\x00\x80", " | 400"),
    "http2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), "400 | 505"),
    "http2-preface-and-frames": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00" * 500, "400 | 505"),
    "smtp": (b"EHLO mail.example\r\nMAIL FROM:<a@b>\r\n\r\n", "400"),
    "ftp": (b"USER anonymous\r\nPASS guest\r\n\r\n", "400"),
    "redis": (b"*1\r\n$4\r\nPING\r\n", " | 400"),
    "memcached": (b"stats\r\n\r\n", "400"),
    "socks5": (b"\x05\x01\x00", " | 400"),
    "socks4": (b"\x04\x01\x00\x50\x7f\x00\x00\x01\x00", " | 400"),
    "rtsp": (b"DESCRIBE rtsp://x/y RTSP/1.0\r\nCSeq: 1\r\n\r\n", "400 | 505"),
    "sip": (b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n", "400 | 505"),
    "icy": (b"SOURCE /x ICE/1.0\r\n\r\n", "400 | 505"),
    "fastcgi": (bytes.fromhex("0101000100080000000100000000000001040001000000000500010000000000"), " | 400"),
    "ajp": (bytes.fromhex("1234002b0202000848545450"), " | 400"),
    "uwsgi": (b"\x00\x1c\x00\x00\x0e\x00REQUEST_METHOD\x03\x00GET\r\n\r\n", "400"),
    "dns": (bytes.fromhex("001c12340100000100000000000003777777016100000100010a0d0a"), " | 400"),
    "smb": (b"\x00\x00\x00\x85\xffSMBr\x00\x00\x00\x00\x18\x53\xc8", " | 400"),
    "mqtt": (b"\x10\x13\x00\x04MQTT\x04\x02\x00\x3c\x00\x07clients", " | 400"),
    "postgres": (bytes.fromhex("0000000804d2162f"), " | 400"),
    "ldap": (bytes.fromhex("300c020101600702010304008000"), " | 400"),
    "rdp": (b"\x03\x00\x00\x13\x0e\xe0\x00\x00\x00\x00\x00\x01\x00\x08\x00\x03\x00\x00\x00", " | 400"),
    "java-rmi": (b"JRMI\x00\x02K", " | 400"),
    "proxy-v1-unasked": (b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n" + get(), "400"),
    "proxy-v2-unasked": (b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12) + get(), "400"),
    "websocket-frame": (b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", " | 400"),
    "response": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "400"),
    "every-byte": (bytes(range(256)), " | 400"),
    "every-byte-thrice": (bytes(range(256)) * 3 + b"\r\n\r\n", "400"),
}

# Request lines.
LINES = {
    "simple-request": (b"GET /\r\n\r\n", "400 | 505"),
    "http-0.9": (get(version=b"HTTP/0.9"), "400 | 505"),
    "http-1.2": (get(version=b"HTTP/1.2"), "200 + | 400 | 505"),
    "http-3": (get(version=b"HTTP/3.0"), "400 | 505"),
    "http-1": (get(version=b"HTTP/1"), "400 | 505"),
    "http-01.1": (get(version=b"HTTP/01.1"), "400 | 505"),
    "http-1.1x": (get(version=b"HTTP/1.1x"), "400 | 505"),
    "http-plus": (get(version=b"HTTP/1.+1"), "400 | 505"),
    "https-version": (get(version=b"HTTPS/1.1"), "400 | 505"),
    "version-full-width": (get(version="HTTP/１.１".encode()), "400 | 505"),
    "no-target": (b"GET HTTP/1.1\r\n" + HOST + CRLF, "400"),
    "four-words": (b"GET / / HTTP/1.1\r\n" + HOST + CRLF, "400"),
    "tabs": (b"GET\t/\tHTTP/1.1\r\n" + HOST + CRLF, "400"),
    "space-first": (b" " + get(), "400"),
    "space-last": (b"GET / HTTP/1.1 \r\n" + HOST + CRLF, "400 | 505"),
    "nul-in-method": (get(method=b"G\x00T"), "400"),
    "nul-in-target": (get(target=b"/\x00"), "400"),
    "nul-in-version": (get(version=b"HTTP/1.1\x00"), "400 | 505"),
    "cr-in-target": (get(target=b"/\rx"), "400"),
    "lf-in-target": (get(target=b"/\nx"), "400"),
    "non-ascii-method": (get(method="GËT".encode()), "400"),
    "non-ascii-target": (get(target="/ü".encode()), "400"),
    "latin-1-target": (get(target=b"/\xfc"), "400"),
    "broken-utf-8-target": (get(target=b"/\xff\xfe\xed\xa0\x80"), "400"),
    "percent-without-digits": (get(target=b"/%"), "200 +"),
    "percent-one-digit": (get(target=b"/%4"), "200 +"),
    "percent-no-hex": (get(target=b"/%zz"), "200 +"),
    "percent-nul": (get(target=b"/%00"), "200 +"),
    "percent-crlf": (get(target=b"/%0d%0aX-Evil:%20yes"), "200 +"),
    "percent-broken-utf-8": (get(target=b"/%ff%fe%ed%a0%80"), "200 +"),
    "dots": (get(target=b"/../../../../etc/passwd"), "200 +"),
    "two-slashes-first": (get(target=b"//evil.example/%2e%2e"), "200 +"),
    "back-slashes": (get(target=b"/..\\..\\x"), "200 +"),
    "query-of-quotes": (get(target=b"/?a=\"'<>`{}|^\\"), "200 +"),
    "fragment": (get(target=b"/#frag"), "200 +"),
    "absolute": (get(target=b"http://x/abc"), "200 +"),
    "absolute-without-host": (get(target=b"http:///abc"), "400"),
    "absolute-bad-port": (get(target=b"http://x:99999999/abc"), "400 | 200 +"),
    "absolute-other-scheme": (get(target=b"ftp://x/abc"), "400 | 200 +"),
    "javascript-target": (get(target=b"javascript:alert(1)"), "400"),
    "star": (get(target=b"*"), "400"),
    "options-star": (get(target=b"*", method=b"OPTIONS"), "200 +"),
    "method-of-3000": (get(method=b"A" * 3000), "400"),
    "method-lower": (get(method=b"post"), "400"),
    "method-symbols": (get(method=b"!#$%&'*"), "400"),
    "trace": (get(method=b"TRACE"), "200 + | 405"),
    "connect": (get(method=b"CONNECT", target=b"evil.example:443") + SMUGGLED, "400 | 405 | 501"),
    "connect-path": (get(method=b"CONNECT") + SMUGGLED, "400 | 405 | 501"),
    "line-of-lone-cr": (b"GET / HTTP/1.1\rHost: x\r\r", " | 400"),
    "lines-of-lone-lf": (b"GET / HTTP/1.1\nHost: x\n\n" + SMUGGLED, "400"),
    "vertical-tab-line": (b"GET / HTTP/1.1\x0bHost: x\r\n\r\n", "400 | 505"),
    "next-line-character": (b"GET / HTTP/1.1\xc2\x85Host: x\r\n\r\n", "400 | 505"),
}

# Header fields.
FIELDS = {
    "no-name": (get(b": x"), "400"),
    "no-colon": (get(b"nothing"), "400"),
    "nul-in-name": (get(b"X\x00Y: z"), "400"),
    "non-ascii-name": (get("X-Ü: z".encode()), "400"),
    "quoted-name": (get(b'"X": z'), "400"),
    "space-before-colon": (get(b"Content-Length : 30", method=b"POST") + SMUGGLED, "400"),
    "tab-before-colon": (get(b"Transfer-Encoding\t: chunked", method=b"POST") + SMUGGLED, "400"),
    "fold": (get(b"X-A: b\r\n c"), "400"),
    "fold-hides-framing": (get(b"X-A: b\r\n Content-Length: 35") + SMUGGLED, "400"),
    "fold-first": (b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", "400"),
    "nul-in-value": (get(b"X-A: b\x00c"), "400"),
    "bell-in-value": (get(b"X-A: b\x07c"), "400"),
    "delete-in-value": (get(b"X-A: b\x7fc"), "400"),
    "cr-in-value": (get(b"X-A: b\rc"), "400"),
    "lf-in-value": (get(b"X-A: b\nContent-Length: 35") + SMUGGLED, "400"),
    "tab-in-value": (get(b"X-A: b\tc"), "200 +"),
    "latin-1-value": (get(b"X-A: \xfc\xff\x80"), "200 +"),
    "utf-8-value": (get("X-A: ümlaut €".encode()), "200 +"),
    "latin-1-cookie": (get(b"Cookie: a=\xff\xfe; \x80=b"), "200 +"),
    "latin-1-agent": (get(b"User-Agent: \xff\xfe\x80", b"Referer: \xfe"), "200 +"),
    "latin-1-forwarded": (get(b"X-Forwarded-For: \xff", b"X-Forwarded-Host: \xfe", b"Forwarded: \xfd"), "200 +"),
    "latin-1-proto": (get(b"X-Forwarded-Proto: \xff\xfe"), "200 +"),
    "latin-1-protocol": (get(b"Upgrade: \xff", b"Connection: \xfe", b"Sec-WebSocket-Protocol: \xfd"), "200 +"),
    "latin-1-length": (length(b"\xb2", b"12"), "400"),
    "latin-1-coding": (post(b"Transfer-Encoding: \xff") + SMUGGLED, "400 | 501"),
    "latin-1-type": (length(b"2", b"ab", b"Content-Type: \xff/\xfe"), "200 +"),
    "latin-1-expect": (length(b"2", b"ab", b"Expect: \xff"), "400 | 417"),
    "latin-1-host": (get(host=b"Host: \xff\xfe\r\n"), "400"),
    "empty-values": (get(b"X-A:", b"X-B: ", b"Accept:\t"), "200 +"),
    "authorization-of-nothing": (get(b"Authorization: Basic", b"Authorization: Basic !!!"), "200 +"),
    "authorization-broken": (get(b"Authorization: Basic /////w=="), "200 +"),
    "underscored-length": (post(b"Content_Length: 35") + get(), "200 200 +"),
    "underscored-coding": (post(b"Transfer_Encoding: chunked") + get(), "200 200 +"),
    "httpoxy": (get(b"Proxy: http://evil.example"), "200 +"),
    "script-name": (get(b"SCRIPT_NAME: /x", b"PATH_INFO: /smuggled"), "400 | 500"),
    "schemes-contradict": (get(b"X-Forwarded-Proto: https", b"X-Forwarded-Ssl: off"), "400"),
    "no-host": (get(host=b""), "200 + | 400"),
    "two-hosts": (get(b"Host: x"), "400"),
    "two-other-hosts": (get(b"Host: y"), "400"),
    "empty-host": (get(host=b"Host:\r\n"), "200 +"),
    "host-with-path": (get(host=b"Host: x/smuggled\r\n"), "400"),
    "host-with-user": (get(host=b"Host: a@x\r\n"), "400"),
    "host-with-space": (get(host=b"Host: x y\r\n"), "400"),
    "host-list": (get(host=b"Host: x, y\r\n"), "400"),
    "host-open-bracket": (get(host=b"Host: [::1\r\n"), "400"),
    "host-angle-brackets": (get(host=b"Host: <x>\r\n"), "400"),
    "host-large-port": (get(host=b"Host: x:99999\r\n"), "400"),
    "host-port-in-words": (get(host=b"Host: x:abc\r\n"), "400"),
    "host-two-ports": (get(host=b"Host: x:80:80\r\n"), "400"),
    "host-empty-port": (get(host=b"Host: x:\r\n"), "200 +"),
    "host-address-and-port": (get(host=b"Host: [::1]:8000\r\n"), "200 +"),
    "connection-hop-by-hop": (get(b"Connection: Host, Cookie, X-Forwarded-For"), "200 +"),
    "connection-list": (get(b"Connection: x, close"), "200"),
    "connection-of-commas": (get(b"Connection: ,,,,,,"), "200 +"),
    "connection-both": (get(b"Connection: keep-alive, close"), "200"),
    "date-and-range": (get(b"If-Modified-Since: \xff", b"Range: bytes=" + b"0-," * 1000), "200 +"),
    "one-hundred-fields": (get(*[b"X-%d: y" % n for n in range(99)]), "200 +"),
}

# Where a body ends: the ways of hiding a request in it.
FRAMING = {
    "length-and-chunks": (chunked(b"0\r\n\r\n" + SMUGGLED, b"Content-Length: 5"), "400"),
    "chunks-and-length": (length(b"45", b"0\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: chunked"), "400"),
    "coding-identity": (length(b"5", b"hello" + SMUGGLED, b"Transfer-Encoding: identity"), "400 | 501"),
    "coding-x": (length(b"5", b"hello" + SMUGGLED, b"Transfer-Encoding: xchunked"), "400 | 501"),
    "coding-semicolon": (post(b"Transfer-Encoding: chunked;q=1", body=b"0\r\n\r\n" + SMUGGLED), "400 | 501"),
    "coding-quoted": (post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n" + SMUGGLED), "400 | 501"),
    "coding-tab": (post(b"Transfer-Encoding:\tchunked", body=b"0\r\n\r\n"), "200 + | 400"),
    "coding-vertical-tab": (post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n" + SMUGGLED), "400 | 501"),
    "coding-form-feed": (post(b"Transfer-Encoding: chunked\x0c", body=b"0\r\n\r\n" + SMUGGLED), "400 | 501"),
    "coding-no-break-space": (post(b"Transfer-Encoding: \xa0chunked", body=b"0\r\n\r\n" + SMUGGLED), "400 | 501"),
    "coding-upper-case": (post(b"Transfer-Encoding: CHUNKED", body=b"0\r\n\r\n"), "200 +"),
    "coding-first": (post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n" + SMUGGLED), "400 | 501"),
    "coding-twice": (post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + SMUGGLED), "400 | 501"),
    "coding-two-lines": (chunked(b"0\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: chunked"), "400 | 501"),
    "coding-other-line": (chunked(b"0\r\n\r\n" + SMUGGLED, b"Transfer-Encoding: x"), "400 | 501"),
    "coding-empty": (length(b"5", b"hello" + SMUGGLED, b"Transfer-Encoding:"), "400 | 501"),
    "coding-commas": (post(b"Transfer-Encoding: ,,chunked", body=b"0\r\n\r\n"), "400 | 501 | 200 +"),
    "coding-http-1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + SMUGGLED, "400"),
    "coding-folded": (post(b"Transfer-Encoding:\r\n chunked", body=b"0\r\n\r\n" + SMUGGLED), "400"),
    "coding-in-get": (get(b"Transfer-Encoding: chunked") + b"0\r\n\r\n" + get(), "200 200 +"),
    "length-in-get": (get(b"Content-Length: 5") + b"hello" + get(), "200 200 +"),
    "length-in-head": (get(b"Content-Length: 35", method=b"HEAD") + SMUGGLED, "200 +"),
    "length-twice": (length(b"5", b"hello" + SMUGGLED, b"Content-Length: 5"), "400"),
    "length-twice-other": (length(b"0", SMUGGLED, b"Content-Length: 35"), "400"),
    "length-list": (length(b"5, 5", b"hello" + SMUGGLED), "400"),
    "length-plus": (length(b"+5", b"hello" + SMUGGLED), "400"),
    "length-minus": (length(b"-5", b"hello" + SMUGGLED), "400"),
    "length-minus-zero": (length(b"-0", SMUGGLED), "400"),
    "length-hex": (length(b"0x5", b"hello" + SMUGGLED), "400"),
    "length-octal": (length(b"0o5", b"hello" + SMUGGLED), "400"),
    "length-exponent": (length(b"5e0", b"hello" + SMUGGLED), "400"),
    "length-decimal": (length(b"5.0", b"hello" + SMUGGLED), "400"),
    "length-underscore": (length(b"1_0", b"0123456789" + SMUGGLED), "400"),
    "length-space": (length(b"1 0", b"0123456789" + SMUGGLED), "400"),
    "length-empty": (length(b"", SMUGGLED), "400"),
    "length-word": (length(b"five", b"hello" + SMUGGLED), "400"),
    "length-arabic-digit": (length("٥".encode(), b"hello" + SMUGGLED), "400"),
    "length-zeros-first": (length(b"0000000005", b"hello"), "200 + | 400"),
    "length-2-63-less-1": (length(b"9223372036854775807", b"hello"), " | 400 | 413"),
    "length-2-63": (length(b"9223372036854775808", b"hello"), " | 400 | 413"),
    "length-2-64-less-1": (length(b"18446744073709551615", b"hello"), " | 400 | 413"),
    "length-2-64": (length(b"18446744073709551616", b"hello"), " | 400 | 413"),
    "length-2-64-and-5": (length(b"18446744073709551621", b"hello" + SMUGGLED), "400 | 413"),
    "length-of-1000-digits": (length(b"9" * 1000, b"hello"), " | 400 | 413"),
    "length-of-1000-zeros": (length(b"0" * 1000, get()), "200 200 + | 400"),
    "length-short": (length(b"3", b"abcGARBAGE\r\n\r\n"), "200 400"),
    "length-cut": (length(b"10", b"abc"), " | 400"),
    "body-unannounced": (post(body=b"hello=world\r\n\r\n"), "200 400"),
}

# Chunks.
CHUNKS = {
    "size-plus": (chunked(b"+5\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-minus": (chunked(b"-5\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-0x": (chunked(b"0x5\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-underscore": (chunked(b"0_5\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-space-first": (chunked(b" 5\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-space-last": (chunked(b"5 \r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-empty": (chunked(b"\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-no-hex": (chunked(b"zz\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-nul": (chunked(b"5\x00\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-2-64": (chunked(b"10000000000000000\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-2-64-and-5": (chunked(b"10000000000000005\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-2-63-less-1": (chunked(b"7fffffffffffffff\r\nhello\r\n0\r\n\r\n"), " | 400 | 413"),
    "size-2-63": (chunked(b"8000000000000000\r\nhello\r\n0\r\n\r\n"), "400"),
    "size-2-64-less-1": (chunked(b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), "400"),
    "size-2-63": (chunked(b"8000000000000000\r\nhello\r\n0\r\n\r\n"), " | 400 | 413"),
    "size-zeros-first": (chunked(b"0000000005\r\nhello\r\n0\r\n\r\n"), "200 +"),
    "size-a-million-zeros": (chunked(b"0" * (1 << 20) + b"5\r\nhello\r\n0\r\n\r\n"), "400"),
    "size-lone-lf": (chunked(b"5\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-lone-cr": (chunked(b"5\rhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "size-full-width": (chunked("５\r\nhello\r\n0\r\n\r\n".encode() + SMUGGLED), "400"),
    "data-too-long": (chunked(b"3\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "data-too-short": (chunked(b"7\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "data-end-xx": (chunked(b"5\r\nhelloxx0\r\n\r\n" + SMUGGLED), "400"),
    "data-end-lf": (chunked(b"5\r\nhello\n0\r\n\r\n" + SMUGGLED), "400"),
    "data-end-missing": (chunked(b"5\r\nhello0\r\n\r\n" + SMUGGLED), "400"),
    "last-cut": (chunked(b"5\r\nhello\r\n0\r\n"), " | 400"),
    "last-missing": (chunked(b"5\r\nhello\r\n"), " | 400"),
    "data-cut": (chunked(b"ff\r\nhello"), " | 400"),
    "size-cut": (chunked(b"f"), " | 400"),
    "nothing-comes": (chunked(b""), " | 400"),
    "extension": (chunked(b'5;a=b;c="d;e"\r\nhello\r\n0;x\r\n\r\n'), "200 +"),
    "extension-lf": (chunked(b"5;\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "extension-cr": (chunked(b"5;a\rb\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "extension-nul": (chunked(b"5;a=\x00\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "extension-latin-1": (chunked(b'5;a="\xff"\r\nhello\r\n0\r\n\r\n'), "200 + | 400"),
    "extension-open-quote": (chunked(b'5;a="b\r\nhello\r\n0\r\n\r\n' + SMUGGLED), "400"),
    "extension-bare": (chunked(b"5;\r\nhello\r\n0\r\n\r\n" + SMUGGLED), "400"),
    "extension-hides-size": (chunked(b"0;\r\n\r\n" + SMUGGLED), "400"),
    "extension-of-1-mib": (chunked(b"5;" + b"a" * (1 << 20) + b"\r\nhello\r\n0\r\n\r\n"), "400"),
    "extensions-1000-of-100": (chunked((b"1;" + b"a" * 100 + b"\r\nx\r\n") * 1000 + b"0\r\n\r\n"), "200 + | 400"),
    "trailer": (chunked(b"5\r\nhello\r\n0\r\nX-A: b\r\n\r\n"), "200 +"),
    "trailer-latin-1": (chunked(b"0\r\nX-A: \xff\xfe\r\n\r\n"), "200 + | 400"),
    "trailer-length": (chunked(b"0\r\nContent-Length: 35\r\n\r\n") + get(), "400 | 200 200 +"),
    "trailer-host": (chunked(b"0\r\nHost: y\r\n\r\n"), "400 | 200 +"),
    "trailer-no-colon": (chunked(b"0\r\nnothing\r\n\r\n" + SMUGGLED), "400"),
    "trailer-space-in-name": (chunked(b"0\r\nX A: b\r\n\r\n" + SMUGGLED), "400"),
    "trailer-nul": (chunked(b"0\r\nX-A: \x00\r\n\r\n" + SMUGGLED), "400"),
    "trailer-lone-lf": (chunked(b"0\r\nX-A: b\n\n" + SMUGGLED), " | 400"),
    "trailer-fold": (chunked(b"0\r\nX-A: b\r\n c\r\n\r\n" + SMUGGLED), "400"),
    "trailers-1000": (chunked(b"0\r\n" + b"X-A: b\r\n" * 1000 + b"\r\n" + SMUGGLED), "400 | 431"),
    "trailers-100000": (chunked(b"0\r\n" + b"X-A: b\r\n" * 100_000 + b"\r\n"), "400 | 431"),
    "trailer-of-1-mib": (chunked(b"0\r\nX-A: " + b"b" * (1 << 20) + b"\r\n\r\n"), "400 | 431"),
    "chunks-of-1-byte-100000": (chunked(b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"), "200 +"),
}

# Requests behind requests.
PIPELINES = {
    "good-good-good": (get() * 3, "200 200 200 +"),
    "good-then-garbage": (get() * 3 + b"GARBAGE\r\n\r\n" + SMUGGLED, "200 200 200 400"),
    "good-then-tls": (get() + b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n" + SMUGGLED, "200 400"),
    "good-then-smuggling": (get() + chunked(b"0\r\n\r\n" + SMUGGLED, b"Content-Length: 5"), "200 400"),
    "good-then-half": (get() + b"GET / HTTP/1.1\r\nHo", "200 | 200 400", FINISH),
    "body-then-garbage": (length(b"5", b"hello") + b"\x00\r\n\r\n" + SMUGGLED, "200 400"),
    "bad-body-then-good": (get() + chunked(b"zz\r\n" + SMUGGLED), "200 400"),
    "close-then-more": (get(b"Connection: close") + SMUGGLED, "200"),
    "http-1.0-then-more": (b"GET / HTTP/1.0\r\n\r\n" + SMUGGLED, "200"),
    "empty-line-between": (length(b"5", b"hello") + b"\r\n" + get(), "200 200 +"),
    "two-empty-lines-between": (length(b"5", b"hello") + b"\r\n\r\n" + SMUGGLED, "200 400"),
    "fault-of-the-app-then-good": (get(target=b"/raise") + get(), "500 | 500 200 +"),
    "thousand": (get() * 1000, " ".join(["200"] * 1000) + " +"),
    "thousand-then-garbage": (get() * 1000 + b"GARBAGE\r\n\r\n", " ".join(["200"] * 1000) + " 400"),
    "hundred-large": (get(target=b"/large") * 100, " ".join(["200"] * 100) + " +"),
}

# Expectations, upgrades, and what else asks for another way of speaking.
OTHER_WAYS = {
    "expect-continue": (length(b"2", b"ab", b"Expect: 100-continue"), "200 + | 100 200 +"),
    "expect-other": (length(b"2", b"ab", b"Expect: 200-ok"), "417"),
    "expect-list": (length(b"2", b"ab", b"Expect: 100-continue, x"), "417"),
    "expect-twice": (length(b"2", b"ab", b"Expect: 100-continue", b"Expect: 100-continue"), "200 + | 100 200 + | 417"),
    "expect-without-body": (get(b"Expect: 100-continue"), "200 + | 100 200 +"),
    "expect-then-refused": (post(b"Expect: 100-continue", b"Content-Length: x") + SMUGGLED, "400"),
    "upgrade-websocket": (get(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13",
                              b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "200 +"),
    "upgrade-h2c": (get(b"Upgrade: h2c", b"Connection: Upgrade, HTTP2-Settings", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
                    "200 +"),
    "upgrade-and-frames": (get(b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Version: 13",
                               b"Sec-WebSocket-Key: x") + b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\r\n\r\n", "200 400"),
    "upgrade-tls": (get(b"Upgrade: TLS/1.0", b"Connection: Upgrade"), "200 +"),
    "content-encoding-bomb": (length(b"5", b"hello", b"Content-Encoding: gzip"), "200 +"),
}

# Much of everything.
FLOODS = {
    "crlf-1-mib": (CRLF * (1 << 19), "400"),
    "lf-1-mib": (b"\n" * (1 << 20), "400"),
    "cr-1-mib": (b"\r" * (1 << 20), "400 | 414"),
    "nul-1-mib": (b"\x00" * (1 << 20), "400 | 414"),
    "spaces-1-mib": (b" " * (1 << 20), "400 | 414"),
    "letters-10-mb": (b"A" * 10_000_000, "400 | 414"),
    "target-10-mb": (b"GET /" + b"a" * 10_000_000 + b" HTTP/1.1\r\n", "400 | 414"),
    "query-64-kib": (get(target=b"/?" + b"a=b&" * 16384), "400 | 414"),
    "field-10-mb": (get(b"X-A: " + b"b" * 10_000_000), "400 | 431"),
    "name-1-mib": (get(b"X" * (1 << 20) + b": b"), "400 | 431"),
    "fields-100000": (get(*[b"X-A: b"] * 100_000), "400 | 431"),
    "fields-that-collide": (get(*[b"X-%d: b" % n for n in range(5000)]), "400 | 431"),
    "cookie-64-kib": (get(b"Cookie: " + b"a=b; " * 13000), "400 | 431"),
    "body-unread-20-mb": (length(b"20000000", b"x" * 20_000_000), "200 +"),
}

GROUPS = {
    "protocols": PROTOCOLS, "lines": LINES, "fields": FIELDS, "framing": FRAMING, "chunks": CHUNKS, "pipelines": PIPELINES,
    "other-ways": OTHER_WAYS, "floods": FLOODS,
}

ATTACKS = {f"{group}-{name}": case for group, cases in GROUPS.items() for name, case in cases.items()}
