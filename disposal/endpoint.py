"""Drafts from any OpenAI-compatible endpoint, within a time budget that no slow server can stretch."""

import asyncio
import base64
import hashlib
import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import openai
import structlog

from disposal.answer import schema
from disposal.callout import Destination, Guard, Unlogged, is_off_site
from disposal.errors import DraftError, StaysOnSiteError
from disposal.ledger import Prices, Usage, record
from disposal.prompt import Prompt, prompt_for
from disposal.request import DraftRequest
from disposal.second_look import Loader, Withheld
from disposal.settings import EndpointSettings
from disposal.showing import Showing, showing
from stream.errors import EvidenceError

_logger = structlog.get_logger()
LONGEST_ANSWER = 1024 * 1024
"""Bytes of an HTTP response after which it is no draft any more."""


class EndpointBackend:
    """One model behind one endpoint. It is asked once: no retries, no redirects, no proxies from the environment."""

    def __init__(self, settings: EndpointSettings, guard: Guard | None = None, pictures: Loader | None = None) -> None:
        """``guard``: the filter that everything goes through before it is sent; ``pictures``: reads evidence."""
        self._settings = settings
        self._guard = guard or Unlogged()
        self._pictures = pictures if settings.pictures else None
        self._refused = False
        # Reading the system's certificates takes some 30 ms: once for all drafts.
        self._tls = httpx2.create_ssl_context()
        self._last = threading.local()
        self.name = f"openai:{settings.model}"
        self.prices = Prices(settings.price_input, settings.price_cached, settings.price_output)
        self.daily_budget = settings.daily_budget
        self._to = Destination("draft", self.name, is_off_site(settings.url, settings.where))

    def prompt(self, request: DraftRequest) -> Prompt:
        """What the model is asked for that request."""
        chosen = self._showing(request)
        return prompt_for(request, picture=chosen.prompt if isinstance(chosen, Showing) else "")

    def shown(self, request: DraftRequest) -> bool:
        """Whether the picture went with the request that this thread made last."""
        del request
        return bool(getattr(self._last, "shown", False))

    def withheld(self, request: DraftRequest) -> Withheld | None:
        """Why the picture did not go with the request that this thread made last, where one might have gone."""
        del request
        return getattr(self._last, "withheld", None)

    def answer(self, request: DraftRequest, prompt: Prompt, seconds: float) -> str:
        """The model's text. Raises DraftError where the endpoint fails, redirects, or takes longer than ``seconds``.

        StaysOnSiteError, which is one, where the request is private and the endpoint off the site. A model that refuses
        the picture is asked again without one, and shown none any more.
        """
        begin, self._last.shown, self._last.withheld = time.monotonic(), False, None
        if (picture := self._picture(request)) is not None:
            try:
                text = self._answer(request, prompt, seconds, picture)
            except _RefusedError as error:
                _logger.warning("the model takes no pictures", backend=self.name, reason=str(error))
                self._refused = True
            else:
                self._last.shown = True
                return text
        left = seconds - (time.monotonic() - begin)
        return self._answer(request, prompt_for(request), left, None)

    def _showing(self, request: DraftRequest) -> Showing | Withheld | None:
        """What to show, or why nothing; None also where the endpoint takes no pictures."""
        if self._pictures is None or self._refused:
            return None
        return showing(request, off_site=self._to.off_site, leaving=self._settings.off_site_pictures)

    def _picture(self, request: DraftRequest) -> bytes | None:
        """The picture to show, once its audit line stands; None where there is none to show, or it cannot be read."""
        chosen = self._showing(request)
        if chosen is None or self._pictures is None:
            return None
        if not isinstance(chosen, Showing):
            self._withhold(request, chosen)
            return None
        try:
            data = self._pictures(chosen.evidence)
            if chosen.people is not None:
                from disposal.blur import blur_heads  # takes OpenCV with it

                data = blur_heads(data, chosen.people)
        except EvidenceError as error:
            _logger.warning("evidence not shown to the model", reason=str(error))
            return None
        except StaysOnSiteError:
            self._withhold(request, "unreadable")
            return None
        to = self._to._replace(purpose="picture")
        said = f"picture {hashlib.sha256(data).hexdigest()}"
        self._guard.clear(to, said, subject=request.subject, private=request.private)
        return data

    def _withhold(self, request: DraftRequest, why: Withheld) -> None:
        self._last.withheld = why
        to = self._to._replace(purpose="picture")
        self._guard.withhold(to, why, subject=request.subject, private=request.private)

    def _answer(self, request: DraftRequest, prompt: Prompt, seconds: float, picture: bytes | None) -> str:
        cleared = self._guard.clear(
            self._to, prompt.text, subject=request.subject, private=request.private, names=request.people
        )
        wanted = schema(request, shown=picture is not None)
        try:
            asked = self._ask(wanted, _content(cleared.text, picture))
            return cleared.restore(asyncio.run(asyncio.wait_for(asked, seconds)))
        except TimeoutError as error:
            raise DraftError(f"The endpoint of {self.name} gave no answer within {seconds:.1f} s.") from error
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
            said = str(error).splitlines()[0][:200] if str(error) else ""
            kind = _RefusedError if picture is not None and isinstance(error, openai.APIStatusError) else DraftError
            raise kind(f"The endpoint of {self.name} failed: {type(error).__name__} {said}".rstrip()) from error

    async def _ask(self, answer_schema: dict[str, Any], content: Any) -> str:
        transport = _CappedTransport(httpx2.AsyncHTTPTransport(verify=self._tls))
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
                messages=[{"role": "user", "content": content}],
                temperature=0,
                response_format={
                    "type": "json_schema",
                    "json_schema": {"name": "disposal_document", "strict": True, "schema": answer_schema},
                },
            )
        record(_usage_of(completion))
        return _text_of(completion)


class _RefusedError(DraftError):
    """The endpoint answered a request with a picture by an error."""


def _content(text: str, picture: bytes | None) -> Any:
    """A message's content: text alone, or with the picture behind it."""
    if picture is None:
        return text
    url = "data:image/jpeg;base64," + base64.b64encode(picture).decode()
    return [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]


def _usage_of(completion: Any) -> Usage:
    """The tokens that the server says it took; a server that says nothing, or nonsense, took none that we know of."""
    told = getattr(completion, "usage", None)
    cached = getattr(getattr(told, "prompt_tokens_details", None), "cached_tokens", 0)
    counts = (getattr(told, "prompt_tokens", 0), cached, getattr(told, "completion_tokens", 0))
    return Usage(*(n if isinstance(n, int) and 0 <= n < 10**9 else 0 for n in counts))


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
