"""Every table of the house, imported so that the migrations see them all."""

from console import auth
from disposal import alert, audit, document, notify, policy
from rules import clause, embedding
from stream import checkpoint, health, heartbeat, readings, site

__all__ = ["alert", "audit", "auth", "checkpoint", "clause", "document", "embedding", "health", "heartbeat", "notify", "policy", "readings", "site"]
