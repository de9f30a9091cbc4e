"""Work that a worker begins and ends: a pool for each of them, by attributes of the worker."""
workers = 2
threads = 2


class Pool:
    def __init__(self, size):
        self.size, self.open = size, True

    def close(self):
        self.open = False


def post_worker_init(worker):
    worker.pool = Pool(worker.cfg.threads)
    worker.log.info("pool of %d for worker %d", worker.pool.size, worker.age)


def worker_exit(server, worker):
    pool = getattr(worker, "pool", None)
    if pool:
        pool.close()
        worker.log.info("pool of worker %d is closed", worker.age)
