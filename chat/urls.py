from django.urls import include, path

from chat.views import account, openai, pages, setup
from chat.views.api import api

app_name = "chat"

openai_urls = [
    path("models", openai.list_models),
    path("models/<path:name>", openai.get_model),
    path("chat/completions", openai.create_completion),
    path("<path:rest>", openai.unknown),
]

urlpatterns = [
    path("", pages.home, name="home"),
    path("c/<uuid:conversation_id>/", pages.conversation, name="conversation"),
    path("m/<uuid:message_id>/", pages.message, name="message"),
    path("account/", account.account, name="account"),
    path("account/keys/<uuid:key_id>/revoke/", account.revoke_key, name="revoke_key"),
    path("api/v1/", api.urls),
    path("v1/", include(openai_urls)),
    path("openai/v1/", include(openai_urls)),
    path("setup/<str:token>/", setup.setup, name="setup"),
]
