"""Where a dispatcher's page says that it has heard the shift's test alarm."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from console.auth import allowed
from console.pages import language
from console.services import services
from console.shift_test import HEARD, sentence, shift_of, state_of
from disposal.audit import append
from disposal.test_alarm import ARRIVED, found, subject_of
from stream.database import reading, writing
from stream.messages import utc_now

router = APIRouter()


@router.post("/test-alarm", dependencies=[allowed("dispatcher", "officer", "administrator")], include_in_schema=False)
def heard(request: Request) -> Response:
    """A dispatcher's page has heard the shift's test; the first one is written down."""
    ours = services(request)
    subject = subject_of(shift_of(ours, utc_now()))
    with writing(ours.engine) as session:
        arrived = found(session, ours.mine, subject, ARRIVED)
        if arrived is not None and found(session, ours.mine, subject, HEARD) is None:
            append(session, ours.mine, request.state.visitor.name, HEARD, subject, None, None)
    with reading(ours.engine) as session:
        test = state_of(session, ours.mine, shift_of(ours, utc_now()))
    return JSONResponse({"sentence": sentence(test, language(request))})
