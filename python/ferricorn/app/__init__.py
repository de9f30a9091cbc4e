"""Programs that embed the server, as `gunicorn.app` has them. From here on `import gunicorn` works where it is not installed."""

from ferricorn import standin

standin.register()
