"""The two hooks that run for every request."""


def pre_request(worker, req):
    req.seen = worker.pid


def post_request(worker, req, environ, resp):
    worker.last = resp.status
