"""OpenTelemetry, whose exporter is a thread and so begins after the fork."""
from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

bind = "127.0.0.1:8000"
workers = 2
loglevel = "debug"


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)
    resource = Resource.create(attributes={"service.name": "api-service", "worker": worker.pid})
    trace.set_tracer_provider(TracerProvider(resource=resource))
    span_processor = BatchSpanProcessor(ConsoleSpanExporter(out=open("spans", "a")))
    trace.get_tracer_provider().add_span_processor(span_processor)


def worker_exit(server, worker):
    trace.get_tracer_provider().shutdown()
