"""Django by ASGI: views of both kinds, an upload, streams of both kinds, the admin's login page with a database."""

import asyncio
import os
import threading
from pathlib import Path

import django
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    SECRET_KEY="a key for tests", ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"],
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=["django.middleware.common.CommonMiddleware", "django.contrib.sessions.middleware.SessionMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.join(os.getcwd(), "db.sqlite3")}},
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402 - the apps are there only now
from django.core.management import call_command  # noqa: E402

call_command("migrate", verbosity=0, interactive=False)


def sync_view(request):
    return JsonResponse({"thread": threading.current_thread() is not threading.main_thread(), "path": request.path, "get": request.GET.dict()})


async def async_view(request):
    await asyncio.sleep(0)
    return HttpResponse("async")


async def users(request):
    await User.objects.acreate(username=request.POST["name"])
    return JsonResponse({"users": [user.username async for user in User.objects.order_by("username")]})


def session(request):
    request.session["count"] = request.session.get("count", 0) + 1
    return HttpResponse(str(request.session["count"]))


def upload(request):
    return JsonResponse({name: file.size for name, file in request.FILES.items()})


async def stream(request):
    async def lines():
        for number in range(3):
            yield f"line {number}\n"
            while not Path(f"{request.GET['name']}{number}").exists():
                await asyncio.sleep(0.01)

    return StreamingHttpResponse(lines())


def sync_stream(request):
    return StreamingHttpResponse(f"line {number}\n" for number in range(3))


async def wait(request):
    Path("waiting").touch()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        Path("cancelled").touch()
        raise


def fail(request):
    raise LookupError("as asked for")


urlpatterns = [
    path("sync/", sync_view), path("async/", async_view), path("users/", users), path("session/", session), path("upload/", upload),
    path("stream/", stream), path("sync-stream/", sync_stream), path("wait/", wait), path("fail/", fail),
]
application = get_asgi_application()
