import pytest

from chat.llm.vision import takes_images
from tests.llm.base import chat


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("openai:gpt-4o-mini", True),
        ("openai:google/gemini-2.5-flash", True),
        ("ollama:llava:13b", True),
        ("ollama:qwen2.5vl:7b", True),
        ("openai:gpt-3.5-turbo", False),
        ("ollama:llama3", False),
        ("demo", False),
    ],
)
def test_known_families_take_images(name, takes):
    assert takes_images(name) is takes


def test_the_setting_says_which_do_instead():
    with chat(IMAGE_MODELS=("own", "ollama:see*")):
        assert takes_images("own-model")
        assert takes_images("ollama:seer:7b")
        assert not takes_images("openai:gpt-4o")
