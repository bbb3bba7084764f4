"""Settings of a site whose operator compresses and caches all that Django can."""

from tests.settings import *  # noqa: F403
from tests.settings import MIDDLEWARE as OURS

NEW = [
    "django.middleware.cache.UpdateCacheMiddleware",
    "django.middleware.gzip.GZipMiddleware",
    "django.middleware.http.ConditionalGetMiddleware",
]
LAST = "django.middleware.cache.FetchFromCacheMiddleware"
_place = OURS.index("servestatic.middleware.ServeStaticMiddleware") + 1
MIDDLEWARE = [*OURS[:_place], *NEW, *OURS[_place:], LAST]
