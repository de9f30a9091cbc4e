"""A page of Flask with a parameter in its path and a JSON answer."""

from flask import Flask

application = Flask(__name__)


@application.get("/hello/<name>")
def hello(name):
    return {"hello": name}
