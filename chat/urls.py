from django.urls import include, path, re_path

from chat.views import (
    account,
    ai_sdk,
    answers,
    ask,
    burr,
    burr_tracking,
    embed,
    imports,
    openai,
    options,
    pages,
    personas,
    preferences,
    provenance,
    queues,
    ratings,
    raw,
    setup,
    shares,
    traces,
    versions,
)
from chat.views.persona_api import api  # With what `chat.views.api` has put there.

app_name = "chat"

openai_urls = [
    # With a slash at the end or without, as its clients put their base URLs together.
    re_path(r"^models/?$", openai.list_models),
    path("models/<path:name>", openai.get_model),
    re_path(r"^chat/completions/?$", openai.create_completion),
    path("<path:rest>", openai.unknown),
]

# Some of their clients end an address with a slash, and not all follow a redirect.
raw_urls = [
    path(f"{name}{slash}", view)
    for slash in ("", "/")
    for name, view in {
        "nostream": raw.nostream,
        "stream-with-get": raw.stream_with_get,
        "stream-with-post": raw.stream_with_post,
        "stream": raw.stream_with_post,
        "ask": ask.ask,
    }.items()
]

# Ids of chats are their clients' own, and may be any text.
ai_sdk_urls = [
    re_path(r"^chat/?$", ai_sdk.chat),
    re_path(r"^chat/(?P<chat_id>.+)/stream/?$", ai_sdk.stream),
    re_path(r"^chat/(?P<chat_id>.+)/stop/?$", ai_sdk.stop),
    re_path(r"^completion/?$", ai_sdk.completion),
]

# Fixed addresses come first: a project may be called like one of them.
burr_urls = [
    path("streaming_chatbot/create/<project_id>/<app_id>", burr.create),
    path("streaming_chatbot/history/<project_id>/<app_id>", burr.history),
    path("streaming_chatbot/response/<project_id>/<app_id>", burr.respond),
    path("ready", burr_tracking.ready_v0),
    path("version", burr_tracking.version),
    path("metadata/app_spec", burr_tracking.app_spec),
    path("projects", burr_tracking.projects),
    path("<project_id>/annotations", burr_tracking.annotations),
    path("<project_id>/<int:annotation_id>/update_annotations", burr_tracking.change_annotation),
    path(
        "<project_id>/<app_id>/<partition_key>/<int:sequence_id>/annotations",
        burr_tracking.annotate,
    ),
    path("<project_id>/<partition_key>/apps", burr_tracking.apps),
    path("<project_id>/<app_id>/<partition_key>/apps", burr_tracking.logs),
    path("<path:rest>", burr_tracking.unknown),
]

urlpatterns = [
    path("", pages.home, name="home"),
    path("c/<uuid:conversation_id>/", pages.conversation, name="conversation"),
    path("c/<uuid:conversation_id>/options/", options.options, name="options"),
    path("embed/", embed.embed, name="embed"),
    path("embed/<uuid:conversation_id>/", embed.embed, name="embed_conversation"),
    path("archived/", options.archived, name="archived"),
    path("s/<str:token>/", shares.shared, name="shared"),
    path("m/<uuid:message_id>/", pages.message, name="message"),
    path("m/<uuid:message_id>/show/", versions.show, name="show"),
    path("m/<uuid:message_id>/rating/", ratings.rating, name="rating"),
    path("m/<uuid:message_id>/about/", provenance.about, name="about"),
    path("m/<uuid:message_id>/again/", answers.again, name="again"),
    path("m/<uuid:message_id>/continue/", answers.go_on, name="continue"),
    path("m/<uuid:message_id>/fork/", answers.fork, name="fork"),
    path("m/<uuid:message_id>/edit/", answers.edit, name="edit"),
    path("g/<uuid:generation_id>/", traces.trace, name="trace"),
    path("g/<uuid:generation_id>/withdraw/", queues.take_back, name="withdraw"),
    path("g/<uuid:generation_id>/fork/", traces.fork, name="trace_fork"),
    path("g/<uuid:generation_id>/graph.svg", traces.graph, name="trace_graph"),
    path("g/<uuid:generation_id>/steps/<int:sequence>/", traces.step, name="trace_step"),
    path("g/<uuid:generation_id>/timing/", traces.timing, name="trace_timing"),
    path("account/", account.account, name="account"),
    path("personas/", personas.personas, name="personas"),
    path("personas/new/", personas.new, name="new_persona"),
    path("personas/<uuid:persona_id>/", personas.persona, name="persona"),
    path("personas/<uuid:persona_id>/<int:number>/", personas.version, name="persona_version"),
    path("settings/", preferences.preferences, name="preferences"),
    path("account/import/", imports.import_file, name="import"),
    path("account/keys/<uuid:key_id>/revoke/", account.revoke_key, name="revoke_key"),
    path("api/v1/", api.urls),
    path("api/", include(ai_sdk_urls)),
    path("v1/", include(openai_urls)),
    path("openai/v1/", include(openai_urls)),
    *raw_urls,
    path("ask-demo/", ask.demo, name="ask_demo"),
    path("api/v0/", include(burr_urls)),
    path("ready", burr_tracking.ready),
    path("setup/<str:token>/", setup.setup, name="setup"),
]
