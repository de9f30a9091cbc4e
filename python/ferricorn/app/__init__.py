"""Programs that embed the server, as `gunicorn.app` has them."""
