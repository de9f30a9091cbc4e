"""Two lines, as most files are."""
bind = "0.0.0.0:8000"
workers = 3
