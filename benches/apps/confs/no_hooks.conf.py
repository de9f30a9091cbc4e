"""Settings like many have them, and no hook."""

keepalive = 75
timeout = 30
graceful_timeout = 30
proc_name = "bench"
