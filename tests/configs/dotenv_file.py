"""Reads .env first, so that development and production differ in that file alone."""
import os
from pathlib import Path

from dotenv import load_dotenv

BASE_DIR = Path(__file__).resolve().parent
env_file = BASE_DIR / ".env"
if env_file.exists():
    load_dotenv(env_file)

bind = os.environ.get("BIND", "127.0.0.1:8000")
workers = int(os.environ.get("WORKERS", 1))
loglevel = os.environ.get("LOGLEVEL", "warning")
proc_name = os.environ["SERVICE"]
chdir = str(BASE_DIR)
