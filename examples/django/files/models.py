"""What is kept of an upload."""

from django.db import models


class Upload(models.Model):
    """One uploaded file."""

    title = models.CharField(max_length=100)
    file = models.FileField(upload_to="uploads")
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self):
        return self.title
