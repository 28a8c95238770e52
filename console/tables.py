"""Every table of the house, imported so that the migrations see them all."""

from console import accounts, api_tokens, idempotency, sessions
from disposal import alert, audit, document, emergency, escalation, ledger, notify, policy, retention, roster
from rules import clause, embedding, figure, knowledge
from stream import checkpoint, health, heartbeat, readings, site, trouble

__all__ = [
    "accounts",
    "alert",
    "api_tokens",
    "audit",
    "checkpoint",
    "clause",
    "document",
    "embedding",
    "emergency",
    "escalation",
    "figure",
    "health",
    "heartbeat",
    "idempotency",
    "knowledge",
    "ledger",
    "notify",
    "policy",
    "readings",
    "retention",
    "roster",
    "sessions",
    "site",
    "trouble",
]
