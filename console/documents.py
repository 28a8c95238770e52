"""Disposal documents as files to keep, to sign and to hand on."""

import re

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import anybody_logged_in
from console.errors import MissingError, NoFontError
from console.pages import language
from console.services import services
from disposal.errors import AlertError, ExportError, FontMissingError
from disposal.export import MEDIA_TYPES, Format, export

_FORMATS: dict[str, Format] = {"docx": "docx", "pdf": "pdf"}
_NAME = re.compile(r"([0-9a-f]{1,32}-[1-9][0-9]{0,8})\.(docx|pdf)", re.ASCII)

router = APIRouter()


@router.get("/documents/{name}", dependencies=[anybody_logged_in()], include_in_schema=False)
def document_file(request: Request, name: str) -> Response:
    """The document of that id as DOCX or PDF, in the language asked for or the visitor's own."""
    ours = services(request)
    found = _NAME.fullmatch(name)
    if found is None:
        raise MissingError
    kind = _FORMATS[found[2]]
    asked = request.query_params.get("language")
    tongue = asked if asked in ("zh", "en") else language(request)
    try:
        data = export(ours.engine, ours.evidence, ours.mine, found[1], tongue, kind, ours.zone)
    except FontMissingError as error:
        raise NoFontError from error
    except (AlertError, ExportError) as error:
        raise MissingError from error
    headers = {"Content-Disposition": f'attachment; filename="{found[1]}-{tongue}.{kind}"', "Cache-Control": "no-store"}
    return Response(data, media_type=MEDIA_TYPES[kind], headers=headers)
