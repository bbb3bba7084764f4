"""The chain that the tutorials show, as both frameworks' peers run it."""

import os

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import Runnable
from langchain_openai import ChatOpenAI

from bench.peers.prompt import SYSTEM


def build_chain() -> Runnable[dict[str, str], str]:
    """Return ``prompt | model | parser`` against the server that the environment names."""
    prompt = ChatPromptTemplate.from_messages([("system", SYSTEM), ("human", "{input}")])
    model = ChatOpenAI(
        model="bench",
        base_url=os.environ["OPENAI_BASE_URL"],
        api_key=os.environ["OPENAI_API_KEY"],  # type: ignore[arg-type]
    )
    return prompt | model | StrOutputParser()
