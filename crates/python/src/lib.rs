//! The bridge to CPython: WSGI apps, gunicorn.conf.py.
