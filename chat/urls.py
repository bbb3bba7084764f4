from django.urls import include, path

from chat.views import account, ask, openai, pages, raw, setup, traces
from chat.views.api import api

app_name = "chat"

openai_urls = [
    path("models", openai.list_models),
    path("models/<path:name>", openai.get_model),
    path("chat/completions", openai.create_completion),
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

urlpatterns = [
    path("", pages.home, name="home"),
    path("c/<uuid:conversation_id>/", pages.conversation, name="conversation"),
    path("m/<uuid:message_id>/", pages.message, name="message"),
    path("g/<uuid:generation_id>/", traces.trace, name="trace"),
    path("g/<uuid:generation_id>/fork/", traces.fork, name="trace_fork"),
    path("g/<uuid:generation_id>/graph.svg", traces.graph, name="trace_graph"),
    path("g/<uuid:generation_id>/steps/<int:sequence>/", traces.step, name="trace_step"),
    path("g/<uuid:generation_id>/timing/", traces.timing, name="trace_timing"),
    path("account/", account.account, name="account"),
    path("account/keys/<uuid:key_id>/revoke/", account.revoke_key, name="revoke_key"),
    path("api/v1/", api.urls),
    path("v1/", include(openai_urls)),
    path("openai/v1/", include(openai_urls)),
    *raw_urls,
    path("ask-demo/", ask.demo, name="ask_demo"),
    path("setup/<str:token>/", setup.setup, name="setup"),
]
