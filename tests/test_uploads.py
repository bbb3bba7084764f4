import io

import pytest
from PIL import Image

from chat.errors import UnsupportedFile
from chat.uploads import read_upload, tidy_name


def image(form, size=(30, 20), mode="RGB", **options):
    file = io.BytesIO()
    Image.new(mode, size, "red").save(file, form, **options)
    return file.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_kept_as_utf_8_whatever_it_came_as(encoding):
    upload = read_upload("a.txt", "größe\r\n€".encode(encoding))
    assert (upload.kind, upload.content.decode()) == ("text", "größe\n€")


@pytest.mark.parametrize("content", [b"\xff\xfea", b"a\x00b", b"\xe9t\xe9", b"%PDF-1.7\xff"])
def test_what_is_no_text_is_refused(content):
    with pytest.raises(UnsupportedFile, match=r"^a\.txt: "):
        read_upload("a.txt", content)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "GIF", "WEBP"])
def test_an_image_is_written_anew_whatever_its_name_says(form):
    upload = read_upload("a.txt", image(form))
    written = Image.open(io.BytesIO(upload.content))
    assert (upload.kind, written.size) == ("image", (30, 20))
    assert upload.media_type == f"image/{written.format.lower()}"


def test_a_photo_is_upright_and_without_what_its_camera_wrote():
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "SecretCamera"
    upload = read_upload("a.jpg", image("JPEG", exif=exif))
    written = Image.open(io.BytesIO(upload.content))
    assert (upload.media_type, written.size) == ("image/jpeg", (20, 30))
    assert not written.getexif()
    assert b"SecretCamera" not in upload.content


def test_what_is_seen_through_stays_so():
    upload = read_upload("a.png", image("PNG", mode="RGBA"))
    assert Image.open(io.BytesIO(upload.content)).mode == "RGBA"


def test_other_images_are_no_text_either():
    with pytest.raises(UnsupportedFile):
        read_upload("a.tiff", image("TIFF"))


def test_a_name_is_one_line_without_folders():
    assert tidy_name("C:\\x\\a\n b.txt") == "a b.txt"
    assert tidy_name("../../etc/passwd") == "passwd"
    assert tidy_name("") == "file"
    assert len(tidy_name("x" * 500)) == 200
