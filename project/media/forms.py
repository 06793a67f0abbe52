"""What does the upload page accept?

Only whether a file could be a video is checked here, for the request must not wait: what it is, the
worker finds out.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.core.validators import FileExtensionValidator
from django.template.defaultfilters import filesizeformat

from .models import Video

#: Endings of the files that the site takes.
ENDINGS = (
    "mp4",
    "m4v",
    "mov",
    "mkv",
    "webm",
    "avi",
    "mpg",
    "mpeg",
    "ts",
    "ogv",
    "flv",
    "wmv",
    "3gp",
)

if TYPE_CHECKING:
    VideoModelForm = forms.ModelForm[Video]
else:
    VideoModelForm = forms.ModelForm


def validate_size(file: UploadedFile[Any]) -> None:
    """Refuse a file that is larger than the site takes."""
    largest = settings.MEDIA_LARGEST_UPLOAD
    if file.size is not None and file.size > largest:
        raise ValidationError(
            f"This file has {filesizeformat(file.size)}; we take up to {filesizeformat(largest)}."
        )


class UploadForm(VideoModelForm):
    """A video file and, for those who care, its title."""

    file = forms.FileField(
        label="Video file",
        max_length=150,
        validators=[FileExtensionValidator(ENDINGS), validate_size],
        widget=forms.FileInput(attrs={"accept": ",".join(f".{ending}" for ending in ENDINGS)}),
    )
    title = forms.CharField(
        max_length=200, required=False, help_text="Without one, the file's name is taken."
    )

    class Meta:
        model = Video
        fields = ("file", "title")

    def clean(self) -> dict[str, Any]:
        """Take the file's name for a title that was left out."""
        cleaned = super().clean() or self.cleaned_data
        if not cleaned.get("title") and (file := cleaned.get("file")):
            cleaned["title"] = Path(file.name).stem.replace("_", " ")[:200]
        return cleaned
