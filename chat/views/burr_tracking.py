"""The API of Burr's telemetry page: projects, applications and their steps, annotations."""

from hashlib import sha256
from typing import Any, cast

from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.cache import get_conditional_response

from chat.database import in_database, in_transaction
from chat.drain import refuse_when_draining
from chat.errors import NotFound
from chat.identity import Identity
from chat.views import burr_apps, burr_logs
from chat.views.burr import endpoint, json_response
from chat.views.burr_apps import NO_PARTITION, App
from chat.views.dialects import json_body
from chat.wire import burr_tracking
from chat.wire.burr_requests import AnnotationCreate, AnnotationFilter, AnnotationUpdate, Page
from chat.wire.forms import parse_body, parse_query

MAX_NUMBER = 2**31 - 1  # The database knows no greater ones.


async def _anybody(request: HttpRequest) -> Identity:
    # For what tells of nobody, and is asked before anybody has signed in.
    return Identity(user=cast(Any, AnonymousUser()), is_guest=True)


@endpoint("GET", "HEAD", identify=_anybody)
async def ready(request: HttpRequest, identity: Identity) -> HttpResponse:
    refuse_when_draining()
    return json_response({"ready": True})


@endpoint("GET", "HEAD", identify=_anybody)
async def ready_v0(request: HttpRequest, identity: Identity) -> HttpResponse:
    refuse_when_draining()
    return json_response(value=True)


@endpoint("GET", "HEAD", identify=_anybody)
async def version(request: HttpRequest, identity: Identity) -> HttpResponse:
    return json_response({"version": burr_tracking.VERSION})


@endpoint("GET", "HEAD", identify=_anybody)
async def app_spec(request: HttpRequest, identity: Identity) -> HttpResponse:
    return json_response(burr_tracking.BACKEND)


@endpoint("GET", "HEAD")
async def projects(request: HttpRequest, identity: Identity) -> HttpResponse:
    address = request.build_absolute_uri(reverse("chat:home"))
    found = await in_database(burr_apps.list_projects, identity.user, address=address)
    return json_response(found)


@endpoint("GET", "HEAD")
async def apps(
    request: HttpRequest, identity: Identity, project_id: str, partition_key: str
) -> HttpResponse:
    burr_apps.check_project(project_id)
    page = parse_query(Page, request.GET)
    user = identity.user
    return json_response(
        await in_database(burr_apps.list_page, user, project_id, partition_key, page)
    )


@endpoint("GET", "HEAD")
async def logs(
    request: HttpRequest, identity: Identity, project_id: str, app_id: str, partition_key: str
) -> HttpResponseBase:
    """Return an application's steps: 304 when the reader has them as they are."""
    app, user = App(project_id, app_id), identity.user
    _check_partition(partition_key)
    is_staff = bool(getattr(user, "is_staff", False))
    marks = await in_database(burr_logs.fingerprint, user, app)
    etag = f'"{sha256(f"{marks}|{is_staff}".encode()).hexdigest()[:32]}"'
    response = get_conditional_response(request, etag)
    if response is None:
        record = await in_database(burr_logs.read, user, app)
        body = await burr_logs.encode(record, with_traceback=is_staff)
        response = HttpResponse(body, content_type="application/json")
    response["ETag"] = etag
    response["Cache-Control"] = "private, no-cache"  # To be asked for again, and kept till then.
    return response


@endpoint("POST")
async def annotate(
    request: HttpRequest,
    identity: Identity,
    project_id: str,
    app_id: str,
    partition_key: str,
    sequence_id: int,
) -> HttpResponse:
    app = App(project_id, app_id)
    _check_partition(partition_key)
    form = parse_body(AnnotationCreate, json_body(request))
    sequence = _known(sequence_id)
    return json_response(
        await in_transaction(burr_logs.annotate, identity.user, app, sequence, form)
    )


@endpoint("PUT")
async def change_annotation(
    request: HttpRequest, identity: Identity, project_id: str, annotation_id: int
) -> HttpResponse:
    burr_apps.check_project(project_id)
    form = parse_body(AnnotationUpdate, json_body(request))
    number = _known(annotation_id)
    user = identity.user
    return json_response(
        await in_transaction(burr_logs.change_annotation, user, project_id, number, form)
    )


@endpoint("GET", "HEAD")
async def annotations(request: HttpRequest, identity: Identity, project_id: str) -> HttpResponse:
    burr_apps.check_project(project_id)
    wanted = parse_query(AnnotationFilter, request.GET)
    found = await in_database(burr_logs.list_annotations, identity.user, project_id, wanted)
    return json_response(found)


@endpoint("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", identify=_anybody)
async def unknown(request: HttpRequest, identity: Identity, rest: str) -> HttpResponse:
    raise NotFound("Of Burr's API, the streaming chatbot and the tracking are here.")


def _check_partition(key: str) -> None:
    if key not in NO_PARTITION:
        raise NotFound("Applications have no partition here. Say __none__.")


def _known(number: int) -> int:
    if number > MAX_NUMBER:
        raise NotFound
    return number
