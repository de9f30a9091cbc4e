"""A thread in the master that does something now and then."""
import threading

workers = 1
stop = threading.Event()


def tick(log):
    while not stop.wait(0.05):
        log.info("tick")


def when_ready(server):
    threading.Thread(target=tick, args=(server.log,), name="scheduler", daemon=True).start()


def on_exit(server):
    stop.set()
