"""A page of Django with its usual middleware, a parameter in its path and a JSON answer; no database."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.middleware.clickjacking.XFrameOptionsMiddleware",
    ],
)


def hello(request, name):
    return JsonResponse({"hello": name})


def pid(request):
    """The number of the process that answers."""
    return HttpResponse(str(os.getpid()))


urlpatterns = [path("hello/<str:name>", hello), path("pid", pid)]
application = get_wsgi_application()
