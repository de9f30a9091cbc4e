"""Where the pages are."""

from django.contrib import admin
from django.urls import path

from files import views

urlpatterns = [
    path("", views.index, name="index"),
    path("download/<int:pk>", views.download, name="download"),
    path("stream", views.stream, name="stream"),
    path("admin/", admin.site.urls),
]
