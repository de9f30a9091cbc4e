"""The app is loaded before the workers are forked, which close what they must not share."""
preload_app = True
workers = 2
max_requests = 1000
connections = []


def post_fork(server, worker):
    while connections:
        connections.pop().close()
    worker.log.info("worker %s shares no connection", worker.age)
