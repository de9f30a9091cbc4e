"""Shows where a worker hangs before it is killed."""
import faulthandler
import sys
import threading
import traceback

timeout = 2
workers = 1
worker_class = "sync"


def post_worker_init(worker):
    faulthandler.enable()


def worker_abort(worker):
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        worker.log.error("Stack of %s:\n%s", names.get(ident), "".join(traceback.format_stack(frame)))
