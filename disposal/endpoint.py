"""Drafts from any OpenAI-compatible endpoint, within a time budget that no slow server can stretch."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai

from disposal.answer import schema
from disposal.callout import Destination, Guard, Unlogged, is_off_site
from disposal.errors import DraftError
from disposal.prompt import Prompt, prompt_for
from disposal.request import DraftRequest
from disposal.settings import EndpointSettings

LONGEST_ANSWER = 1024 * 1024
"""Bytes of an HTTP response after which it is no draft any more."""


class EndpointBackend:
    """One model behind one endpoint. It is asked once: no retries, no redirects, no proxies from the environment."""

    def __init__(self, settings: EndpointSettings, guard: Guard | None = None) -> None:
        """``guard``: the filter that everything goes through before it is sent."""
        self._settings = settings
        self._guard = guard or Unlogged()
        self.name = f"openai:{settings.model}"
        self._to = Destination("draft", self.name, is_off_site(settings.url, settings.where))

    def prompt(self, request: DraftRequest) -> Prompt:
        """What the model is asked for that request."""
        return prompt_for(request)

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        """The model's text. Raises DraftError where the endpoint fails, redirects, or takes longer than ``seconds``.

        StaysOnSiteError, which is one, where the request is private and the endpoint off the site.
        """
        cleared = self._guard.clear(
            self._to, prompt.text, subject=request.subject, private=request.private, names=request.people
        )
        try:
            asked = self._ask(schema(request), prompt._replace(text=cleared.text))
            return cleared.restore(asyncio.run(asyncio.wait_for(asked, seconds)))
        except TimeoutError as error:
            raise DraftError(f"The endpoint of {self.name} gave no answer within {seconds:.1f} s.") from error
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
            said = str(error).splitlines()[0][:200] if str(error) else ""
            raise DraftError(f"The endpoint of {self.name} failed: {type(error).__name__} {said}".rstrip()) from error

    async def _ask(self, answer_schema: dict[str, Any], prompt: Prompt) -> str:
        transport = _CappedTransport(httpx2.AsyncHTTPTransport())
        async with httpx2.AsyncClient(transport=transport, follow_redirects=False, trust_env=False) as http:
            client = openai.AsyncOpenAI(
                base_url=self._settings.url,
                api_key=self._settings.key.get_secret_value() or "none",
                max_retries=0,
                timeout=None,
                http_client=http,
            )
            completion = await client.chat.completions.create(
                model=self._settings.model,
                messages=[{"role": "user", "content": prompt.text}],
                temperature=0,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "disposal_document", "strict": True, "schema": answer_schema},
                },
            )
        return _text_of(completion)


def _text_of(completion: Any) -> str:
    """The text of the first choice; whatever a server sends in its place is no answer."""
    choices = getattr(completion, "choices", None)
    content = choices[0].message.content if isinstance(choices, list) and choices and choices[0].message else None
    if not isinstance(content, str):
        raise DraftError("The endpoint's response holds no text of a model.")
    return content


class _CappedTransport(httpx2.AsyncBaseTransport):
    """Ends a response that grows beyond what a draft can be."""

    def __init__(self, inner: httpx2.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._inner.handle_async_request(request)
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _CappedStream(response.stream)
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class _CappedStream(httpx2.AsyncByteStream):
    def __init__(self, inner: httpx2.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for part in self._inner:
            size += len(part)
            if size > LONGEST_ANSWER:
                raise httpx2.ReadError(f"the response is longer than {LONGEST_ANSWER} bytes")
            yield part

    async def aclose(self) -> None:
        await self._inner.aclose()
