"""What drafting costs, by backend: tokens, price and seconds of today and of thirty days."""

from datetime import UTC, timedelta

from fastapi import APIRouter, Request
from fastapi.responses import Response

from console.auth import anybody_logged_in
from console.pages import render
from console.services import services
from disposal.ledger import spent
from stream.database import reading
from stream.messages import utc_now

DAYS = 30
router = APIRouter()


@router.get("/figures/drafting", dependencies=[anybody_logged_in()], include_in_schema=False)
def ledger_page(request: Request) -> Response:
    """The ledger of the UTC day, by which budgets count, and of thirty days."""
    ours, now = services(request), utc_now()
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    with reading(ours.engine) as session:
        sums = [
            ("today", spent(session, ours.mine, today, now)),
            ("month", spent(session, ours.mine, now - timedelta(days=DAYS), now)),
        ]
    return render(request, "ledger.html", sums=sums, days=DAYS)
