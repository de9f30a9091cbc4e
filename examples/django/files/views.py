"""A list with an upload form, a download and a stream."""

import time

from django import forms
from django.http import FileResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from files.models import Upload


class UploadForm(forms.ModelForm):
    """A title and a file."""

    class Meta:
        model = Upload
        fields = ["title", "file"]


def index(request):
    form = UploadForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("index")
    return render(request, "files/index.html", {"form": form, "uploads": Upload.objects.order_by("-created")})


def download(request, pk):
    """Sends a file through wsgi.file_wrapper."""
    return FileResponse(get_object_or_404(Upload, pk=pk).file.open(), as_attachment=True)


def stream(request):
    def lines():
        for number in range(1, 4):
            yield f"line {number}\n"
            time.sleep(0.3)

    return StreamingHttpResponse(lines(), content_type="text/plain")
