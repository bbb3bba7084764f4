"""
One settings file. What differs between a laptop and a cluster comes from the
environment; the README lists every variable.
"""

import os
from pathlib import Path
from typing import Any

import django
import environ

from chat.conf import from_environment
from chat.defaults import SQLITE_OPTIONS
from chatsite.logs import logging_config
from chatsite.secret import keep_secret_key

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

DATA_DIR = Path(env.str("CHAT_DATA_DIR", default=str(BASE_DIR / "var"))).resolve()
DEBUG = env.bool("DEBUG", default=False)
SECRET_KEY = env.str("SECRET_KEY", default="") or keep_secret_key(DATA_DIR)
SECRET_KEY_FALLBACKS = env.list("SECRET_KEY_FALLBACKS", default=[])
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# Behind a proxy that terminates TLS. Everything that makes cookies and links
# HTTPS-only follows from this one switch, because half of it protects nothing.
HTTPS = env.bool("HTTPS", default=False)

INSTALLED_APPS = [
    "daphne",  # First: it makes `runserver` speak WebSocket.
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "servestatic",
    "django.contrib.staticfiles",
    "channels",
    "ninja",
    "chat",
]

CSP_MIDDLEWARE = (
    "django.middleware.csp.ContentSecurityPolicyMiddleware"
    if django.VERSION >= (6, 0)
    else "csp.middleware.CSPMiddleware"
)

# All of them async-capable: one that is not costs a thread for as long as a stream lives.
MIDDLEWARE = [
    "chat.views.health.answer_probes",
    # These come before all that may refuse a request, or answer it by themselves.
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    CSP_MIDDLEWARE,
    "django.middleware.security.SecurityMiddleware",
    "servestatic.middleware.ServeStaticMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

ROOT_URLCONF = "chatsite.urls"
ASGI_APPLICATION = "chatsite.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        # A wheel has the site's templates in the package.
        "DIRS": [BASE_DIR / "templates", BASE_DIR / "chatsite" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# A process that freezes within a transaction must give up what it has locked in time for others to
# take its answers over: within 15 s, of which they need 10 to see that it is silent.
POSTGRES_OPTIONS: dict[str, Any] = {
    "pool": {"min_size": 2, "max_size": 12, "timeout": 5, "max_lifetime": 1800},
    "connect_timeout": 5,
    "options": "-c statement_timeout=10000 -c lock_timeout=3000"
    " -c idle_in_transaction_session_timeout=5000",
}

DATABASES = {"default": env.db_url("DATABASE_URL", default=f"sqlite:///{DATA_DIR / 'db.sqlite3'}")}
# The pool looks at a connection before it lends it: the server may have ended it meanwhile.
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["CONN_MAX_AGE"] = 0  # Under ASGI a kept connection outlives its thread.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    DATABASES["default"]["OPTIONS"] = SQLITE_OPTIONS
    # Not in memory: sockets and writers use threads of their own.
    DATABASES["default"]["TEST"] = {"NAME": DATA_DIR / f"test-{os.getpid()}.sqlite3"}
else:
    DATABASES["default"]["OPTIONS"] = POSTGRES_OPTIONS

# With it, the events of running answers and what processes tell each other go through Redis;
# without it, through the database.
REDIS_URL = env.str("REDIS_URL", default="")

CHAT: dict[str, Any] = from_environment(os.environ)
if REDIS_URL:
    CHAT.setdefault("EVENT_LOG", "redis")
if CHAT.get("ENGINE") == "procrastinate":
    INSTALLED_APPS.append("procrastinate.contrib.django")  # Its tables, and its pages in the admin.
OPENAI_API_KEY = env.str("OPENAI_API_KEY", default="")
OPENAI_BASE_URL = env.str("OPENAI_BASE_URL", default="")
OLLAMA_HOST = env.str("OLLAMA_HOST", default="http://127.0.0.1:11434")

# LangChain's tracing sends prompts and answers away: off unless somebody asks for it.
os.environ.setdefault("LANGSMITH_TRACING", "false")

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "chat:home"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = DATA_DIR / "static"
SERVESTATIC_USE_FINDERS = True  # No collectstatic step; a proxy may still serve STATIC_ROOT.

CSP_DIRECTIVES: dict[str, list[str]] = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    "style-src": ["'self'"],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "object-src": ["'none'"],
    "frame-ancestors": ["'none'"],
}
SECURE_CSP = CSP_DIRECTIVES
CONTENT_SECURITY_POLICY = {"DIRECTIVES": CSP_DIRECTIVES}
X_FRAME_OPTIONS = "DENY"
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
if HTTPS:
    SECURE_SSL_REDIRECT = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-session", "__Host-csrf"

DATA_UPLOAD_MAX_MEMORY_SIZE = FILE_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000  # The admin's bulk actions send a field per row.

LOGGING = logging_config(
    env.str("LOG_FORMAT", default="plain"), level=env.str("LOG_LEVEL", default="INFO")
)
