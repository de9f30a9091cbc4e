"""Uploads in the admin."""

from django.contrib import admin

from files.models import Upload

admin.site.register(Upload)
