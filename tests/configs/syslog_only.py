"""Both logs to syslog."""
import os

syslog = True
syslog_addr = os.environ.get("SYSLOG", "udp://localhost:514")
syslog_prefix = "shop"
syslog_facility = "local3"
errorlog = "-"
disable_redirect_access_to_syslog = False
workers = 1
