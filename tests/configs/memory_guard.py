"""Workers that have grown too large are replaced after a request."""
import os
import resource

workers = 1
max_worker_memory = 400
LIMIT_KIB = int(os.environ.get("WORKER_LIMIT_KIB", 400_000))


def post_request(worker, req, environ, resp):
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if size > LIMIT_KIB and worker.nr >= 2:
        worker.log.warning("worker %s has %s KiB after %s requests and is replaced", worker.pid, size, worker.nr)
        worker.alive = False
