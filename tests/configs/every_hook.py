"""Each hook with a line in the log, as in the example file of gunicorn's documentation."""
import sys
import threading
import traceback

workers = 2


def on_starting(server):
    server.log.info("Server is starting")


def on_reload(server):
    server.log.info("Reloading...")


def when_ready(server):
    server.log.info("Server is ready. Spawning workers")


def pre_fork(server, worker):
    pass


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)


def post_worker_init(worker):
    worker.log.info("worker initialized with %s", worker.app.wsgi())


def pre_exec(server):
    server.log.info("Forked child, re-executing.")


def nworkers_changed(server, new_value, old_value):
    server.log.info("From %s workers to %s", old_value, new_value)


def pre_request(worker, req):
    worker.log.debug("%s %s" % (req.method, req.path))


def post_request(worker, req, environ, resp):
    worker.log.debug("%s %s %s", req.method, req.path, resp.status)


def worker_int(worker):
    worker.log.info("worker received INT or QUIT signal")
    id2name = {th.ident: th.name for th in threading.enumerate()}
    code = []
    for thread_id, stack in sys._current_frames().items():
        code.append("\n# Thread: %s(%d)" % (id2name.get(thread_id, ""), thread_id))
        for filename, lineno, name, line in traceback.extract_stack(stack):
            code.append('File: "%s", line %d, in %s' % (filename, lineno, name))
    worker.log.debug("\n".join(code))


def worker_abort(worker):
    worker.log.info("worker received SIGABRT signal")


def worker_exit(server, worker):
    server.log.info("Worker exited (pid: %s)", worker.pid)


def child_exit(server, worker):
    server.log.info("Child exited (pid: %s)", worker.pid)


def on_exit(server):
    server.log.info("Server has shut down")
