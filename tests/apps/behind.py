"""The app of the features, and pages for what comes through a proxy."""

from features import app, page

__all__ = ["app"]

@page("/pieces")
def pieces(environ, start_response):
    """So many pieces of 64 KiB as the query says, without a length."""
    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return (b"p" * 65536 for _ in range(int(environ["QUERY_STRING"])))


@page("/not-modified")
def not_modified(environ, start_response):
    start_response("304 Not Modified", [("ETag", '"1"')])
    return []
